import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.interfaces.RSAPrivateCrtKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.RSAPublicKeySpec;
import java.util.Base64;
import java.util.Map;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;

/** What the protocol says of a client, named as in its JSON; null where nothing is said. */
final class Config {
    static final class Request {
        Config config;
    }

    KeyMaterial keyMaterial;
    Boolean enableLegacyUnauthenticatedModes;
    Boolean enableDelayedAuthenticationMode;
    Boolean enableLegacyWrappingAlgorithms;
    Long setBufferSize;
    String commitmentPolicy;
    String encryptionAlgorithm;
    InstructionFile instructionFileConfig;
    /** What only this project's peers know. */
    Map<String, String> peer;

    String peer(String name, String otherwise) {
        return peer == null ? otherwise : peer.getOrDefault(name, otherwise);
    }

    static final class InstructionFile {
        Boolean enableInstructionFilePutObject;
        Boolean disableInstructionFile;
    }

    static final class KeyMaterial {
        String rsaKey;
        String aesKey;
        String kmsKeyId;
        Map<String, String> materialsDescription;

        SecretKey aes() {
            return new SecretKeySpec(Base64.getDecoder().decode(aesKey), "AES");
        }

        /** The public key comes out of the private one. */
        KeyPair rsa() throws GeneralSecurityException {
            KeyFactory factory = KeyFactory.getInstance("RSA");
            byte[] der = Base64.getDecoder().decode(rsaKey);
            RSAPrivateCrtKey key = (RSAPrivateCrtKey) factory.generatePrivate(new PKCS8EncodedKeySpec(der));
            BigInteger exponent = key.getPublicExponent();
            return new KeyPair(factory.generatePublic(new RSAPublicKeySpec(key.getModulus(), exponent)), key);
        }

        Map<String, String> description() {
            return materialsDescription == null ? Map.of() : materialsDescription;
        }
    }

    static boolean is(Boolean flag) {
        return flag != null && flag;
    }
}
