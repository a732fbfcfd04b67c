/** A window: chunks of one message that follow one another and lie in one slab, opened or checked in place. */
import { createHash } from "node:crypto";
import { batchOf, tagsOf } from "../batch.js";
import { openChunk, sealChunk } from "../chunk.js";
import type { MessageKeys } from "../derivation.js";
import type { CryptoEngine } from "../engine/engine.js";
import { processBatch } from "../engine/process-batch.js";
import { type ChunkRange, chunkBytes, fullChunks, sealedBytes } from "../layout.js";

/** A window that has been opened. */
export interface OpenedRange {
  /** Begins with the plaintext. */
  readonly slab: ArrayBuffer;
  /** Of the tags of its chunks: tells the window from any other, and nobody without the keys what is in it. */
  readonly tagDigest: Buffer;
}

/**
 * Verifies and decrypts in place the window that a slab begins with. The slab is handed over, for good when this
 * fails.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED`, `WORKER_FAILED`
 */
export async function openRange(
  engine: CryptoEngine,
  keys: MessageKeys,
  range: ChunkRange,
  slab: ArrayBuffer,
): Promise<OpenedRange> {
  const { firstChunk, ciphertextBytes } = range;
  const tagDigest = digestOf(tagsOf(new Uint8Array(slab, 0, ciphertextBytes)));
  const full = fullChunks(range);
  const opened = await processBatch(
    engine,
    batchOf("open", keys, firstChunk, full),
    range.ciphertextEnd,
    slab,
  );
  if (full < range.chunks) {
    const sealed = new Uint8Array(opened, sealedBytes(full), ciphertextBytes - sealedBytes(full));
    new Uint8Array(opened).set(openChunk(keys, firstChunk + full, sealed), full * chunkBytes);
  }
  return { slab: opened, tagDigest };
}

/** A slab, and whether it began with what was expected. */
export interface CheckedRange {
  readonly slab: ArrayBuffer;
  readonly isSame: boolean;
}

/**
 * Tells whether a slab begins with the plaintext that {@link openRange} once made of a window, by the tags that it
 * would be sealed with. What it is sealed to stays in the slab, which is only good for being filled again: if it is
 * not that plaintext, two plaintexts have been sealed under one nonce.
 *
 * @throws EnvelopeError `WORKER_FAILED`
 */
export async function checkRange(
  engine: CryptoEngine,
  keys: MessageKeys,
  range: ChunkRange,
  slab: ArrayBuffer,
  tagDigest: Buffer,
): Promise<CheckedRange> {
  const { firstChunk, plaintextBytes } = range;
  const full = fullChunks(range);
  const rest = new Uint8Array(slab, full * chunkBytes, plaintextBytes - full * chunkBytes);
  const lastTag = full < range.chunks ? [sealChunk(keys, firstChunk + full, rest).tag] : [];
  const sealed = await processBatch(
    engine,
    batchOf("seal", keys, firstChunk, full),
    range.ciphertextEnd,
    slab,
  );
  const tags = tagsOf(new Uint8Array(sealed, 0, sealedBytes(full)));
  const isSame = digestOf(Buffer.concat([tags, ...lastTag])).equals(tagDigest);
  new Uint8Array(sealed, 0, sealedBytes(full)).fill(0);
  return { slab: sealed, isSame };
}

function digestOf(tags: Buffer): Buffer {
  return createHash("sha256").update(tags).digest();
}
