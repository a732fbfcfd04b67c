/** The sizes of the parts of a multipart upload, within the limits of S3 and of the SDK. */
import { EnvelopeError } from "../base/errors.js";
import { maxPartBytes } from "./limits.js";

const mebibyte = 1024 * 1024;
/** The most parts that S3 accepts. */
export const maxParts = 10_000;
/** The size of the first parts when the caller sets none. */
export const defaultPartBytes = 8 * mebibyte;
/** The largest part of a body of unknown length, which allows for about 867 GiB in all. */
const maxGrownPartBytes = 128 * mebibyte;
/** After this many parts, those of a body of unknown length double in size. */
const partsPerStep = 1000;

/** The size of part `partNumber` (from 1) in bytes; the last part may be shorter. */
export type PartSizes = (partNumber: number) => number;

/**
 * The sizes of the parts of one upload. With a known length all are equal, and large enough for 10,000 to suffice. With
 * an unknown length they are equal if the caller set a size; otherwise they double every 1,000 parts, up to 128 MiB.
 *
 * @param ciphertextLength bytes, if known
 * @param fixedPartBytes the size that the caller set, if any
 * @throws EnvelopeError `SOURCE_TOO_LARGE` when no S3 object holds this many bytes
 */
export function partSizes(
  ciphertextLength: number | undefined,
  fixedPartBytes: number | undefined,
): PartSizes {
  const start = fixedPartBytes ?? defaultPartBytes;
  if (ciphertextLength !== undefined) {
    const step = Math.min(start, mebibyte);
    const needed = Math.ceil(ciphertextLength / maxParts / step) * step;
    if (needed > maxPartBytes)
      throw bodyTooLarge(
        `an S3 object has at most 10,000 parts, and a part of this package at most ${maxPartBytes} bytes`,
      );
    const size = Math.max(start, needed);
    return () => size;
  }
  if (fixedPartBytes !== undefined) return () => fixedPartBytes;
  return (partNumber) =>
    Math.min(start * 2 ** Math.floor((partNumber - 1) / partsPerStep), maxGrownPartBytes);
}

/** The error for a body that S3 cannot store in parts of these sizes. */
export function bodyTooLarge(why: string): EnvelopeError {
  return new EnvelopeError("SOURCE_TOO_LARGE", `Body: ${why}`);
}
