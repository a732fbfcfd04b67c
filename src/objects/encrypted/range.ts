/** The Range of a read: parsed in bytes of plaintext, requested in bytes of ciphertext. */
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

/** One range of bytes, as in HTTP: from a first byte to a last one or to the end, or a number of bytes from the end. */
export type ByteRange =
  | { readonly first: number; readonly last: number | undefined }
  | { readonly suffix: number };

/**
 * Parses the Range of a GetObject. S3 supports one range, and ignores a value that it cannot parse; here that is an error.
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
 * The Range to request from S3: whole chunks that are sure to hold the wanted plaintext. If the plaintext could end with
 * them, the Range includes the empty last chunk, so that a range which reaches the end proves it.
 */
export function ciphertextRange(range: ByteRange): string {
  if ("suffix" in range) return `bytes=-${lastBytesToRequest(range.suffix)}`;
  if (range.last === undefined) return `bytes=${chunkOffset(chunkIndex(range.first))}-`;
  const { start, end } = bytesToRequest(range.first, range.last + 1);
  return `bytes=${start}-${end - 1}`;
}

/** The bytes of a response that hold the chunks of a range, and the plaintext in them that is wanted. */
export interface RangePlan {
  /** Offset of the first wanted byte in the plaintext. */
  readonly start: number;
  /** Number of wanted bytes. */
  readonly length: number;
  /** Bytes of the whole plaintext. */
  readonly plaintextLength: number;
  /** Bytes of the object in S3. */
  readonly totalBytes: number;
  /** Bytes of the response that come before the first chunk. */
  readonly skipCiphertext: number;
  /** The chunks that hold the wanted plaintext. */
  readonly chunkRange: ChunkRange;
  /** Plaintext bytes of the first chunk that come before `start`. */
  readonly skipPlaintext: number;
}

/**
 * Fits a range to an object whose size the response states.
 *
 * @param stated the Content-Range of the response, in bytes of ciphertext
 * @throws EnvelopeError `S3_RANGE_NOT_SATISFIABLE` when no byte of the plaintext is in the range,
 *   `BODY_TRUNCATED` when no native object has this size, `S3_REQUEST_FAILED` when the response has another range
 */
export function planRange(range: ByteRange, stated: string | undefined, target: RequestTarget): RangePlan {
  const sent = parseContentRange(stated);
  if (!sent) throw otherRange(target);
  const total = plaintextLength(sent.total);
  const { start, last } = fitRange(range, total);
  const chunkRange = chunksOfPlaintext(start, last + 1, total);
  const { ciphertextStart, ciphertextEnd, plaintextStart } = chunkRange;
  if (sent.first > ciphertextStart || sent.last + 1 < ciphertextEnd) throw otherRange(target);
  return {
    start,
    length: last + 1 - start,
    plaintextLength: total,
    totalBytes: sent.total,
    skipCiphertext: ciphertextStart - sent.first,
    chunkRange,
    skipPlaintext: start - plaintextStart,
  };
}

/**
 * The first and the last byte of a range of an object of `total` bytes.
 *
 * @throws EnvelopeError `S3_RANGE_NOT_SATISFIABLE` when the object has no byte in the range
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

/** The Content-Range of the result, in bytes of plaintext. */
export function contentRange({ start, length, plaintextLength: total }: RangePlan): string {
  return `bytes ${start}-${start + length - 1}/${total}`;
}

function clipped(digits: string): number {
  return Math.min(Number(digits), maxPlaintextBytes);
}

function malformed(): RangeError {
  return new RangeError('Range: expected one range such as "bytes=0-99", "bytes=100-" or "bytes=-100"');
}
