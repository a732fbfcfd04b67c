/** A digest of plaintext that passes by. It tells much about the plaintext: it stays in memory and is in no result. */
import { createHash } from "node:crypto";

/** Counts and hashes the bytes that pass through it. */
export class ContentFingerprint {
  readonly #hash = createHash("sha256");
  #bytes = 0;
  #value: Buffer | undefined;

  /** Yields what the source yields. */
  async *of(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
    for await (const piece of source) {
      this.#hash.update(piece);
      this.#bytes += piece.length;
      yield piece;
    }
    this.#value = this.#hash.digest();
    return undefined;
  }

  /** Whether the source has come to its end. */
  get hasEnded(): boolean {
    return this.#value !== undefined;
  }

  /** Whether both have come to the same end. */
  equals(other: ContentFingerprint): boolean {
    return (
      this.#bytes === other.#bytes && this.#value !== undefined && other.#value?.equals(this.#value) === true
    );
  }
}
