/**
 * The layout of a Cobblestone-256 message: sizes, offsets and ranges. format.md 3 specifies them. All chunk arithmetic of
 * this package is here; code outside this folder never sees the size of a chunk.
 */
import { integerArgument } from "../base/arguments.js";
import { EnvelopeError } from "../base/errors.js";

/** Bytes of the salt at the start of a message. */
export const saltBytes = 24;
/** Bytes of the key commitment that follows the salt. */
export const commitmentBytes = 32;
/** Bytes before chunk 0. */
export const headerBytes = saltBytes + commitmentBytes;
/** Plaintext bytes of every chunk except the last, which has fewer. */
export const chunkBytes = 16_384;
/** Bytes of the AES-GCM tag at the end of each chunk. */
export const tagBytes = 16;
/** Bytes of a full chunk in the message. */
export const sealedChunkBytes = chunkBytes + tagBytes;
/** The maximum number of chunks in a message. */
export const maxChunks = 2 ** 38;
/** The longest plaintext, in bytes: 4 PiB less one. */
export const maxPlaintextBytes = maxChunks * chunkBytes - 1;

const maxCiphertextBytes = chunkOffset(maxChunks) - 1;

/** Offset of chunk `index` in the message. */
export function chunkOffset(index: number): number {
  return headerBytes + index * sealedChunkBytes;
}

/** Number of chunks for a plaintext of this many bytes; at least one. */
export function chunkCount(plaintextLength: number): number {
  return Math.floor(plaintextLength / chunkBytes) + 1;
}

/**
 * The exact size of the message that holds `plaintextLength` bytes; the inverse of `plaintextLength`.
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
 * The exact size of the plaintext in a message of `ciphertextLength` bytes, which HEAD and LIST report as the size of the
 * object; the inverse of `ciphertextLength`.
 *
 * @param ciphertextLength bytes
 * @returns bytes
 * @throws EnvelopeError `BODY_TRUNCATED` when no message has this size
 * @throws TypeError, RangeError when it is not a size
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

/** Consecutive chunks of one message, and where they lie in it. */
export interface ChunkRange {
  /** Index of the first chunk. */
  readonly firstChunk: number;
  /** Number of chunks, at least one. */
  readonly chunks: number;
  /** Whether the last of them is the last chunk of the message, which is never a full one. */
  readonly endsMessage: boolean;
  /** Offset of the first chunk in the plaintext of the message. */
  readonly plaintextStart: number;
  /** Offset in the plaintext at which the last chunk ends. */
  readonly plaintextEnd: number;
  /** Size of the plaintext of these chunks. */
  readonly plaintextBytes: number;
  /** Offset of the first chunk in the message. */
  readonly ciphertextStart: number;
  /** Offset in the message at which the last chunk ends, its tag included. */
  readonly ciphertextEnd: number;
  /** Size of these chunks in the message. */
  readonly ciphertextBytes: number;
}

/**
 * The range of at most `maxChunks` chunks that begins with chunk `firstChunk`.
 *
 * @param plaintextLength bytes in the whole message; without it the chunks count as full ones before the last
 */
export function chunkRange(
  firstChunk: number,
  maxChunks: number,
  plaintextLength = Number.POSITIVE_INFINITY,
): ChunkRange {
  const all = chunkCount(plaintextLength);
  const chunks = Math.min(maxChunks, all - firstChunk);
  const endsMessage = firstChunk + chunks === all;
  const plaintextStart = firstChunk * chunkBytes;
  const plaintextEnd = endsMessage ? plaintextLength : (firstChunk + chunks) * chunkBytes;
  const plaintextBytes = plaintextEnd - plaintextStart;
  const ciphertextStart = chunkOffset(firstChunk);
  const ciphertextBytes = plaintextBytes + chunks * tagBytes;
  return {
    firstChunk,
    chunks,
    endsMessage,
    plaintextStart,
    plaintextEnd,
    plaintextBytes,
    ciphertextStart,
    ciphertextEnd: ciphertextStart + ciphertextBytes,
    ciphertextBytes,
  };
}

/** The number of full chunks in a range: those that a batch can hold. */
export function fullChunks({ chunks, endsMessage }: ChunkRange): number {
  return endsMessage ? chunks - 1 : chunks;
}

/**
 * The chunks to read for plaintext bytes `start` (included) to `end` (excluded); `end` is above `start`. Bytes that
 * reach the end of the plaintext include the last chunk, even if it is empty, because only that proves the end.
 *
 * @param plaintextLength bytes in the whole message; without it the chunks count as full ones before the last
 */
