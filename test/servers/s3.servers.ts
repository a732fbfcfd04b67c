/** The raw operations of S3 against every S3 server. */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { runChecks } from "./checks.js";
import { s3Checks } from "./s3-checks.js";

runChecks("s3", s3Checks, (config) => ({
  async context() {
    const s3 = new S3Client(config);
    const Bucket = "raw-checks";
    await s3.send(new CreateBucketCommand({ Bucket }));
    return { s3, config, Bucket };
  },
}));
