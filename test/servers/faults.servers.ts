/** Network faults in front of S3 servers of other projects. */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { beforeAll, describe } from "vitest";
import { kmsProxyFaults } from "../faults/kms-proxy-faults.js";
import { proxyFaults } from "../faults/proxy-faults.js";
import { targets } from "./checks.js";

const Bucket = "proxy-checks";

for (const { name, s3: config } of targets.filter(({ s3 }) => s3)) {
  if (!config) continue;
  describe(name, () => {
    beforeAll(async () => {
      const s3 = new S3Client(config);
      await s3.send(new CreateBucketCommand({ Bucket }));
      s3.destroy();
    });
    proxyFaults("behind a proxy", () => ({ s3Config: config, Bucket }));
  });
}

for (const { name, kms: config } of targets) {
  if (config) describe(name, () => kmsProxyFaults("KMS behind a proxy", () => config));
}
