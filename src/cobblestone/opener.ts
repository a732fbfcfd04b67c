/** Reassembles chunks from ciphertext of any lengths and opens them; push in, push out, no stream. */
import { EnvelopeError } from "../errors.js";
import { openChunk } from "./chunk.js";
import type { MessageKeys } from "./derivation.js";
import { headerBytes, sealedChunkBytes, tagBytes } from "./geometry.js";

/** What an {@link Opener} is going to be fed. */
export type OpenerInput =
  /** A message from its first byte; the header is handed over once and answered with the keys or a throw. */
  | { readonly readHeader: (header: Buffer) => MessageKeys; readonly endsMessage: true }
  /** Whole chunks from the given one on: to the end of the message, or to the end of a full chunk. */
  | { readonly keys: MessageKeys; readonly firstChunk: number; readonly endsMessage: boolean };

/** Opens a message, or a run of its chunks. What it returns has verified; after a failure it only fails. */
export class Opener {
  readonly #input: OpenerInput;
  readonly #partial = Buffer.allocUnsafeSlow(sealedChunkBytes);
  #partialBytes = 0;
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
      let read = 0;
      while (true) {
        const wanted = (this.#keys ? sealedChunkBytes : headerBytes) - this.#partialBytes;
        const part = input.subarray(read, read + wanted);
        if (part.length < wanted) {
          this.#hold(part);
          return plaintext;
        }
        read += wanted;
        const whole = this.#partialBytes > 0 ? this.#hold(part) : part;
        if (this.#keys) plaintext.push(openChunk(this.#keys, this.#index++, whole));
        else if ("readHeader" in this.#input) this.#keys = this.#input.readHeader(Buffer.from(whole));
        this.#partialBytes = 0;
      }
    });
  }

  /**
   * Says that the input has ended and returns the plaintext of the last chunk, if that is part of the input.
   *
   * @throws EnvelopeError `BODY_TRUNCATED`, `DECRYPTION_FAILED`
   */
  final(): Buffer[] {
    return this.#attempt(() => {
      if (!this.#input.endsMessage && this.#partialBytes === 0) return [];
      if (!this.#input.endsMessage || !this.#keys || this.#partialBytes < tagBytes) throw truncated();
      return [openChunk(this.#keys, this.#index, this.#partial.subarray(0, this.#partialBytes))];
    });
  }

  #hold(part: Uint8Array): Buffer {
    this.#partial.set(part, this.#partialBytes);
    this.#partialBytes += part.length;
    return this.#partial.subarray(0, this.#partialBytes);
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
