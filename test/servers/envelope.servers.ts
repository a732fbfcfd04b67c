/** `EnvelopeClient` over every S3 server, each with a KMS of another project. */
import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { kmsKeyring } from "../../src/index.js";
import { envelopeChecks } from "./checks/envelope.js";
import { largeChecks } from "./checks/large.js";
import { runChecks, targets } from "./checks.js";

/** local-kms if it is available, otherwise any KMS that is. */
const foreign = ["local-kms", "moto", "in-process"].map((name) =>
  targets.find((target) => target.name === name),
);

runChecks("s3", [...envelopeChecks, ...largeChecks], (config) => {
  const own = targets.find(({ s3 }) => s3?.endpoint === config.endpoint);
  const kmsConfig = own?.kms ?? foreign.find((target) => target?.kms)?.kms ?? config;
  return {
    async context() {
      const s3 = new S3Client(config);
      const { endpoint, region, credentials } = kmsConfig;
      const kms = new KMSClient({ endpoint, region, credentials });
      const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
      const Bucket = "envelope-checks";
      await s3.send(new CreateBucketCommand({ Bucket }));
      return { s3, Bucket, keyring: kmsKeyring({ kms, keyId: KeyMetadata?.Arn ?? "" }) };
    },
  };
});
