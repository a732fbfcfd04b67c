/** Seals and opens messages whose bytes arrive in pieces of any lengths. Bytes in, bytes out; no streams, no promises. */
import { EnvelopeError } from "../../base/errors.js";
import { batchOf, type ChunkBatch } from "../batch.js";
import { openChunk, sealChunk } from "../chunk.js";
import type { MessageKeys } from "../derivation.js";
import type { BatchCodec } from "../engine/pipeline.js";
import { chunkBytes, headerBytes, sealedChunkBytes, tagBytes } from "../layout.js";

/** Seals one message from its start to its end. Holds back fewer than 16,384 plaintext bytes. */
export class Sealer implements BatchCodec {
  readonly inputUnit = chunkBytes;
  readonly #keys: MessageKeys;
  readonly #splitter = new ChunkSplitter(chunkBytes);
  #index = 0;

  constructor(keys: MessageKeys) {
    this.#keys = keys;
  }

  /** Takes more plaintext and returns the pieces of the message that are complete, often none. */
  update(input: Uint8Array): Buffer[] {
    const pieces: Buffer[] = [];
    this.#splitter.split(input, (chunks) => {
      for (let start = 0; start < chunks.length; start += chunkBytes) {
        this.#seal(chunks.subarray(start, start + chunkBytes), pieces);
      }
    });
    return pieces;
  }

  /** Ends the message and returns its last pieces: those of the short chunk that ends every message. */
  final(): Buffer[] {
    const pieces: Buffer[] = [];
    this.#seal(this.#splitter.rest, pieces);
    this.#splitter.wipe();
    return pieces;
  }

  split(input: Uint8Array, onChunks: (chunks: Uint8Array) => void): void {
    this.#splitter.split(input, onChunks);
  }

  /** Whether the header has been returned, which only {@link update} does. */
  get isReady(): boolean {
    return this.#index > 0;
  }

  nextBatch(chunks: number): ChunkBatch {
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

/** The input of an {@link Opener}. */
export type OpenerInput =
  /** A message from its first byte. `readHeader` receives the header once, and returns the keys or throws. */
  | { readonly readHeader: (header: Buffer) => MessageKeys; readonly endsMessage: true }
  /** Whole chunks, beginning with the given one: to the end of the message, or to the end of a full chunk. */
  | { readonly keys: MessageKeys; readonly firstChunk: number; readonly endsMessage: boolean };

/** Opens a message or consecutive chunks of one. All bytes that it returns have verified; after a failure it only fails. */
export class Opener implements BatchCodec {
  readonly inputUnit = sealedChunkBytes;
  readonly #input: OpenerInput;
  readonly #splitter = new ChunkSplitter(sealedChunkBytes);
  /** The bytes of the header so far. */
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
   * Takes more of the message and returns the plaintext of the chunks that are complete.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`
   */
  update(input: Uint8Array): Buffer[] {
    return this.#guard(() => {
      const plaintext: Buffer[] = [];
      const chunks = this.#afterHeader(input);
      const keys = this.#keys;
      if (!keys) return plaintext;
      this.#splitter.split(chunks, (sealed) => {
        for (let start = 0; start < sealed.length; start += sealedChunkBytes) {
          plaintext.push(openChunk(keys, this.#index++, sealed.subarray(start, start + sealedChunkBytes)));
        }
      });
      return plaintext;
    });
  }

  /**
   * Ends the input and returns the plaintext of the last chunk, if that is part of the input.
   *
   * @throws EnvelopeError `BODY_TRUNCATED`, `DECRYPTION_FAILED`
   */
  final(): Buffer[] {
    return this.#guard(() => {
      const { rest } = this.#splitter;
      if (!this.#input.endsMessage && rest.length === 0) return [];
      if (!this.#input.endsMessage || !this.#keys || rest.length < tagBytes) throw truncated();
      return [openChunk(this.#keys, this.#index, rest)];
    });
  }

  /** Whether the keys are known, from the header, which only {@link update} reads. */
  get isReady(): boolean {
    return this.#keys !== undefined;
  }

  split(input: Uint8Array, onChunks: (chunks: Uint8Array) => void): void {
    this.#splitter.split(input, onChunks);
  }

  nextBatch(chunks: number): ChunkBatch {
    if (!this.#keys) throw new Error("unreachable: it is ready");
    const firstChunk = this.#index;
    this.#index += chunks;
    return batchOf("open", this.#keys, firstChunk, chunks);
  }

  /** Reads the header, unless it has been read, and returns the bytes after it. */
  #afterHeader(input: Uint8Array): Uint8Array {
    if (this.#keys || !("readHeader" in this.#input)) return input;
    const missing = headerBytes - this.#header.length;
    this.#header = Buffer.concat([this.#header, input.subarray(0, missing)]);
    if (this.#header.length === headerBytes) this.#keys = this.#input.readHeader(this.#header);
    return input.subarray(missing);
  }

  #guard(open: () => Buffer[]): Buffer[] {
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

/** Splits input of any lengths into whole chunks. Holds back fewer bytes than one chunk. */
class ChunkSplitter {
  readonly #chunkBytes: number;
  /** As large as the first bytes that it held, then as large as a chunk. */
  #partial = Buffer.alloc(0);
  #partialBytes = 0;

  /** @param bytes the size of a chunk in the input */
  constructor(bytes: number) {
    this.#chunkBytes = bytes;
  }

  /** Takes more input and passes on the chunks that are now whole, one or more at a time, valid until `onChunks` returns. */
  split(input: Uint8Array, onChunks: (chunks: Uint8Array) => void): void {
    const bytes = this.#chunkBytes;
    if (this.#partialBytes + input.length < bytes) {
      this.#hold(input);
      return;
    }
    let rest = input;
    if (this.#partialBytes > 0) {
      const missing = bytes - this.#partialBytes;
      this.#hold(rest.subarray(0, missing));
      this.#partialBytes = 0;
      onChunks(this.#partial);
      rest = rest.subarray(missing);
    }
    const whole = rest.length - (rest.length % bytes);
    if (whole > 0) onChunks(rest.subarray(0, whole));
    this.#hold(rest.subarray(whole));
  }

  /** The bytes that are held back. */
  get rest(): Buffer {
    return this.#partial.subarray(0, this.#partialBytes);
  }

  /** Overwrites the bytes that are held back. */
  wipe(): void {
    this.#partial.fill(0);
  }

  #hold(bytes: Uint8Array): void {
    if (this.#partialBytes + bytes.length > this.#partial.length) this.#grow(bytes.length);
    this.#partial.set(bytes, this.#partialBytes);
    this.#partialBytes += bytes.length;
  }

  /** The first allocation is small, because a short message needs no memory for a whole chunk. */
  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafeSlow(this.#partial.length === 0 ? bytes : this.#chunkBytes);
    grown.set(this.rest);
    this.wipe();
    this.#partial = grown;
  }
}
