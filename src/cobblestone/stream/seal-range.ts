/** Seals any window of a message by itself, in the memory that its plaintext was read into. */
import { createHash } from "node:crypto";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { batchOf, tagsOf } from "../batch.js";
import { sealChunk } from "../chunk.js";
import type { MessageKeys } from "../derivation.js";
import type { CryptoEngine } from "../engine/engine.js";
import { processBatch } from "../engine/process-batch.js";
import {
  chunkBytes,
  chunkCount,
  chunkOffset,
  ciphertextLength,
  headerBytes,
  sealedChunkBytes,
  tagBytes,
} from "../layout.js";

/** Bytes `start` to `end` of a message, and what it takes to make them. */
export interface MessageWindow {
  readonly start: number;
  readonly end: number;
  /** Plaintext bytes of all chunks that the window touches: from here on, */
  readonly plaintextStart: number;
  /** and up to here. */
  readonly plaintextEnd: number;
  readonly firstChunk: number;
  readonly lastChunk: number;
  /** Whether the last chunk is the message's last, the short one. */
  readonly endsMessage: boolean;
  /** Bytes of memory that it is made in. */
  readonly slabBytes: number;
}

/** The window from byte `start` (included) to `end` (excluded) of the message that holds so much plaintext. */
export function messageWindow(plaintextLength: number, start: number, end: number): MessageWindow {
  const last = chunkCount(plaintextLength) - 1;
  const chunkAt = (offset: number) => Math.max(0, Math.floor((offset - headerBytes) / sealedChunkBytes));
  const firstChunk = chunkAt(start);
  const lastChunk = chunkAt(end - 1);
  const endsMessage = lastChunk === last;
  const sealedEnd = endsMessage ? ciphertextLength(plaintextLength) : chunkOffset(lastChunk + 1);
  return {
    start,
    end,
    plaintextStart: firstChunk * chunkBytes,
    plaintextEnd: endsMessage ? plaintextLength : (lastChunk + 1) * chunkBytes,
    firstChunk,
    lastChunk,
    endsMessage,
    slabBytes: sealedEnd - slabOffset(start, firstChunk),
  };
}

/** Bytes that are enough for the slab of any window of so many bytes. */
export function maxSlabBytes(windowBytes: number): number {
  return headerBytes + (Math.ceil(windowBytes / sealedChunkBytes) + 1) * sealedChunkBytes;
}

/** Where in the message the slab starts once it has been sealed: a window that touches the header has all of it. */
function slabOffset(start: number, firstChunk: number): number {
  return start < headerBytes ? 0 : chunkOffset(firstChunk);
}

/** A window of a message. */
export interface SealedWindow {
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
export async function sealWindow(
  window: MessageWindow,
  keys: MessageKeys,
  slab: ArrayBuffer,
  engine: CryptoEngine,
): Promise<SealedWindow> {
  const { firstChunk, lastChunk, endsMessage, start, end } = window;
  const fullChunks = lastChunk - firstChunk + (endsMessage ? 0 : 1);
  // First, as the run grows over it.
  const short = new Uint8Array(slab, fullChunks * chunkBytes).subarray(0, shortBytes(window));
  const last = endsMessage ? sealChunk(keys, lastChunk, short) : undefined;
  const sealed = Buffer.from(
    await processBatch(engine, batchOf("seal", keys, firstChunk, fullChunks), end, slab),
  );
  if (last) {
    sealed.set(last.ciphertext, fullChunks * sealedChunkBytes);
    sealed.set(last.tag, fullChunks * sealedChunkBytes + last.ciphertext.length);
  }
  const lastTagEnd = fullChunks * sealedChunkBytes + (last ? last.ciphertext.length + tagBytes : 0);
  const tags = tagsOf(sealed.subarray(0, lastTagEnd));
  if (start < headerBytes) {
    await moveUp(sealed, lastTagEnd, headerBytes);
    sealed.set(keys.header);
  }
  const offset = slabOffset(start, firstChunk);
  return {
    bytes: sealed.subarray(start - offset, end - offset),
    slab: sealed.buffer as ArrayBuffer,
    tagDigest: createHash("sha256").update(tags).digest("hex"),
    firstTag: tags.toString("hex", 0, tagBytes),
    lastTag: tags.toString("hex", tags.length - tagBytes),
  };
}

/** Plaintext bytes of the message's last chunk, if the window touches it. */
function shortBytes({ endsMessage, lastChunk, plaintextEnd }: MessageWindow): number {
  return endsMessage ? plaintextEnd - lastChunk * chunkBytes : 0;
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
