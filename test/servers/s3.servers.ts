/** The raw operations of S3 against every S3 server. */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { s3Checks } from "./checks/s3.js";
import { runChecks } from "./checks.js";

runChecks("s3", s3Checks, (config) => ({
  async context() {
    const s3 = new S3Client(config);
    const Bucket = "raw-checks";
    await s3.send(new CreateBucketCommand({ Bucket }));
    return { s3, config, Bucket };
  },
}));