export function chunksOfPlaintext(start: number, end: number, plaintextLength?: number): ChunkRange {
  const firstChunk = chunkIndex(start);
  const endChunk = end === plaintextLength ? chunkCount(end) : chunkIndex(end - 1) + 1;
  return chunkRange(firstChunk, endChunk - firstChunk, plaintextLength);
}

/** Index of the chunk that holds the plaintext byte at this offset. */
export function chunkIndex(plaintextOffset: number): number {
  return Math.floor(plaintextOffset / chunkBytes);
}

/** Index of the chunk that holds this byte of the message; 0 for the header. */
function chunkIndexInMessage(offset: number): number {
  return Math.max(0, Math.floor((offset - headerBytes) / sealedChunkBytes));
}

/** Offset in the message of the first chunk that begins at `offset` or after it. */
export function nextChunkOffset(offset: number): number {
  return chunkOffset(Math.max(0, Math.ceil((offset - headerBytes) / sealedChunkBytes)));
}

/** Size of this many full chunks in the message, which is also the buffer size to seal or open them in place. */
export function sealedBytes(chunks: number): number {
  return chunks * sealedChunkBytes;
}

/**
 * The bytes of a message to request for plaintext bytes `start` (included) to `end` (excluded) when its length is
 * unknown. If the plaintext could end there, they reach into the next chunk by a tag, which is all that an empty last
 * chunk has.
 *
 * @returns offsets in the message, the end excluded
 */
export function bytesToRequest(start: number, end: number): { readonly start: number; readonly end: number } {
  const { ciphertextStart, ciphertextEnd } = chunksOfPlaintext(start, end);
  return { start: ciphertextStart, end: ciphertextEnd + (end % chunkBytes === 0 ? tagBytes : 0) };
}

/** How many bytes to request from the end of a message of unknown length for its last `plaintextBytes`. */
export function lastBytesToRequest(plaintextBytes: number): number {
  // One chunk more than the plaintext can fill, because it may begin in the middle of one.
  return plaintextBytes + chunkBytes + (chunkCount(plaintextBytes) + 1) * tagBytes;
}

/**
 * How many plaintext bytes the first `ciphertextBytes` of a message hold: bytes of the header and of tags do not count.
 *
 * @param plaintextLength bytes in the whole message or, while it is being written, bytes read so far
 */
export function plaintextBytesIn(ciphertextBytes: number, plaintextLength: number): number {
  const index = chunkIndexInMessage(ciphertextBytes);
  const inChunk = Math.min(Math.max(0, ciphertextBytes - chunkOffset(index)), chunkBytes);
  return Math.min(index * chunkBytes + inChunk, plaintextLength);
}

/** How many plaintext bytes it takes to make the first `ciphertextBytes` of a message, and at least one byte more. */
export function plaintextBytesFor(ciphertextBytes: number): number {
  return (chunkIndexInMessage(ciphertextBytes) + 1) * chunkBytes;
}

/** Bytes of a message that need not begin or end at a chunk boundary, and the chunks that they touch. */
export interface UnalignedRange extends ChunkRange {
  /** Offset of the first byte. */
  readonly start: number;
  /** Offset after the last byte. */
  readonly end: number;
  /** Size of the buffer in which the chunks are sealed, with the header if the bytes touch it. */
  readonly bufferBytes: number;
}

/** Bytes `start` (included) to `end` (excluded) of the message that holds `plaintextLength` bytes. */
export function unalignedRange(start: number, end: number, plaintextLength: number): UnalignedRange {
  const firstChunk = chunkIndexInMessage(start);
  const range = chunkRange(firstChunk, chunkIndexInMessage(end - 1) - firstChunk + 1, plaintextLength);
  return { ...range, start, end, bufferBytes: range.ciphertextEnd - bufferStart(start, range) };
}

/** Offset in the message at which the buffer of an unaligned range begins: at the header or at the first chunk. */
export function bufferStart(start: number, { ciphertextStart }: ChunkRange): number {
  return start < headerBytes ? 0 : ciphertextStart;
}

/** A buffer size that is enough for every unaligned range of this many bytes. */
export function maxBufferBytes(rangeBytes: number): number {
  return headerBytes + (Math.ceil(rangeBytes / sealedChunkBytes) + 1) * sealedChunkBytes;
}
