/** All checks of the S3 operations that this package uses or will use. */
import type { Check } from "./checks.js";
import { copyChecks } from "./copy-checks.js";
import { multipartChecks } from "./multipart-checks.js";
import { readChecks } from "./read-checks.js";
import type { S3Context } from "./s3-context.js";
import { signatureChecks } from "./signature-checks.js";
import { versionChecks } from "./version-checks.js";
import { writeChecks } from "./write-checks.js";

export const s3Checks: readonly Check<S3Context>[] = [
  ...writeChecks,
  ...readChecks,
  ...copyChecks,
  ...multipartChecks,
  ...versionChecks,
  ...signatureChecks,
];
