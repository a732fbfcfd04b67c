/** All checks of the S3 operations that this package uses or will use. */
import type { Check } from "../checks.js";
import type { S3Context } from "../s3-context.js";
import { copyChecks } from "./copy.js";
import { multipartChecks } from "./multipart.js";
import { readChecks } from "./read.js";
import { signatureChecks } from "./signature.js";
import { versionChecks } from "./version.js";
import { writeChecks } from "./write.js";

export const s3Checks: readonly Check<S3Context>[] = [
  ...writeChecks,
  ...readChecks,
  ...copyChecks,
  ...multipartChecks,
  ...versionChecks,
  ...signatureChecks,
];
