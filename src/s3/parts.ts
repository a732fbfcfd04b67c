/** Cuts ciphertext into upload parts: how large each is, and the buffers that hold them. */
import { EnvelopeError } from "../errors.js";

const mebibyte = 1024 * 1024;
/** S3 takes no part but the last below this. */
export const minPartBytes = 5 * mebibyte;
/** S3 takes parts of up to 5 GiB, but Node hashes, as the SDK does to sign, at most 2^31 - 1 bytes at a time. */
export const maxPartBytes = 2047 * mebibyte;
/** S3 takes no more parts than this. */
export const maxParts = 10_000;
/** Parts start at this size when the caller says nothing. */
export const defaultPartBytes = 8 * mebibyte;
/** A body of unknown length gets parts of at most this, which allows about 867 GiB in all. */
const maxGrownPartBytes = 128 * mebibyte;
/** Parts of a body of unknown length double in size after this many. */
const partsPerStep = 1000;

/** A body of unknown length may be a small one: a whole part is allocated once it holds more than this. */
const firstBufferBytes = 128 * 1024;

/** The size of part `partNumber` (from 1) in bytes; the last part may be shorter. */
export type PartSizes = (partNumber: number) => number;

/**
 * How large the parts of one upload are. With a known length all are equal, and large enough that 10,000
 * suffice. Without, they are equal if the caller fixed a size, else they double every 1,000 parts up to 128 MiB.
 *
 * @param ciphertextLength bytes, if known
 * @param fixedPartBytes the size that the caller asked for, if any
 * @throws EnvelopeError `SOURCE_TOO_LARGE` when no S3 object holds so much
 */
export function partSizes(
  ciphertextLength: number | undefined,
  fixedPartBytes: number | undefined,
): PartSizes {
  const start = fixedPartBytes ?? defaultPartBytes;
  if (ciphertextLength !== undefined) {
    const needed = Math.ceil(ciphertextLength / maxParts / mebibyte) * mebibyte;
    if (needed > maxPartBytes)
      throw tooLarge(
        `an S3 object has at most 10,000 parts, and a part of this package at most ${maxPartBytes} bytes`,
      );
    const size = Math.max(start, needed);
    return () => size;
  }
  if (fixedPartBytes !== undefined) return () => fixedPartBytes;
  return (partNumber) =>
    Math.min(start * 2 ** Math.floor((partNumber - 1) / partsPerStep), maxGrownPartBytes);
}

/** One part of an upload. */
export interface Part {
  readonly partNumber: number;
  /** The ciphertext, in memory of its own that is not shared with anything. */
  readonly bytes: Buffer;
  /**
   * Lets the memory be used for another part: to be called once nobody can read `bytes` any more, or never. Fresh
   * memory for each part would cost more than all else that is done with it here.
   */
  readonly release?: () => void;
}

/**
 * Joins pieces of ciphertext into parts. Holds one part, and the memory of those that were released.
 *
 * @param ciphertextLength bytes, if known; saves memory for small bodies
 * @throws EnvelopeError `SOURCE_TOO_LARGE` at the 10,001st part
 */
export async function* assembleParts(
  pieces: AsyncIterable<Buffer>,
  sizes: PartSizes,
  ciphertextLength = Number.POSITIVE_INFINITY,
): AsyncGenerator<Part, undefined> {
  const released: Buffer[] = [];
  let partNumber = 1;
  let left = ciphertextLength;
  let partBytes = Math.min(sizes(partNumber), left);
  let buffer: Buffer = Buffer.allocUnsafeSlow(Math.min(partBytes, firstBufferBytes));
  let filled = 0;
  for await (const piece of pieces) {
    let read = 0;
    while (read < piece.length) {
      if (filled === partBytes) {
        const bytes = buffer;
        yield { partNumber, bytes, release: () => void released.push(bytes) };
        left -= filled;
        partNumber += 1;
        if (partNumber > maxParts) {
          throw tooLarge("it needs more than 10,000 parts: state ContentLength, or a larger partSizeBytes");
        }
        partBytes = Math.min(sizes(partNumber), left);
        buffer = reused(released, partBytes) ?? Buffer.allocUnsafeSlow(partBytes);
        filled = 0;
      } else if (filled === buffer.length) {
        const whole = Buffer.allocUnsafeSlow(partBytes);
        buffer.copy(whole);
        buffer = whole;
      }
      const copied = piece.copy(buffer, filled, read);
      filled += copied;
      read += copied;
    }
  }
  yield { partNumber, bytes: buffer.subarray(0, filled) };
  return undefined;
}

/** Memory of a part of the same size; that of parts of another size is not needed any more. */
function reused(released: Buffer[], bytes: number): Buffer | undefined {
  const buffer = released.pop();
  if (buffer?.length === bytes) return buffer;
  released.length = 0;
  return undefined;
}

function tooLarge(why: string): EnvelopeError {
  return new EnvelopeError("SOURCE_TOO_LARGE", `Body: ${why}`);
}
