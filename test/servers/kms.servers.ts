/** The raw operations of KMS, and the keyring over them, against every KMS. */
import { KMSClient } from "@aws-sdk/client-kms";
import { runChecks } from "./checks.js";
import { keyringChecks } from "./keyring-checks.js";
import { kmsChecks } from "./kms-checks.js";

runChecks("kms", [...keyringChecks, ...kmsChecks], ({ endpoint, region, credentials }) => ({
  context: async () => new KMSClient({ endpoint, region, credentials }),
}));
