/** Seals, opens and compares chunk ranges in place, on a worker if one is free. */
import { createHash } from "node:crypto";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { batchOf, type ChunkBatch, processChunkByChunk, tagsOf } from "../batch.js";
import { openChunk, sealChunk } from "../chunk.js";
import type { MessageKeys } from "../derivation.js";
import {
  bufferStart,
  type ChunkRange,
  chunkBytes,
  fullChunks,
  headerBytes,
  sealedBytes,
  tagBytes,
  type UnalignedRange,
} from "../layout.js";
import { type CryptoEngine, poolOf } from "./engine.js";

/** One worker, because the thread that sends and receives the bytes is slower than a worker. */
const wantedWorkers = 1;

/**
 * Processes the batch at the start of a buffer. The buffer is handed over, for good if this fails. The calling thread
 * shares its event loop.
 *
 * @param messageEnd where the batch ends in its message: the first `minWorkerBytes` are not worth a worker
 * @returns the buffer, which may have moved
 * @throws EnvelopeError `DECRYPTION_FAILED`, `WORKER_FAILED`
 */
async function processBatch(
  engine: CryptoEngine,
  batch: ChunkBatch,
  messageEnd: number,
  buffer: ArrayBuffer,
): Promise<ArrayBuffer> {
  if (batch.chunks === 0) return buffer;
  const pool = poolOf(engine);
  if (pool.hasWorkers && messageEnd > pool.minWorkerBytes) {
    while (!pool.findRoom(wantedWorkers) && pool.readyWorkers > 0) await pool.changed.wait();
    if (pool.readyWorkers > 0) return pool.process(batch, buffer);
  }
  const chunks = processChunkByChunk(batch, new Uint8Array(buffer));
  while (!chunks.next().done) if (shouldYield()) await yieldToEventLoop();
  return buffer;
}

/** A chunk range after it was opened. */
export interface OpenedRange {
  /** Starts with the plaintext. */
  readonly buffer: ArrayBuffer;
  /** SHA-256 of the chunk tags. Identifies the content; reveals nothing without the key. */
  readonly tagDigest: Buffer;
}

/**
 * Verifies and decrypts the chunk range at the start of a buffer, in place. The buffer is handed over, for good if this
 * fails.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED`, `WORKER_FAILED`
 */
export async function openRange(
  engine: CryptoEngine,
  keys: MessageKeys,
  range: ChunkRange,
  buffer: ArrayBuffer,
): Promise<OpenedRange> {
  const { firstChunk, ciphertextBytes, ciphertextEnd } = range;
  const tagDigest = digestOf(tagsOf(new Uint8Array(buffer, 0, ciphertextBytes)));
  const full = fullChunks(range);
  const opened = await processBatch(engine, batchOf("open", keys, firstChunk, full), ciphertextEnd, buffer);
  if (full < range.chunks) {
    const sealed = new Uint8Array(opened, sealedBytes(full), ciphertextBytes - sealedBytes(full));
    new Uint8Array(opened).set(openChunk(keys, firstChunk + full, sealed), full * chunkBytes);
  }
  return { buffer: opened, tagDigest };
}

/** The result of {@link checkRange}. */
export interface CheckedRange {
  /** Reusable memory: its content is overwritten. */
  readonly buffer: ArrayBuffer;
  /** Whether the buffer started with the expected plaintext. */
  readonly isSame: boolean;
}

/**
 * Checks whether a buffer starts with the plaintext that {@link openRange} once made of a chunk range, by comparing the
 * tags that it would be sealed with. The sealed bytes are overwritten: if this is another plaintext, two plaintexts
 * have been sealed under one nonce, and nobody may see the second.
 *
 * @throws EnvelopeError `WORKER_FAILED`
 */
