/** Seals and opens a run of full chunks in the buffer that holds them; a worker thread is sent such buffers. */
import type { KeyObject } from "node:crypto";
import { type ChunkKeys, openChunk, sealChunk } from "./chunk.js";
import { chunkBytes, sealedChunkBytes, tagBytes } from "./layout.js";

/** Full chunks of one message that follow one another. */
export interface ChunkBatch {
  readonly kind: "seal" | "open";
  readonly key: KeyObject;
  /** The nonce of chunk 0, in memory of its own: a copy for a worker takes all memory behind a view along. */
  readonly baseNonce: Uint8Array;
  /** Index of the first chunk. */
  readonly firstChunk: number;
  /** How many chunks. */
  readonly chunks: number;
}

/** A run of the message that has these keys. */
export function batchOf(
  kind: ChunkBatch["kind"],
  keys: ChunkKeys,
  firstChunk: number,
  chunks: number,
): ChunkBatch {
  return { kind, key: keys.key, baseNonce: Uint8Array.from(keys.baseNonce), firstChunk, chunks };
}

/**
 * Works on the run that starts at the start of the slab, in place: plaintext, chunk after chunk, becomes the
 * stretch of the message that holds it, or the other way round.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED`; then the slab has been overwritten with zeros
 */
export function workInPlace(run: ChunkBatch, slab: Uint8Array): void {
  const steps = stepsInPlace(run, slab);
  while (!steps.next().done);
}

/** The same as {@link workInPlace}, one chunk at each step. */
export function* stepsInPlace(run: ChunkBatch, slab: Uint8Array): Generator<undefined, undefined> {
  const { key, firstChunk, chunks } = run;
  const keys = { key, baseNonce: Buffer.from(run.baseNonce) };
  if (run.kind === "open") {
    try {
      for (let chunk = 0; chunk < chunks; chunk++) {
        const start = chunk * sealedChunkBytes;
        const sealed = slab.subarray(start, start + sealedChunkBytes);
        slab.set(openChunk(keys, firstChunk + chunk, sealed), chunk * chunkBytes);
        yield;
      }
    } catch (error) {
      slab.fill(0);
      throw error;
    }
    return;
  }
  for (let chunk = chunks - 1; chunk >= 0; chunk--) {
    sealInPlace(keys, firstChunk, chunk, slab);
    yield;
  }
}

/**
 * Seals one of the chunks that start at the start of the slab. They go from the last to the first, as what a chunk
 * becomes overlaps the plaintext of the next.
 */
function sealInPlace(keys: ChunkKeys, firstChunk: number, chunk: number, slab: Uint8Array): void {
  const plaintext = slab.subarray(chunk * chunkBytes, (chunk + 1) * chunkBytes);
  const { ciphertext, tag } = sealChunk(keys, firstChunk + chunk, plaintext);
  slab.set(ciphertext, chunk * sealedChunkBytes);
  slab.set(tag, chunk * sealedChunkBytes + chunkBytes);
}

/** Bytes at the start of the slab that hold the run once it has been worked on. */
export function workedBytes({ kind, chunks }: ChunkBatch): number {
  return chunks * (kind === "seal" ? sealedChunkBytes : chunkBytes);
}

/** The tags of sealed chunks that lie one behind the other, all full but the last. */
export function tagsOf(sealed: Uint8Array): Buffer {
  const tags = Buffer.allocUnsafe(Math.ceil(sealed.length / sealedChunkBytes) * tagBytes);
  for (let chunk = 0; chunk * tagBytes < tags.length; chunk++) {
    const end = Math.min((chunk + 1) * sealedChunkBytes, sealed.length);
    tags.set(sealed.subarray(end - tagBytes, end), chunk * tagBytes);
  }
  return tags;
}
