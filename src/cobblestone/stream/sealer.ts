/** Cuts plaintext of any lengths into chunks and seals them; push in, push out, no stream. */

import { batchOf, type ChunkBatch } from "../batch.js";
import { sealChunk } from "../chunk.js";
import type { MessageKeys } from "../derivation.js";
import type { BatchCodec } from "../engine/pipeline.js";
import { chunkBytes } from "../layout.js";
import { ChunkSplitter } from "./chunk-splitter.js";

/** Seals one message from its start to its end. Holds back fewer than 16,384 plaintext bytes. */
export class Sealer implements BatchCodec {
  readonly inputUnit = chunkBytes;
  readonly #keys: MessageKeys;
  readonly #cutter = new ChunkSplitter(chunkBytes);
  #index = 0;

  constructor(keys: MessageKeys) {
    this.#keys = keys;
  }

  /** Takes more plaintext and returns the pieces of the message that are ready, often none. */
  update(input: Uint8Array): Buffer[] {
    const pieces: Buffer[] = [];
    this.#cutter.cut(input, (chunks) => {
      for (let start = 0; start < chunks.length; start += chunkBytes) {
        this.#seal(chunks.subarray(start, start + chunkBytes), pieces);
      }
    });
    return pieces;
  }

  /** Ends the message and returns its last pieces: the short chunk that every message ends with. */
  final(): Buffer[] {
    const pieces: Buffer[] = [];
    this.#seal(this.#cutter.rest, pieces);
    this.#cutter.wipe();
    return pieces;
  }

  cut(input: Uint8Array, use: (chunks: Uint8Array) => void): void {
    this.#cutter.cut(input, use);
  }

  /** Whether the header has been handed out, which {@link update} alone does. */
  get isReady(): boolean {
    return this.#index > 0;
  }

  takeRun(chunks: number): ChunkBatch {
    const firstChunk = this.#index;
    this.#index += chunks;
    return batchOf("seal", this.#keys, firstChunk, chunks);
  }

  #seal(plaintext: Uint8Array, pieces: Buffer[]): void {
    if (this.#index === 0) pieces.push(this.#keys.header);
    const { ciphertext, tag } = sealChunk(this.#keys, this.#index++, plaintext);
    pieces.push(ciphertext, tag);
  }
}
