/** A window: chunks of one message that follow one another and lie in one slab, opened or checked in place. */
import { createHash } from "node:crypto";
import { batchBufferBytes, batchOf, tagsOf } from "../batch.js";
import { openChunk, sealChunk } from "../chunk.js";
import type { MessageKeys } from "../derivation.js";
import type { CryptoEngine } from "../engine/engine.js";
import { processBatch } from "../engine/process-batch.js";
import { chunkBytes, chunkCount, chunkOffset, tagBytes } from "../layout.js";

/** Where a window lies. */
export interface Window {
  readonly firstChunk: number;
  readonly chunks: number;
  /** Where its plaintext begins in that of the message. */
  readonly plaintextStart: number;
  readonly plaintextBytes: number;
  /** Where it begins in the message. */
  readonly ciphertextStart: number;
  readonly ciphertextBytes: number;
  /** Whether its last chunk is the last of the message: the short one. */
  readonly endsMessage: boolean;
}

/**
 * The window of at most so many chunks that begins with this one.
 *
 * @param plaintextLength bytes of the whole message's plaintext
 */
export function windowAt(firstChunk: number, maxChunks: number, plaintextLength: number): Window {
  const all = chunkCount(plaintextLength);
  const chunks = Math.min(maxChunks, all - firstChunk);
  const endsMessage = firstChunk + chunks === all;
  const plaintextStart = firstChunk * chunkBytes;
  const plaintextBytes = endsMessage ? plaintextLength - plaintextStart : chunks * chunkBytes;
  return {
    firstChunk,
    chunks,
    plaintextStart,
    plaintextBytes,
    ciphertextStart: chunkOffset(firstChunk),
    ciphertextBytes: plaintextBytes + chunks * tagBytes,
    endsMessage,
  };
}

/** A window that has been opened. */
export interface OpenedWindow {
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
export async function openWindow(
  engine: CryptoEngine,
  keys: MessageKeys,
  window: Window,
  slab: ArrayBuffer,
): Promise<OpenedWindow> {
  const { firstChunk, ciphertextBytes } = window;
  const tagDigest = digestOf(tagsOf(new Uint8Array(slab, 0, ciphertextBytes)));
  const full = fullChunks(window);
  const opened = await processBatch(engine, batchOf("open", keys, firstChunk, full), endOf(window), slab);
  if (full < window.chunks) {
    const sealed = new Uint8Array(opened, batchBufferBytes(full), ciphertextBytes - batchBufferBytes(full));
    new Uint8Array(opened).set(openChunk(keys, firstChunk + full, sealed), full * chunkBytes);
  }
  return { slab: opened, tagDigest };
}

/** A slab, and whether it began with what was expected. */
export interface CheckedWindow {
  readonly slab: ArrayBuffer;
  readonly isSame: boolean;
}

/**
 * Tells whether a slab begins with the plaintext that {@link openWindow} once made of a window, by the tags that it
 * would be sealed with. What it is sealed to stays in the slab, which is only good for being filled again: if it is
 * not that plaintext, two plaintexts have been sealed under one nonce.
 *
 * @throws EnvelopeError `WORKER_FAILED`
 */
export async function checkWindow(
  engine: CryptoEngine,
  keys: MessageKeys,
  window: Window,
  slab: ArrayBuffer,
  tagDigest: Buffer,
): Promise<CheckedWindow> {
  const { firstChunk, plaintextBytes } = window;
  const full = fullChunks(window);
  const rest = new Uint8Array(slab, full * chunkBytes, plaintextBytes - full * chunkBytes);
  const lastTag = full < window.chunks ? [sealChunk(keys, firstChunk + full, rest).tag] : [];
  const sealed = await processBatch(engine, batchOf("seal", keys, firstChunk, full), endOf(window), slab);
  const tags = tagsOf(new Uint8Array(sealed, 0, batchBufferBytes(full)));
  const isSame = digestOf(Buffer.concat([tags, ...lastTag])).equals(tagDigest);
  new Uint8Array(sealed, 0, batchBufferBytes(full)).fill(0);
  return { slab: sealed, isSame };
}

/** The last chunk of a message is never a full one. */
function fullChunks({ chunks, endsMessage }: Window): number {
  return endsMessage ? chunks - 1 : chunks;
}

function digestOf(tags: Buffer): Buffer {
  return createHash("sha256").update(tags).digest();
}

function endOf({ ciphertextStart, ciphertextBytes }: Window): number {
  return ciphertextStart + ciphertextBytes;
}
