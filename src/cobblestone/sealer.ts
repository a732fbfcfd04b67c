/** Cuts plaintext of any lengths into chunks and seals them; push in, push out, no stream. */
import { sealChunk } from "./chunk.js";
import type { MessageKeys } from "./derivation.js";
import { chunkBytes } from "./geometry.js";

/** Seals one message from its start to its end. Holds back fewer than 16,384 plaintext bytes. */
export class Sealer {
  readonly #keys: MessageKeys;
  readonly #partial = Buffer.allocUnsafeSlow(chunkBytes);
  #partialBytes = 0;
  #index = 0;

  constructor(keys: MessageKeys) {
    this.#keys = keys;
  }

  /** Takes more plaintext and returns the pieces of the message that are ready, often none. */
  update(input: Uint8Array): Buffer[] {
    const pieces: Buffer[] = [];
    let read = 0;
    while (this.#partialBytes + input.length - read >= chunkBytes) {
      const end = read + chunkBytes - this.#partialBytes;
      if (this.#partialBytes === 0) {
        this.#seal(input.subarray(read, end), pieces);
      } else {
        this.#hold(input.subarray(read, end));
        this.#seal(this.#partial, pieces);
        this.#partialBytes = 0;
      }
      read = end;
    }
    this.#hold(input.subarray(read));
    return pieces;
  }

  /** Ends the message and returns its last pieces: the short chunk that every message ends with. */
  final(): Buffer[] {
    const pieces: Buffer[] = [];
    this.#seal(this.#partial.subarray(0, this.#partialBytes), pieces);
    this.#partial.fill(0);
    return pieces;
  }

  #seal(plaintext: Uint8Array, pieces: Buffer[]): void {
    if (this.#index === 0) pieces.push(this.#keys.header);
    const { ciphertext, tag } = sealChunk(this.#keys, this.#index++, plaintext);
    pieces.push(ciphertext, tag);
  }

  #hold(input: Uint8Array): void {
    this.#partial.set(input, this.#partialBytes);
    this.#partialBytes += input.length;
  }
}