export async function checkRange(
  engine: CryptoEngine,
  keys: MessageKeys,
  range: ChunkRange,
  buffer: ArrayBuffer,
  tagDigest: Buffer,
): Promise<CheckedRange> {
  const { firstChunk, plaintextBytes, ciphertextEnd } = range;
  const full = fullChunks(range);
  const rest = new Uint8Array(buffer, full * chunkBytes, plaintextBytes - full * chunkBytes);
  const lastTag = full < range.chunks ? [sealChunk(keys, firstChunk + full, rest).tag] : [];
  const batch = batchOf("seal", keys, firstChunk, full);
  const sealed = await processBatch(engine, batch, ciphertextEnd, buffer);
  const tags = tagsOf(new Uint8Array(sealed, 0, sealedBytes(full)));
  const isSame = digestOf(Buffer.concat([tags, ...lastTag])).equals(tagDigest);
  new Uint8Array(sealed, 0, sealedBytes(full)).fill(0);
  return { buffer: sealed, isSame };
}

/** Bytes of a message after they were sealed. */
export interface SealedRange {
  /** The bytes: a view of `buffer`. */
  readonly bytes: Buffer;
  /** The memory, which may have moved. */
  readonly buffer: ArrayBuffer;
  /**
   * SHA-256 over the tags of all chunks that the range touches, in hex. Two plaintexts for the same range have different
   * digests. The digest reveals nothing that the message does not reveal.
   */
  readonly tagDigest: string;
  /** The tag of the first chunk, in hex. A chunk that two ranges touch has the same tag in both. */
  readonly firstTag: string;
  /** The tag of the last chunk, in hex. */
  readonly lastTag: string;
}

/**
 * Seals any bytes of a message. The same plaintext always yields the same bytes. A range must never be sealed and sent
 * with two different plaintexts under the same keys; its digest shows whether the plaintext is the same.
 *
 * @param buffer starts with the plaintext of the chunks that the range touches; is overwritten, and may move
 * @throws EnvelopeError `WORKER_FAILED`
 */
export async function sealRange(
  engine: CryptoEngine,
  keys: MessageKeys,
  range: UnalignedRange,
  buffer: ArrayBuffer,
): Promise<SealedRange> {
  const { firstChunk, endsMessage, plaintextBytes, ciphertextBytes, start, end } = range;
  const full = fullChunks(range);
  // Before the batch, which grows over this plaintext.
  const short = new Uint8Array(buffer, full * chunkBytes, plaintextBytes - full * chunkBytes);
  const last = endsMessage ? sealChunk(keys, firstChunk + full, short) : undefined;
  const batch = batchOf("seal", keys, firstChunk, full);
  const sealed = Buffer.from(await processBatch(engine, batch, end, buffer));
  if (last) {
    sealed.set(last.ciphertext, sealedBytes(full));
    sealed.set(last.tag, sealedBytes(full) + last.ciphertext.length);
  }
  const tags = tagsOf(sealed.subarray(0, ciphertextBytes));
  if (start < headerBytes) {
    await moveUp(sealed, ciphertextBytes, headerBytes);
    sealed.set(keys.header);
  }
  const offset = bufferStart(start, range);
  return {
    bytes: sealed.subarray(start - offset, end - offset),
    buffer: sealed.buffer as ArrayBuffer,
    tagDigest: digestOf(tags).toString("hex"),
    firstTag: tags.toString("hex", 0, tagBytes),
    lastTag: tags.toString("hex", tags.length - tagBytes),
  };
}

function digestOf(tags: Buffer): Buffer {
  return createHash("sha256").update(tags).digest();
}

/** The event loop may run other callbacks after this many bytes were moved. */
const maxMovedBytes = 1024 * 1024;

/** Moves the first `length` bytes up by `by`, from the last to the first. */
async function moveUp(buffer: Buffer, length: number, by: number): Promise<void> {
  for (let end = length; end > 0; end -= maxMovedBytes) {
    const start = Math.max(0, end - maxMovedBytes);
    buffer.copyWithin(start + by, start, end);
    if (shouldYield()) await yieldToEventLoop();
  }
}
