import software.amazon.encryption.s3.S3EncryptionClient;

/** Version 3 before 3.6: AES/GCM without key commitment, and no policy to choose. */
final class Version {
    static S3EncryptionClient.Builder builder(Config config) {
        if (config.commitmentPolicy != null || config.encryptionAlgorithm != null) {
            throw new Server.Unsupported("version 3.5 has no commitment policies");
        }
        return S3EncryptionClient.builder();
    }
}
