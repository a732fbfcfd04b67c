/** Keeps the last bytes of a body back, its tag, while the pieces of the body come. */

/** Tells the ciphertext of a body from the tag behind it. */
export class Trailer {
  readonly #tagBytes: number;
  /** Bytes of ciphertext that are still to come, when that is known. */
  #ciphertextBytes: number | undefined;
  /** What may be the tag; after the last piece it is. */
  held: Uint8Array = new Uint8Array(0);

  /** @param bodyBytes how many bytes come in all, if that is known: then the tag alone is ever held */
  constructor(tagBytes: number, bodyBytes: number | undefined) {
    this.#tagBytes = tagBytes;
    if (bodyBytes !== undefined) this.#ciphertextBytes = bodyBytes - tagBytes;
  }

  /** Takes the next piece of the body, and gives the ciphertext that is now known to be that. */
  withhold(piece: Uint8Array): Uint8Array[] {
    const { held } = this;
    const bytes = held.length + piece.length;
    const sure = this.#ciphertextBytes === undefined ? bytes - this.#tagBytes : this.#ciphertextBytes;
    const taken = Math.max(0, Math.min(sure, bytes));
    if (this.#ciphertextBytes !== undefined) this.#ciphertextBytes -= taken;
    const fromPiece = Math.max(0, taken - held.length);
    // A copy: the piece may be large, or its memory used again.
    this.held = Buffer.concat([held.subarray(taken), piece.subarray(fromPiece)]);
    return [held.subarray(0, taken), piece.subarray(0, fromPiece)].filter(({ length }) => length > 0);
  }
}
