/** Reassembles chunks from ciphertext of any lengths and opens them; push in, push out, no stream. */
import { EnvelopeError } from "../../base/errors.js";
import { batchOf, type ChunkBatch } from "../batch.js";
import { openChunk } from "../chunk.js";
import type { MessageKeys } from "../derivation.js";
import type { BatchCodec } from "../engine/pipeline.js";
import { headerBytes, sealedChunkBytes, tagBytes } from "../layout.js";
import { ChunkSplitter } from "./chunk-splitter.js";

/** What an {@link Opener} is going to be fed. */
export type OpenerInput =
  /** A message from its first byte; the header is handed over once and answered with the keys or a throw. */
  | { readonly readHeader: (header: Buffer) => MessageKeys; readonly endsMessage: true }
  /** Whole chunks from the given one on: to the end of the message, or to the end of a full chunk. */
  | { readonly keys: MessageKeys; readonly firstChunk: number; readonly endsMessage: boolean };

/** Opens a message, or a run of its chunks. What it returns has verified; after a failure it only fails. */
export class Opener implements BatchCodec {
  readonly inputUnit = sealedChunkBytes;
  readonly #input: OpenerInput;
  readonly #cutter = new ChunkSplitter(sealedChunkBytes);
  /** What has come of the header. */
  #header = Buffer.alloc(0);
  #keys: MessageKeys | undefined;
  #index: number;
  #failure: unknown;

  constructor(input: OpenerInput) {
    this.#input = input;
    this.#keys = "keys" in input ? input.keys : undefined;
    this.#index = "keys" in input ? input.firstChunk : 0;
  }

  /**
   * Takes more of the message and returns the plaintext of the chunks that are now whole.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`
   */
  update(input: Uint8Array): Buffer[] {
    return this.#attempt(() => {
      const plaintext: Buffer[] = [];
      const chunks = this.#afterHeader(input);
      const keys = this.#keys;
      if (!keys) return plaintext;
      this.#cutter.cut(chunks, (sealed) => {
        for (let start = 0; start < sealed.length; start += sealedChunkBytes) {
          plaintext.push(openChunk(keys, this.#index++, sealed.subarray(start, start + sealedChunkBytes)));
        }
      });
      return plaintext;
    });
  }

  /**
   * Says that the input has ended and returns the plaintext of the last chunk, if that is part of the input.
   *
   * @throws EnvelopeError `BODY_TRUNCATED`, `DECRYPTION_FAILED`
   */
  final(): Buffer[] {
    return this.#attempt(() => {
      const { rest } = this.#cutter;
      if (!this.#input.endsMessage && rest.length === 0) return [];
      if (!this.#input.endsMessage || !this.#keys || rest.length < tagBytes) throw truncated();
      return [openChunk(this.#keys, this.#index, rest)];
    });
  }

  /** Whether the keys are known: the header, which {@link update} alone reads, has come. */
  get isReady(): boolean {
    return this.#keys !== undefined;
  }

  cut(input: Uint8Array, use: (chunks: Uint8Array) => void): void {
    this.#cutter.cut(input, use);
  }

  takeRun(chunks: number): ChunkBatch {
    if (!this.#keys) throw new Error("unreachable: it is ready");
    const firstChunk = this.#index;
    this.#index += chunks;
    return batchOf("open", this.#keys, firstChunk, chunks);
  }

  /** Reads the header, if it has not been read, and returns what follows it. */
  #afterHeader(input: Uint8Array): Uint8Array {
    if (this.#keys || !("readHeader" in this.#input)) return input;
    const missing = headerBytes - this.#header.length;
    this.#header = Buffer.concat([this.#header, input.subarray(0, missing)]);
    if (this.#header.length === headerBytes) this.#keys = this.#input.readHeader(this.#header);
    return input.subarray(missing);
  }

  #attempt(open: () => Buffer[]): Buffer[] {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return open();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}

function truncated(): EnvelopeError {
  return new EnvelopeError(
    "BODY_TRUNCATED",
    "the encrypted body ends too early: it was cut off, or its last chunk was removed",
  );
}
