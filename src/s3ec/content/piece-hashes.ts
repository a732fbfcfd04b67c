/** Remembers bytes by the hashes of their pieces, to tell whether they come back as they were. */
import { createHash } from "node:crypto";

/** Takes bytes as they come, and keeps the SHA-256 of each piece of so many of them. */
export class PieceFingerprints {
  readonly #pieceBytes: number;
  readonly #full: Buffer[] = [];
  /** Of the piece that is not full yet. */
  #last = createHash("sha256");
  #lastBytes = 0;

  constructor(pieceBytes: number) {
    this.#pieceBytes = pieceBytes;
  }

  /** Takes the next bytes. */
  add(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0; ) {
      const part = rest.subarray(0, this.#pieceBytes - this.#lastBytes);
      this.#last.update(part);
      this.#lastBytes += part.length;
      if (this.#lastBytes === this.#pieceBytes) {
        this.#full.push(this.#last.digest());
        this.#last = createHash("sha256");
        this.#lastBytes = 0;
      }
      rest = rest.subarray(part.length);
    }
  }

  /** Whether these are all the bytes of the piece with this index, and as they were. */
  isPiece(index: number, bytes: Uint8Array): boolean {
    const expected =
      this.#full[index] ?? (index === this.#full.length ? this.#last.copy().digest() : undefined);
    return expected?.equals(createHash("sha256").update(bytes).digest()) ?? false;
  }
}
