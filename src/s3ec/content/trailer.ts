/** Separates the tag at the end of a body from the ciphertext, while the body is read. */

/** The trailer of a body: its last bytes, which hold the tag. */
export class Trailer {
  readonly #tagBytes: number;
  /** The bytes of ciphertext still to be read, if known. */
  #ciphertextBytes: number | undefined;
  /** The bytes that may be the tag. After the last piece they are. */
  held: Uint8Array = new Uint8Array(0);

  /** @param bodyBytes the length of the body, if it is known: then no ciphertext is ever held back */
  constructor(tagBytes: number, bodyBytes: number | undefined) {
    this.#tagBytes = tagBytes;
    if (bodyBytes !== undefined) this.#ciphertextBytes = bodyBytes - tagBytes;
  }

  /** Adds the next piece of the body. Returns the bytes that are now known to be ciphertext. */
  withhold(piece: Uint8Array): Uint8Array[] {
    const { held } = this;
    const bytes = held.length + piece.length;
    const sure = this.#ciphertextBytes === undefined ? bytes - this.#tagBytes : this.#ciphertextBytes;
    const taken = Math.max(0, Math.min(sure, bytes));
    if (this.#ciphertextBytes !== undefined) this.#ciphertextBytes -= taken;
    const fromPiece = Math.max(0, taken - held.length);
    // A copy: the piece may be large, or its memory may be reused.
    this.held = Buffer.concat([held.subarray(taken), piece.subarray(fromPiece)]);
    return [held.subarray(0, taken), piece.subarray(0, fromPiece)].filter(({ length }) => length > 0);
  }
}
