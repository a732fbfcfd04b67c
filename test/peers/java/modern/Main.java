import java.net.URI;
import java.util.HashMap;
import java.util.Map;
import software.amazon.awssdk.core.ResponseBytes;
import software.amazon.awssdk.core.checksums.RequestChecksumCalculation;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.sync.ResponseTransformer;
import software.amazon.awssdk.http.apache.ApacheHttpClient;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.encryption.s3.S3EncryptionClient;
import software.amazon.encryption.s3.internal.InstructionFileConfig;
import software.amazon.encryption.s3.internal.ReEncryptInstructionFileRequest;
import software.amazon.encryption.s3.materials.AesKeyring;
import software.amazon.encryption.s3.materials.Keyring;
import software.amazon.encryption.s3.materials.KmsKeyring;
import software.amazon.encryption.s3.materials.MaterialsDescription;
import software.amazon.encryption.s3.materials.PartialRsaKeyPair;
import software.amazon.encryption.s3.materials.RawKeyring;
import software.amazon.encryption.s3.materials.RsaKeyring;

/** The S3 Encryption Client for Java, major versions 3 and 4: Version.java tells what differs. */
final class Main {
    private static final URI S3_ENDPOINT = URI.create(System.getenv("S3_ENDPOINT"));
    /**
     * For instruction files. Over plain HTTP it would sign each chunk, which the in-process S3 does not know; and the
     * encryption client never gives back the connection of one that it reads: after the usual 50, it waits for ever.
     */
    private static final S3Client S3 = S3Client.builder()
            .endpointOverride(S3_ENDPOINT)
            .serviceConfiguration(S3Configuration.builder()
                    .pathStyleAccessEnabled(true)
                    .chunkedEncodingEnabled(false)
                    .build())
            .requestChecksumCalculation(RequestChecksumCalculation.WHEN_REQUIRED)
            .httpClientBuilder(ApacheHttpClient.builder().maxConnections(100_000))
            .build();
    private static final S3AsyncClient S3_ASYNC =
            S3AsyncClient.builder().endpointOverride(S3_ENDPOINT).forcePathStyle(true).build();
    private static final KmsClient KMS =
            KmsClient.builder().endpointOverride(URI.create(System.getenv("KMS_ENDPOINT"))).build();

    public static void main(String[] args) throws Exception {
        Server.run(Client::new);
    }

    private static final class Client implements Server.EncryptionClient {
        private final S3EncryptionClient client;

        Client(Config config) throws Exception {
            S3EncryptionClient.Builder builder = Version.builder(config)
                    .wrappedClient(S3)
                    .wrappedAsyncClient(S3_ASYNC)
                    .keyring(keyring(config.keyMaterial, Config.is(config.enableLegacyWrappingAlgorithms)))
                    .instructionFileConfig(instructionFiles(config.instructionFileConfig));
            if (config.enableLegacyUnauthenticatedModes != null) {
                builder.enableLegacyUnauthenticatedModes(config.enableLegacyUnauthenticatedModes);
            }
            if (config.enableDelayedAuthenticationMode != null) {
                builder.enableDelayedAuthenticationMode(config.enableDelayedAuthenticationMode);
            }
            if (config.setBufferSize != null) builder.setBufferSize(config.setBufferSize);
            client = builder.build();
        }

        @Override
        public void put(String bucket, String key, byte[] body, Map<String, String> context) {
            client.putObject(
                    request -> request.bucket(bucket)
                            .key(key)
                            .overrideConfiguration(S3EncryptionClient.withAdditionalConfiguration(context)),
                    RequestBody.fromBytes(body));
        }

        @Override
        public byte[] get(String bucket, String key, Map<String, String> context, String range, String suffix) {
            GetObjectRequest request = GetObjectRequest.builder()
                    .bucket(bucket)
                    .key(key)
                    .range(range)
                    .overrideConfiguration(override -> {
                        override.putExecutionAttribute(S3EncryptionClient.ENCRYPTION_CONTEXT, context);
                        if (suffix != null) {
                            override.putExecutionAttribute(S3EncryptionClient.CUSTOM_INSTRUCTION_FILE_SUFFIX, suffix);
                        }
                    })
                    .build();
            ResponseBytes<GetObjectResponse> answer = client.getObject(request, ResponseTransformer.toBytes());
            return answer.asByteArrayUnsafe();
        }

        @Override
        public void reencrypt(
                String bucket, String key, Config.KeyMaterial next, String suffix, boolean enforceRotation)
                throws Exception {
            if (!(keyring(next, false) instanceof RawKeyring<?> newKeyring)) {
                throw new Server.Unsupported("reencrypt takes a raw key");
            }
            ReEncryptInstructionFileRequest.Builder request = ReEncryptInstructionFileRequest.builder()
                    .bucket(bucket)
                    .key(key)
                    .newKeyring(newKeyring)
                    .enforceRotation(enforceRotation);
            if (suffix != null) request.instructionFileSuffix(suffix);
            client.reEncryptInstructionFile(request.build());
        }
    }

    private static Keyring keyring(Config.KeyMaterial material, boolean legacy) throws Exception {
        if (material.kmsKeyId != null) {
            return KmsKeyring.builder()
                    .kmsClient(KMS)
                    .wrappingKeyId(material.kmsKeyId)
                    .enableLegacyWrappingAlgorithms(legacy)
                    .build();
        }
        MaterialsDescription description =
                MaterialsDescription.builder().putAll(new HashMap<>(material.description())).build();
        if (material.aesKey != null) {
            return AesKeyring.builder()
                    .wrappingKey(material.aes())
                    .materialsDescription(description)
                    .enableLegacyWrappingAlgorithms(legacy)
                    .build();
        }
        if (material.rsaKey == null) throw new Server.Unsupported("no key");
        return RsaKeyring.builder()
                .wrappingKeyPair(new PartialRsaKeyPair(material.rsa()))
                .materialsDescription(description)
                .enableLegacyWrappingAlgorithms(legacy)
                .build();
    }

    /** The client's own default would not find the endpoint. */
    private static InstructionFileConfig instructionFiles(Config.InstructionFile config) {
        InstructionFileConfig.Builder builder = InstructionFileConfig.builder();
        boolean disable = config != null && Config.is(config.disableInstructionFile);
        if (config != null) {
            builder.enableInstructionFilePutObject(Config.is(config.enableInstructionFilePutObject));
        }
        return disable ? builder.disableInstructionFile(true).build() : builder.instructionFileClient(S3).build();
    }
}
