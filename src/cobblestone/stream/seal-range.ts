/** Seals any window of a message by itself, in the memory that its plaintext was read into. */
import { createHash } from "node:crypto";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { batchOf, tagsOf } from "../batch.js";
import { sealChunk } from "../chunk.js";
import type { MessageKeys } from "../derivation.js";
import type { CryptoEngine } from "../engine/engine.js";
import { processBatch } from "../engine/process-batch.js";
import {
  bufferStart,
  chunkBytes,
  fullChunks,
  headerBytes,
  sealedBytes,
  tagBytes,
  type UnalignedRange,
} from "../layout.js";

/** A window of a message. */
export interface SealedRange {
  /** The bytes: a view of `slab`. */
  readonly bytes: Buffer;
  /** The memory, which may have moved. */
  readonly slab: ArrayBuffer;
  /**
   * SHA-256 over the tags of all chunks that the window touches, in hex. Two plaintexts for the same window have
   * different digests; it tells nothing that the message does not tell.
   */
  readonly tagDigest: string;
  /** The tag of its first chunk, in hex. A chunk that lies in two windows has one tag in both. */
  readonly firstTag: string;
  /** The tag of its last chunk, in hex. */
  readonly lastTag: string;
}

/**
 * Seals a window. The same plaintext always gives the same bytes; a window must never be sealed and sent with
 * another plaintext under the same keys, which its digest tells.
 *
 * @param slab starts with the plaintext of the chunks that the window touches; is overwritten, or moves
 * @throws EnvelopeError `WORKER_FAILED`
 */
export async function sealRange(
  engine: CryptoEngine,
  keys: MessageKeys,
  range: UnalignedRange,
  slab: ArrayBuffer,
): Promise<SealedRange> {
  const { firstChunk, endsMessage, plaintextBytes, start, end } = range;
  const full = fullChunks(range);
  // First, as the run grows over it.
  const short = new Uint8Array(slab, full * chunkBytes, plaintextBytes - full * chunkBytes);
  const last = endsMessage ? sealChunk(keys, firstChunk + full, short) : undefined;
  const sealed = Buffer.from(await processBatch(engine, batchOf("seal", keys, firstChunk, full), end, slab));
  if (last) {
    sealed.set(last.ciphertext, sealedBytes(full));
    sealed.set(last.tag, sealedBytes(full) + last.ciphertext.length);
  }
  const tags = tagsOf(sealed.subarray(0, range.ciphertextBytes));
  if (start < headerBytes) {
    await moveUp(sealed, range.ciphertextBytes, headerBytes);
    sealed.set(keys.header);
  }
  const offset = bufferStart(start, range);
  return {
    bytes: sealed.subarray(start - offset, end - offset),
    slab: sealed.buffer as ArrayBuffer,
    tagDigest: createHash("sha256").update(tags).digest("hex"),
    firstTag: tags.toString("hex", 0, tagBytes),
    lastTag: tags.toString("hex", tags.length - tagBytes),
  };
}

/** Bytes that are moved at a time. */
const stepBytes = 1024 * 1024;

/** Moves the first `length` bytes up by `by`, from the last to the first. */
async function moveUp(buffer: Buffer, length: number, by: number): Promise<void> {
  for (let end = length; end > 0; end -= stepBytes) {
    const start = Math.max(0, end - stepBytes);
    buffer.copyWithin(start + by, start, end);
    if (shouldYield()) await yieldToEventLoop();
  }
}
