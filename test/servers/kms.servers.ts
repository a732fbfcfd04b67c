/** The raw operations of KMS, and the keyring over them, against every KMS. */
import { KMSClient } from "@aws-sdk/client-kms";
import { keyringChecks } from "./checks/keyring.js";
import { kmsChecks } from "./checks/kms.js";
import { runChecks } from "./checks.js";

runChecks("kms", [...keyringChecks, ...kmsChecks], ({ endpoint, region, credentials }) => ({
  context: async () => new KMSClient({ endpoint, region, credentials }),
}));
