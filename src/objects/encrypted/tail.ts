/** The end of an object, read before all else: it tells the size of the object and, by its last chunk, proves it. */

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
import { type ByteRange, planRange } from "./range.js";

/** The last bytes of an object, in memory. */
export interface Tail {
  readonly bytes: Buffer;
  /** Where they start in the object. */
  readonly start: number;
  /** Bytes of the object. */
  readonly totalBytes: number;
  /** Bytes of its plaintext, as its size tells; see {@link verifyTail}. */
  readonly plaintextLength: number;
}

/** The most bytes of a tail that is asked for with the end of the object in it that is wanted anyway: held in memory. */
const maxTailBytes = 256 * 1024;

/**
 * How many bytes to ask for: the last chunk; of a range that counts from the end all, or so much that a small object,
 * of which it is all, comes in one request.
 */
export function tailBytesFor(range: ByteRange | undefined): number {
  if (!range || !("suffix" in range)) return sealedBytes(1);
  return Math.min(lastBytesToRequest(range.suffix), maxTailBytes);
}

/**
 * Takes in the answer to a request for the last `asked` bytes.
 *
 * @throws EnvelopeError `BODY_TRUNCATED` when no object of ours has this size, `S3_REQUEST_FAILED` when S3 answered
 *   another range, `BODY_INTERRUPTED`, `BODY_STALLED`
 */
export async function readTail(
  { output, read }: ObjectResponse,
  asked: number,
  target: RequestTarget,
): Promise<Tail> {
  const answer = parseContentRange(output.ContentRange);
  if (!answer || answer.last + 1 !== answer.total) throw otherRange(target);
  const start = answer.first;
  if (start !== Math.max(0, answer.total - asked)) throw otherRange(target);
  const length = plaintextLength(answer.total);
  const bytes = await readAllBytes(read(0, answer.total - start));
  return { bytes, start, totalBytes: answer.total, plaintextLength: length };
}

/**
 * Proves the size of the object: only the last chunk of all is sealed as the one that it is, and short.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED`
 */
export function verifyTail({ bytes, start, plaintextLength: length }: Tail, keys: MessageKeys): void {
  const lastChunk = chunkCount(length) - 1;
  openChunk(keys, lastChunk, bytes.subarray(chunkOffset(lastChunk) - start)).fill(0);
}

/**
 * The answer that S3 would give to the request proper, if the tail holds all of it.
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

/** The error for a failed request for a tail: S3 has no range of an empty object, which none of ours is. */
export function tailError(error: unknown): unknown {
  if (!hasCode(error, "S3_RANGE_NOT_SATISFIABLE")) return error;
  try {
    return plaintextLength(0);
  } catch (truncated) {
    return truncated;
  }
}

/** Collects a body that is known to be small. */
export async function readAllBytes(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces);
}
