/** Seals and opens full chunks together, in the buffer that holds them. Worker threads are sent such buffers. */
import type { KeyObject } from "node:crypto";
import { type ChunkKeys, openChunk, sealChunk } from "./chunk.js";
import { chunkBytes, sealedBytes, sealedChunkBytes, tagBytes } from "./layout.js";

/** Consecutive full chunks of one message, and how to process them. */
export interface ChunkBatch {
  readonly kind: "seal" | "open";
  readonly key: KeyObject;
  /** The nonce of chunk 0, in memory of its own: posting a view to a worker copies all the memory behind it. */
  readonly baseNonce: Uint8Array;
  /** Index of the first chunk. */
  readonly firstChunk: number;
  /** Number of chunks. */
  readonly chunks: number;
}

/** A batch of the message that has these keys. */
export function batchOf(
  kind: ChunkBatch["kind"],
  keys: ChunkKeys,
  firstChunk: number,
  chunks: number,
): ChunkBatch {
  return { kind, key: keys.key, baseNonce: Uint8Array.from(keys.baseNonce), firstChunk, chunks };
}

/**
 * Processes the batch at the start of a buffer, in place: the plaintext of the chunks becomes the sealed chunks, or the
 * other way round.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED`; the buffer has then been overwritten with zeros
 */
export function processInPlace(batch: ChunkBatch, buffer: Uint8Array): void {
  const chunks = processChunkByChunk(batch, buffer);
  while (!chunks.next().done);
}

/** Does the same as {@link processInPlace}, and yields after each chunk. */
export function* processChunkByChunk(batch: ChunkBatch, buffer: Uint8Array): Generator<undefined, undefined> {
  const { key, firstChunk, chunks } = batch;
  const keys = { key, baseNonce: Buffer.from(batch.baseNonce) };
  if (batch.kind === "open") {
    try {
      for (let chunk = 0; chunk < chunks; chunk++) {
        const sealed = buffer.subarray(sealedBytes(chunk), sealedBytes(chunk + 1));
        buffer.set(openChunk(keys, firstChunk + chunk, sealed), chunk * chunkBytes);
        yield;
      }
    } catch (error) {
      buffer.fill(0);
      throw error;
    }
    return;
  }
  // From the last to the first, because a sealed chunk overlaps the plaintext of the next.
  for (let chunk = chunks - 1; chunk >= 0; chunk--) {
    const plaintext = buffer.subarray(chunk * chunkBytes, (chunk + 1) * chunkBytes);
    const { ciphertext, tag } = sealChunk(keys, firstChunk + chunk, plaintext);
    buffer.set(ciphertext, sealedBytes(chunk));
    buffer.set(tag, sealedBytes(chunk) + chunkBytes);
    yield;
  }
}

/** Number of bytes at the start of the buffer that hold the result. */
export function outputBytes({ kind, chunks }: ChunkBatch): number {
  return chunks * (kind === "seal" ? sealedChunkBytes : chunkBytes);
}

/** The tags of consecutive sealed chunks, which are full except for the last. */
export function tagsOf(sealed: Uint8Array): Buffer {
  const tags = Buffer.allocUnsafe(Math.ceil(sealed.length / sealedChunkBytes) * tagBytes);
  for (let chunk = 0; chunk * tagBytes < tags.length; chunk++) {
    const end = Math.min(sealedBytes(chunk + 1), sealed.length);
    tags.set(sealed.subarray(end - tagBytes, end), chunk * tagBytes);
  }
  return tags;
}
