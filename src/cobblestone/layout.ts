/** Where everything lies in a Cobblestone-256 message: sizes, offsets and ranges. format.md 3 specifies them. */
import { integerArgument } from "../base/arguments.js";
import { EnvelopeError } from "../base/errors.js";

/** Bytes of the salt that opens a message. */
export const saltBytes = 24;
/** Bytes of the key commitment that follows the salt. */
export const commitmentBytes = 32;
/** Bytes before chunk 0. */
export const headerBytes = saltBytes + commitmentBytes;
/** Plaintext bytes of every chunk but the last, which holds fewer. */
export const chunkBytes = 16_384;
/** Bytes of the AES-GCM tag that closes each chunk. */
export const tagBytes = 16;
/** Bytes that a full chunk takes in the message. */
export const sealedChunkBytes = chunkBytes + tagBytes;
/** A message has at most this many chunks. */
export const maxChunks = 2 ** 38;
/** The longest plaintext, in bytes: 4 PiB less one. */
export const maxPlaintextBytes = maxChunks * chunkBytes - 1;

const maxCiphertextBytes = chunkOffset(maxChunks) - 1;

/** The position of chunk `index` in the message, in bytes from its start. */
export function chunkOffset(index: number): number {
  return headerBytes + index * sealedChunkBytes;
}

/** How many chunks a plaintext of this many bytes has; never fewer than one. */
export function chunkCount(plaintextLength: number): number {
  return Math.floor(plaintextLength / chunkBytes) + 1;
}

/**
 * The exact size of the message that holds `plaintextLength` bytes; the inverse of {@link plaintextLength}.
 *
 * @param plaintextLength bytes, 0 to 2^52 - 1
 * @returns bytes
 * @throws TypeError, RangeError for anything else
 */
export function ciphertextLength(plaintextLength: number): number {
  const length = integerArgument("plaintextLength", plaintextLength, 0, maxPlaintextBytes);
  return headerBytes + length + chunkCount(length) * tagBytes;
}

/**
 * The exact size of the plaintext inside a message of `ciphertextLength` bytes, for sizes as HEAD and LIST
 * report them; the inverse of {@link ciphertextLength}.
 *
 * @param ciphertextLength bytes
 * @returns bytes
 * @throws EnvelopeError `BODY_TRUNCATED` when no message has this size
 * @throws TypeError, RangeError when it is no size at all
 */
export function plaintextLength(ciphertextLength: number): number {
  const length = integerArgument("ciphertextLength", ciphertextLength, 0, Number.MAX_SAFE_INTEGER);
  const chunked = length - headerBytes;
  const last = chunked % sealedChunkBytes;
  if (chunked < tagBytes || last < tagBytes || length > maxCiphertextBytes) {
    throw new EnvelopeError(
      "BODY_TRUNCATED",
      `no Cobblestone-256 message has ${length} bytes: the body is truncated or is not one`,
      { details: { ciphertextLength: length } },
    );
  }
  return ((chunked - last) / sealedChunkBytes) * chunkBytes + last - tagBytes;
}

/** The chunks that hold a stretch of plaintext, and the stretch of ciphertext that holds those chunks. */
export interface ChunkSpan {
  /** Index of the first chunk. */
  readonly firstChunk: number;
  /** Index of the last chunk. */
  readonly lastChunk: number;
  /** Where the first chunk starts in the message. */
  readonly ciphertextStart: number;
  /** One past the last byte that the last chunk takes if it is a full one. */
  readonly ciphertextEnd: number;
  /** Plaintext bytes of the first chunk that come before the stretch. */
  readonly skip: number;
}

/** The chunks that hold plaintext bytes `start` (included) to `end` (excluded); `end` is above `start`. */
export function chunkSpan(start: number, end: number): ChunkSpan {
  const firstChunk = Math.floor(start / chunkBytes);
  const lastChunk = Math.floor((end - 1) / chunkBytes);
  return {
    firstChunk,
    lastChunk,
    ciphertextStart: chunkOffset(firstChunk),
    ciphertextEnd: chunkOffset(lastChunk + 1),
    skip: start - firstChunk * chunkBytes,
  };
}
