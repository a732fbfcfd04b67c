import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.services.kms.AWSKMS;
import com.amazonaws.services.kms.AWSKMSClientBuilder;
import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.AmazonS3Builder;
import com.amazonaws.services.s3.AmazonS3EncryptionClient;
import com.amazonaws.services.s3.AmazonS3EncryptionClientBuilder;
import com.amazonaws.services.s3.AmazonS3EncryptionClientV2Builder;
import com.amazonaws.services.s3.AmazonS3EncryptionV2;
import com.amazonaws.services.s3.model.CryptoConfiguration;
import com.amazonaws.services.s3.model.CryptoConfigurationV2;
import com.amazonaws.services.s3.model.CryptoMode;
import com.amazonaws.services.s3.model.CryptoRangeGetMode;
import com.amazonaws.services.s3.model.CryptoStorageMode;
import com.amazonaws.services.s3.model.EncryptedGetObjectRequest;
import com.amazonaws.services.s3.model.EncryptedPutObjectRequest;
import com.amazonaws.services.s3.model.EncryptionMaterials;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import com.amazonaws.services.s3.model.KMSEncryptionMaterials;
import com.amazonaws.services.s3.model.ObjectMetadata;
import com.amazonaws.services.s3.model.PutInstructionFileRequest;
import com.amazonaws.services.s3.model.S3Object;
import com.amazonaws.services.s3.model.S3ObjectId;
import com.amazonaws.services.s3.model.StaticEncryptionMaterialsProvider;
import com.amazonaws.util.IOUtils;
import java.io.ByteArrayInputStream;
import java.security.Provider;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * The two encryption clients of the AWS SDK for Java 1. The configuration's "peer": client (v1, v2), cryptoMode,
 * storage (ObjectMetadata, InstructionFile), provider (BC, for Bouncy Castle in place of the JDK's own).
 */
final class Main {
    private static final String REGION = System.getenv("AWS_REGION");
    private static final AWSKMS KMS = AWSKMSClientBuilder.standard()
            .withEndpointConfiguration(new EndpointConfiguration(System.getenv("KMS_ENDPOINT"), REGION))
            .build();
    private static final Pattern RANGE = Pattern.compile("bytes=(\\d+)-(\\d*)");

    public static void main(String[] args) throws Exception {
        Server.run(Client::new);
    }

    private static final class Client implements Server.EncryptionClient {
        private final Config config;
        private final AmazonS3 client;

        Client(Config config) throws Exception {
            this.config = config;
            client = build(config, Map.of());
        }

        @Override
        public void put(String bucket, String key, byte[] body, Map<String, String> context) {
            ObjectMetadata metadata = new ObjectMetadata();
            metadata.setContentLength(body.length);
            EncryptedPutObjectRequest request =
                    new EncryptedPutObjectRequest(bucket, key, new ByteArrayInputStream(body), metadata);
            if (!context.isEmpty()) request.setMaterialsDescription(context);
            request.getRequestClientOptions().setReadLimit(body.length + 64);
            client.putObject(request);
        }

        @Override
        public byte[] get(String bucket, String key, Map<String, String> context, String range, String suffix)
                throws Exception {
            // The SDK takes the encryption context of a read from the client's materials.
            AmazonS3 reader = context.isEmpty() ? client : build(config, context);
            EncryptedGetObjectRequest request = new EncryptedGetObjectRequest(bucket, key);
            if (range != null) {
                Matcher bytes = RANGE.matcher(range);
                if (!bytes.matches()) throw new Server.Unsupported("Range: " + range);
                String end = bytes.group(2);
                long last = end.isEmpty() ? Long.MAX_VALUE - 1 : Long.parseLong(end);
                request.setRange(Long.parseLong(bytes.group(1)), last);
            }
            if (suffix != null) request.setInstructionFileSuffix(suffix.substring(1));
            try (S3Object object = reader.getObject(request)) {
                return IOUtils.toByteArray(object.getObjectContent());
            } finally {
                if (reader != client) reader.shutdown();
            }
        }

        /** The SDK looks at no rotation; with a suffix of one's own it writes a second instruction file. */
        @Override
        public void reencrypt(
                String bucket, String key, Config.KeyMaterial next, String suffix, boolean enforceRotation)
                throws Exception {
            if (enforceRotation) throw new Server.Unsupported("SDK 1 enforces no rotation");
            PutInstructionFileRequest request = new PutInstructionFileRequest(
                    new S3ObjectId(bucket, key), materials(next), suffix == null ? "instruction" : suffix);
            if (client instanceof AmazonS3EncryptionV2 second) second.putInstructionFile(request);
            else ((AmazonS3EncryptionClient) client).putInstructionFile(request);
        }
    }

    private static AmazonS3 build(Config config, Map<String, String> context) throws Exception {
        EncryptionMaterials described = materials(config.keyMaterial).addDescriptions(context);
        EncryptionMaterialsProvider provider = new StaticEncryptionMaterialsProvider(described);
        CryptoMode mode = CryptoMode.valueOf(config.peer("cryptoMode", "StrictAuthenticatedEncryption"));
        CryptoStorageMode storage = CryptoStorageMode.valueOf(config.peer("storage", "ObjectMetadata"));
        Provider crypto = config.peer("provider", "").equals("BC") ? new BouncyCastleProvider() : null;
        switch (config.peer("client", "v2")) {
            case "v1":
                CryptoConfiguration first = new CryptoConfiguration(mode).withStorageMode(storage);
                if (crypto != null) first.withCryptoProvider(crypto).withAlwaysUseCryptoProvider(true);
                return placed(AmazonS3EncryptionClientBuilder.standard()
                        .withEncryptionMaterials(provider)
                        .withCryptoConfiguration(first)
                        .withKmsClient(KMS));
            case "v2":
                CryptoConfigurationV2 second = new CryptoConfigurationV2(mode).withStorageMode(storage);
                if (crypto != null) second.withCryptoProvider(crypto).withAlwaysUseCryptoProvider(true);
                if (Config.is(config.enableLegacyUnauthenticatedModes)) {
                    second.setRangeGetMode(CryptoRangeGetMode.ALL);
                }
                return placed(AmazonS3EncryptionClientV2Builder.standard()
                        .withEncryptionMaterialsProvider(provider)
                        .withCryptoConfiguration(second)
                        .withKmsClient(KMS));
            default:
                throw new Server.Unsupported("client: v1 or v2");
        }
    }

    private static AmazonS3 placed(AmazonS3Builder<?, ? extends AmazonS3> builder) {
        builder.setEndpointConfiguration(new EndpointConfiguration(System.getenv("S3_ENDPOINT"), REGION));
        builder.setPathStyleAccessEnabled(true);
        // Over plain HTTP the SDK would sign each chunk, which the in-process S3 does not know.
        builder.setChunkedEncodingDisabled(true);
        return builder.build();
    }

    private static EncryptionMaterials materials(Config.KeyMaterial material) throws Exception {
        EncryptionMaterials materials;
        if (material.kmsKeyId != null) materials = new KMSEncryptionMaterials(material.kmsKeyId);
        else if (material.aesKey != null) materials = new EncryptionMaterials(material.aes());
        else if (material.rsaKey != null) materials = new EncryptionMaterials(material.rsa());
        else throw new Server.Unsupported("no key");
        return materials.addDescriptions(material.description());
    }
}
