/** Proves that a data key belongs to an object before it is wrapped for another reader: an instruction file may be another object's. */
import type { HeadObjectCommandOutput, PutObjectCommandInput } from "@aws-sdk/client-s3";
import { quoted } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";
import type { TransferConfig } from "../../objects/encrypted/transfer-config.js";
import { getResponse } from "../../s3/body/object-response.js";
import { otherRange, type RequestTarget, requireETag } from "../../s3/errors.js";
import { customerKeyOf, objectFields } from "../../s3/fields.js";
import { isSameETag } from "../../s3/responses.js";
import { openContent } from "../../s3ec/content/content.js";
import type { ContentKeys } from "../../s3ec/content/content-keys.js";
import type { ContentSuite } from "../../s3ec/suites.js";
import { requirePossibleSize } from "../read/verify-then-release.js";

/**
 * How `reEncryptInstructionFile` proves that the data key in an instruction file belongs to the object beside it.
 *
 * - "when-needed", the default: by the key commitment in the metadata of the object, if it has one (V3). Otherwise the whole
 *   object is read and its tag verified (AES/GCM in V2). AES/CBC, which nothing can prove, is refused.
 * - "always": the object is read and verified even if it has a commitment.
 * - "never": only the commitment is compared, if there is one. For those who trust everybody who may write to the bucket.
 */
export type VerifyContent = "when-needed" | "always" | "never";

/** The values of {@link VerifyContent}. */
export const verifyContentChoices: readonly VerifyContent[] = ["when-needed", "always", "never"];

/** The object that a data key should belong to. */
export interface ProvenObject {
  readonly target: RequestTarget;
  /** The fields of requests about it. */
  readonly put: PutObjectCommandInput;
  /** The response to HeadObject of it. */
  readonly head: HeadObjectCommandOutput;
}

/**
 * Refuses an object whose data key cannot be proven, before any key is used.
 *
 * @throws EnvelopeError `KEY_NOT_ROTATED`
 */
export function requireProvable(suite: ContentSuite, verify: VerifyContent): void {
  if (suite.mode === "gcm" || verify === "never") return;
  throw new EnvelopeError(
    "KEY_NOT_ROTATED",
    "nothing was written: AES/CBC is not authenticated, so nothing proves whether the data key in the instruction file " +
      "belongs to this object or to another one whose file was put in its place. To wrap it all the same, set " +
      'verifyContent: "never"',
    { details: { option: "verifyContent", content: suite.contentNames[0] } },
  );
}

/**
 * Reads a whole object and verifies it, if its data key has not been proven yet. Keeps one piece in memory at a time and
 * returns no plaintext.
 *
 * @param keys the keys of the content; the commitment, if there is one, has been compared
 * @throws EnvelopeError `DECRYPTION_FAILED` when the data key does not open the object, `BODY_TRUNCATED`,
 *   `S3_PRECONDITION_FAILED` when the object has been overwritten, and the errors of reading
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
  const response = await getResponse(config, input, signal);
  try {
    const { output, read } = response;
    // Some stores ignore If-Match.
    requireETagOf(target, output.ETag, ETag);
    if (output.ContentRange !== undefined) throw otherRange(target);
    const { ContentLength: bytes } = output;
    if (bytes !== undefined) requirePossibleSize(keys.suite, bytes);
    for await (const piece of openContent(read(0, bytes), keys, bytes)) piece.fill(0);
  } finally {
    response.close();
  }
}

/**
 * Compares the ETag of an object with the expected one, whatever the form that the store gives it.
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
    `nothing was written: ${quoted(target.key)} in ${quoted(target.bucket)} does not have the ETag that is expected`,
    { details: { ...target } },
  );
}
