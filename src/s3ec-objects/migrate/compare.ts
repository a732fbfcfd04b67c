/** Whether what was written is what was read, and what ended the writing. */
import { EnvelopeError, hasCode, withDetails } from "../../base/errors.js";
import { ContentFingerprint } from "../../s3ec/content/fingerprint.js";

/**
 * Reads a body to its end and compares.
 *
 * @throws EnvelopeError `MIGRATION_UNCONFIRMED`
 */
export async function requireSame(
  expected: ContentFingerprint,
  body: AsyncIterable<Uint8Array>,
  where: { readonly bucket: string; readonly key: string },
): Promise<void> {
  const actual = new ContentFingerprint();
  for await (const _piece of actual.of(body));
  if (actual.equals(expected)) return;
  throw new EnvelopeError(
    "MIGRATION_UNCONFIRMED",
    `"${where.key}" was written, and what was read back is not what the original holds: it was given up`,
    { details: { ...where } },
  );
}

/** The original's own error when that ended the writing, with what the writing has to say. */
export function sourceError(error: unknown): unknown {
  if (!hasCode(error, "SOURCE_FAILED") || !(error.cause instanceof EnvelopeError)) return error;
  const { bytesRead: _bytes, ...leftover } = error.details;
  if (Object.keys(leftover).length === 0) return error.cause;
  return withDetails(error.cause, leftover);
}
