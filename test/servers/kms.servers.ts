/** The raw operations of KMS against every KMS. */
import { KMSClient } from "@aws-sdk/client-kms";
import { runChecks } from "./checks.js";
import { kmsChecks } from "./kms-checks.js";

runChecks("kms", kmsChecks, ({ endpoint, region, credentials }) => ({
  context: async () => new KMSClient({ endpoint, region, credentials }),
}));
