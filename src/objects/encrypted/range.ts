/** The Range of a read: what the caller asks for in plaintext, and what S3 is asked for in ciphertext. */

import { wrongType } from "../../base/arguments.js";
import { EnvelopeError } from "../../base/errors.js";
import {
  bytesToRequest,
  type ChunkRange,
  chunkIndex,
  chunkOffset,
  chunksOfPlaintext,
  lastBytesToRequest,
  maxPlaintextBytes,
  plaintextLength,
} from "../../cobblestone/layout.js";
import type { RequestTarget } from "../../s3/errors.js";
import { otherRange } from "../../s3/errors.js";
import { parseContentRange } from "../../s3/responses.js";

/** One range of bytes, as HTTP writes it: from a first byte to a last one or the end, or so many from the end. */
export type ByteRange =
  | { readonly first: number; readonly last: number | undefined }
  | { readonly suffix: number };

/**
 * Parses the Range of a GetObject. S3 answers one range, and ignores what it cannot parse; here that is an error.
 *
 * @throws TypeError, RangeError
 */
export function rangeArgument(value: unknown): ByteRange | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string") throw wrongType("Range", "a string", value);
  const match = /^bytes=(\d*)-(\d*)$/.exec(value);
  const [first, last] = match ? [match[1] ?? "", match[2] ?? ""] : ["", ""];
  if (first === "" && last === "") throw malformed();
  if (first === "") return { suffix: clipped(last) };
  const range = { first: clipped(first), last: last === "" ? undefined : clipped(last) };
  if (range.last !== undefined && range.last < range.first) throw malformed();
  return range;
}

/**
 * The Range to ask S3 for: whole chunks that surely hold the wanted plaintext. Where the plaintext could end
 * with them, the empty last chunk is asked for as well, so that a range which reaches the end proves it.
 */
export function ciphertextRange(range: ByteRange): string {
  if ("suffix" in range) return `bytes=-${lastBytesToRequest(range.suffix)}`;
  if (range.last === undefined) return `bytes=${chunkOffset(chunkIndex(range.first))}-`;
  const { start, end } = bytesToRequest(range.first, range.last + 1);
  return `bytes=${start}-${end - 1}`;
}

/** Which part of an answer of S3 holds which chunks, and which of their plaintext is wanted. */
export interface RangePlan {
  /** First plaintext byte wanted. */
  readonly start: number;
  /** How many plaintext bytes are wanted. */
  readonly length: number;
  /** Bytes of the whole plaintext. */
  readonly plaintextLength: number;
  /** Bytes of the object in S3. */
  readonly totalBytes: number;
  /** Bytes of the answer that come before the first chunk. */
  readonly skipCiphertext: number;
  /** The chunks that hold the wanted plaintext. */
  readonly chunkRange: ChunkRange;
  /** Plaintext bytes of the first chunk that come before `start`. */
  readonly skipPlaintext: number;
}

/**
 * Fits a range to an object whose size the answer tells.
 *
 * @param contentRange the answer's Content-Range, in bytes of ciphertext
 * @throws EnvelopeError `S3_RANGE_NOT_SATISFIABLE` when no byte of the plaintext is in the range,
 *   `BODY_TRUNCATED` when no object of ours has this size, `S3_REQUEST_FAILED` when S3 answered another range
 */
export function planRange(
  range: ByteRange,
  contentRange: string | undefined,
  target: RequestTarget,
): RangePlan {
  const answer = parseContentRange(contentRange);
  if (!answer) throw otherRange(target);
  const total = plaintextLength(answer.total);
  const { start, last } = fitRange(range, total);
  const chunkRange = chunksOfPlaintext(start, last + 1, total);
  const { ciphertextStart, ciphertextEnd, plaintextStart } = chunkRange;
  if (answer.first > ciphertextStart || answer.last + 1 < ciphertextEnd) throw otherRange(target);
  return {
    start,
    length: last + 1 - start,
    plaintextLength: total,
    totalBytes: answer.total,
    skipCiphertext: ciphertextStart - answer.first,
    chunkRange,
    skipPlaintext: start - plaintextStart,
  };
}

/**
 * The first and the last byte of a range of an object of so many bytes.
 *
 * @throws EnvelopeError `S3_RANGE_NOT_SATISFIABLE` when it has none
 */
export function fitRange(range: ByteRange, total: number): { readonly start: number; readonly last: number } {
  const start = "suffix" in range ? Math.max(0, total - range.suffix) : range.first;
  const last = "suffix" in range ? total - 1 : Math.min(range.last ?? total - 1, total - 1);
  if (start <= last) return { start, last };
  throw new EnvelopeError("S3_RANGE_NOT_SATISFIABLE", `the range lies outside the object of ${total} bytes`, {
    details: { plaintextLength: total },
  });
}

/** The Range of plaintext as the caller wrote it, for an object that is not encrypted. */
export function plainRange(range: ByteRange): string {
  return "suffix" in range ? `bytes=-${range.suffix}` : `bytes=${range.first}-${range.last ?? ""}`;
}

/** The Content-Range of an answer in plaintext bytes. */
export function contentRange({ start, length, plaintextLength: total }: RangePlan): string {
  return `bytes ${start}-${start + length - 1}/${total}`;
}

function clipped(digits: string): number {
  return Math.min(Number(digits), maxPlaintextBytes);
}

function malformed(): RangeError {
  return new RangeError('Range: expected one range such as "bytes=0-99", "bytes=100-" or "bytes=-100"');
}
