import software.amazon.encryption.s3.CommitmentPolicy;
import software.amazon.encryption.s3.S3EncryptionClient;
import software.amazon.encryption.s3.algorithms.AlgorithmSuite;

/** Version 4: key commitment. */
final class Version {
    static S3EncryptionClient.Builder builder(Config config) {
        S3EncryptionClient.Builder builder = S3EncryptionClient.builderV4();
        if (config.commitmentPolicy != null) {
            builder.commitmentPolicy(CommitmentPolicy.valueOf(config.commitmentPolicy));
        }
        if (config.encryptionAlgorithm != null) {
            builder.encryptionAlgorithm(AlgorithmSuite.valueOf(config.encryptionAlgorithm));
        }
        return builder;
    }
}
