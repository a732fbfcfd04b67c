/** Cuts ciphertext into upload parts: how large each is, and the buffers that hold them. */

import { EnvelopeError } from "../base/errors.js";
import { chunkBytes, headerBytes, sealedChunkBytes, tagBytes } from "../cobblestone/layout.js";
import type { Lease } from "./memory-budget.js";
import type { PartLeases } from "./part-leases.js";

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
  /** Where it starts in the message. */
  readonly start: number;
  /** How many bytes it has. */
  readonly length: number;
  /** Whether no other follows. */
  readonly isLast: boolean;
  /** The ciphertext, in memory of its own that is not shared with anything; empty once it was released. */
  readonly bytes: Buffer;
  /**
   * Lets others have its share of the budget; to be called once its request is over, and with true only if nobody
   * can read `bytes` any more: their memory is then used for another part. Fresh memory for each part would cost more
   * than all else that is done with it here.
   */
  readonly release: (isUnread: boolean) => void;
}

/** How {@link assembleParts} goes about it. */
export interface Assembly {
  readonly sizes: PartSizes;
  /** Bytes of all parts, if known; saves memory for small bodies. */
  readonly ciphertextLength?: number | undefined;
  readonly shares: PartLeases;
  /** Called when so many bytes of the message may be held, and one more to know whether there is one. */
  readonly onRoom: (ciphertextBytes: number) => void;
  /** Called before a wait for room; what it lets go of is not in the budget. */
  readonly onWait: () => void;
}

/**
 * Joins pieces of ciphertext into parts. Takes a share of the budget before it takes the memory of a part, and
 * before it asks for the first piece.
 *
 * @throws EnvelopeError `SOURCE_TOO_LARGE` at the 10,001st part
 */
export async function* assembleParts(
  pieces: AsyncIterable<Buffer>,
  { sizes, ciphertextLength = Number.POSITIVE_INFINITY, shares, onRoom, onWait }: Assembly,
): AsyncGenerator<Part, undefined> {
  let partNumber = 1;
  let start = 0;
  let partBytes = Math.min(sizes(partNumber), ciphertextLength);
  let share = await shares.wait(partBytes);
  onRoom(partBytes);
  let buffer = new PartBuffer(share, partBytes, firstBufferBytes);
  for await (const piece of pieces) {
    let rest = piece;
    while (rest.length > 0) {
      if (buffer.filled === partBytes) {
        if (partNumber === maxParts) {
          throw tooLarge("it needs more than 10,000 parts: state ContentLength, or a larger partSizeBytes");
        }
        yield partOf(partNumber, start, false, buffer, share.release);
        partNumber += 1;
        start += partBytes;
        partBytes = Math.min(sizes(partNumber), ciphertextLength - start);
        let next = shares.now(partBytes);
        if (!next) {
          // Not to hold all that it is a view of.
          rest = ownCopy(rest);
          onWait();
          next = await shares.wait(partBytes);
        }
        share = next;
        onRoom(start + partBytes);
        buffer = new PartBuffer(share, partBytes, partBytes);
      }
      rest = rest.subarray(buffer.fill(rest));
    }
  }
  yield partOf(partNumber, start, true, buffer, share.release);
  return undefined;
}

const nothing: Buffer = Buffer.alloc(0);

/**
 * The memory of one part. It alone refers to it: a generator that waits keeps all that it has ever had in hand alive,
 * and memory that was let go of is not in the budget.
 */
class PartBuffer {
  readonly #partBytes: number;
  #memory: Buffer;
  /** Bytes that have been filled in. */
  filled = 0;

  /** @param firstBytes bytes to begin with where the share has no memory; a whole part once it holds more */
  constructor(share: Lease, partBytes: number, firstBytes: number) {
    this.#partBytes = partBytes;
    this.#memory = share.memory ?? Buffer.allocUnsafeSlow(Math.min(partBytes, firstBytes));
  }

  /** Takes as many of the bytes as there is room for in memory, and says how many. */
  fill(bytes: Buffer): number {
    if (this.filled === this.#memory.length) {
      const whole = Buffer.allocUnsafeSlow(this.#partBytes);
      this.#memory.copy(whole);
      this.#memory = whole;
    }
    const copied = bytes.copy(this.#memory, this.filled);
    this.filled += copied;
    return copied;
  }

  /** What has been filled in; nothing once it was let go of. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.filled);
  }

  /** Lets go of all memory and returns it. */
  letGo(): Buffer {
    const memory = this.#memory;
    this.#memory = nothing;
    return memory;
  }
}

function partOf(
  partNumber: number,
  start: number,
  isLast: boolean,
  buffer: PartBuffer,
  giveBack: (unread?: Buffer) => void,
): Part {
  const release = (isUnread: boolean) => {
    const memory = buffer.letGo();
    giveBack(isUnread ? memory : undefined);
  };
  return {
    partNumber,
    start,
    length: buffer.filled,
    isLast,
    get bytes() {
      return buffer.bytes;
    },
    release,
  };
}

function ownCopy(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

/** Plaintext bytes that the first `ciphertextBytes` of a message hold, those of the last chunk less its tag. */
export function plaintextBytesBefore(ciphertextBytes: number): number {
  const chunked = Math.max(ciphertextBytes - headerBytes, 0);
  const last = chunked % sealedChunkBytes;
  return ((chunked - last) / sealedChunkBytes) * chunkBytes + Math.max(last - tagBytes, 0);
}

function tooLarge(why: string): EnvelopeError {
  return new EnvelopeError("SOURCE_TOO_LARGE", `Body: ${why}`);
}
