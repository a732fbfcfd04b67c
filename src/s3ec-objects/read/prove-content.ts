/** Proves that a data key is that of an object, before it is given to anybody else: an instruction file may be another object's. */
import type { HeadObjectCommandOutput, PutObjectCommandInput } from "@aws-sdk/client-s3";
import { quoted } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";
import type { TransferConfig } from "../../objects/encrypted/config.js";
import { getResponse } from "../../s3/body/object-response.js";
import { otherRange, type RequestTarget, requireETag } from "../../s3/errors.js";
import { customerKeyOf, objectFields } from "../../s3/fields.js";
import { isSameETag } from "../../s3/responses.js";
import { openContent } from "../../s3ec/content/content.js";
import type { ContentKeys } from "../../s3ec/content/content-keys.js";
import type { ContentSuite } from "../../s3ec/suites.js";
import { requirePossibleSize } from "./verify-then-release.js";

/**
 * How it is proven that the data key of an instruction file opens the object that it stands beside.
 *
 * - "when-needed", the default: by the commitment in the object's metadata where it has one (V3); else all of the object
 *   is read, and its tag verified (AES/GCM of V2); AES/CBC has nothing that could prove it, and is refused.
 * - "always": also an object with a commitment is read and verified.
 * - "never": the commitment alone, where there is one. For those who trust everybody that may write to the bucket.
 */
export type VerifyContent = (typeof verifyContentChoices)[number];

/** All values of {@link VerifyContent}. */
export const verifyContentChoices = ["when-needed", "always", "never"] as const;

/** What is known of the object that a data key should belong to. */
export interface ProvenObject {
  readonly target: RequestTarget;
  /** Fields of the requests about it. */
  readonly put: PutObjectCommandInput;
  /** What HeadObject said of it. */
  readonly head: HeadObjectCommandOutput;
}

/**
 * Refuses what cannot be proven, before any key is touched.
 *
 * @throws EnvelopeError `KEY_NOT_ROTATED`
 */
export function requireProvable(suite: ContentSuite, verify: VerifyContent): void {
  if (suite.mode === "gcm" || verify === "never") return;
  throw new EnvelopeError(
    "KEY_NOT_ROTATED",
    "nothing was written: nothing authenticates AES/CBC, so nobody can tell whether the data key in the instruction file is " +
      'that of this object, or of another whose file was put in its place. verifyContent: "never" wraps it anew all the same',
    { details: { option: "verifyContent", content: suite.contentNames[0] } },
  );
}

/**
 * Reads all of an object and verifies it, where its data key has not been proven already. Holds one piece at a time, and
 * hands out nothing.
 *
 * @param keys whose commitment, if there is one, has been compared
 * @throws EnvelopeError `DECRYPTION_FAILED` when the data key does not open it, `BODY_TRUNCATED`,
 *   `S3_PRECONDITION_FAILED` when it was overwritten since; those of reading
 */
export async function proveContent(
  config: TransferConfig,
  { target: { bucket, key }, put, head }: ProvenObject,
  keys: ContentKeys,
  verify: VerifyContent,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (verify === "never" || (keys.suite.commits && verify === "when-needed")) return;
  const target = { operation: "GetObject", bucket, key };
  const ETag = requireETag(head, { ...target, operation: "HeadObject" });
  const input = { ...objectFields(put), ...customerKeyOf(put), IfMatch: ETag };
  const answer = await getResponse(config, input, signal);
  try {
    const { output, read } = answer;
    // Some stores pass If-Match over.
    requireETagOf(target, output.ETag, ETag);
    if (output.ContentRange !== undefined) throw otherRange(target);
    const { ContentLength: bytes } = output;
    if (bytes !== undefined) requirePossibleSize(keys.suite, bytes);
    for await (const piece of openContent(read(0, bytes), keys, bytes)) piece.fill(0);
  } finally {
    answer.close();
  }
}

/**
 * Compares the ETag of an object with the one that it must have, in whatever form stores give it.
 *
 * @throws EnvelopeError `S3_PRECONDITION_FAILED`
 */
export function requireETagOf(
  target: RequestTarget,
  found: string | undefined,
  expected: string | undefined,
): void {
  if (expected === undefined || (found !== undefined && isSameETag(found, expected))) return;
  throw new EnvelopeError(
    "S3_PRECONDITION_FAILED",
    `nothing was written: ${quoted(target.key)} in ${quoted(target.bucket)} is not the object with the ETag that is wanted`,
    { details: { ...target } },
  );
}
