/** The end of an object, read before the rest: it states the size of the object and, by its last chunk, proves it. */
import { collectBytes } from "../../base/bytes.js";
import { hasCode } from "../../base/errors.js";
import { openChunk } from "../../cobblestone/chunk.js";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import {
  chunkCount,
  chunkOffset,
  lastBytesToRequest,
  plaintextLength,
  sealedBytes,
} from "../../cobblestone/layout.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import type { RequestTarget } from "../../s3/errors.js";
import { otherRange } from "../../s3/errors.js";
import { parseContentRange } from "../../s3/responses.js";
import { type ByteRange, ciphertextRange, planRange } from "./range.js";

/** The last bytes of an object, in memory. */
export interface Tail {
  readonly bytes: Buffer;
  /** Their offset in the object. */
  readonly start: number;
  /** Bytes of the object. */
  readonly totalBytes: number;
  /** Bytes of the plaintext, computed from the size of the object; see {@link verifyTail}. */
  readonly plaintextLength: number;
}

/** The most bytes of a tail that are held in memory because the range that is wanted is in them. */
const maxTailBytes = 256 * 1024;

/**
 * The range of ciphertext to request first for a range of plaintext, or for the whole object. It is the end of the object if
 * the length has to be proved first: the last chunk or, for a range that counts from the end, as much as may be held in
 * memory, so that a small object takes one request.
 */
export function firstRange(
  range: ByteRange | undefined,
  verifyLength = false,
): { readonly Range: string | undefined; readonly tailBytes: number | undefined } {
  // The place of a range that counts from the end depends on the end: in an object that was cut off it has other bytes.
  const isSuffix = range !== undefined && "suffix" in range;
  if (!isSuffix && !verifyLength) return { Range: range && ciphertextRange(range), tailBytes: undefined };
  const tailBytes = isSuffix ? Math.min(lastBytesToRequest(range.suffix), maxTailBytes) : sealedBytes(1);
  return { Range: `bytes=-${tailBytes}`, tailBytes };
}

/**
 * Reads the response to a request for the last `requested` bytes.
 *
 * @throws EnvelopeError `BODY_TRUNCATED` when no object of ours has this size, `S3_REQUEST_FAILED` when the response
 *   has another range, `BODY_INTERRUPTED`, `BODY_STALLED`
 */
export async function readTail(
  { output, read }: ObjectResponse,
  requested: number,
  target: RequestTarget,
): Promise<Tail> {
  const sent = parseContentRange(output.ContentRange);
  if (!sent || sent.last + 1 !== sent.total) throw otherRange(target);
  const start = sent.first;
  if (start !== Math.max(0, sent.total - requested)) throw otherRange(target);
  const length = plaintextLength(sent.total);
  const bytes = await collectBytes(read(0, sent.total - start));
  return { bytes, start, totalBytes: sent.total, plaintextLength: length };
}

/**
 * Proves the size of the object: only its last chunk is shorter than the others, and sealed under its own index.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED`
 */
export function verifyTail({ bytes, start, plaintextLength: length }: Tail, keys: MessageKeys): void {
  const lastChunk = chunkCount(length) - 1;
  openChunk(keys, lastChunk, bytes.subarray(chunkOffset(lastChunk) - start)).fill(0);
}

/**
 * The response to a request for the range, or for the whole object, if the tail holds all of it.
 *
 * @throws EnvelopeError `S3_RANGE_NOT_SATISFIABLE`
 */
export function responseFromTail(
  first: ObjectResponse,
  { bytes, start, totalBytes }: Tail,
  range: ByteRange | undefined,
  target: RequestTarget,
): ObjectResponse | undefined {
  const wantedFrom = range
    ? planRange(range, `bytes 0-${totalBytes - 1}/${totalBytes}`, target).skipCiphertext
    : 0;
  if (wantedFrom < start) return undefined;
  return {
    ...first,
    output: range ? first.output : { ...first.output, ContentRange: undefined },
    async *read(skip, length = bytes.length) {
      yield bytes.subarray(skip, skip + length);
    },
  };
}

/** The error of a failed request for a tail. S3 has no range of an empty object, and no native object is empty. */
export function tailError(error: unknown): unknown {
  if (!hasCode(error, "S3_RANGE_NOT_SATISFIABLE")) return error;
  try {
    return plaintextLength(0);
  } catch (truncated) {
    return truncated;
  }
}
