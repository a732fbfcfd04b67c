/**
 * SHA-256 fingerprints of plaintext, to tell whether the same bytes come back. A fingerprint reveals much about its
 * plaintext: it stays in memory and is in no result.
 */
import { createHash } from "node:crypto";

/** The fingerprint of a whole body. */
export class ContentFingerprint {
  readonly #hash = createHash("sha256");
  #bytes = 0;
  #value: Buffer | undefined;

  /** Yields the pieces of the source and adds them to the fingerprint. */
  async *of(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
    for await (const piece of source) {
      this.#hash.update(piece);
      this.#bytes += piece.length;
      yield piece;
    }
    this.#value = this.#hash.digest();
    return undefined;
  }

  /** Whether the source has ended. */
  get hasEnded(): boolean {
    return this.#value !== undefined;
  }

  /** Whether both sources have ended and had the same bytes. */
  equals(other: ContentFingerprint): boolean {
    return (
      this.#bytes === other.#bytes && this.#value !== undefined && other.#value?.equals(this.#value) === true
    );
  }
}

/** The fingerprints of the consecutive pieces of a body, all of the same length but the last. */
export class PieceFingerprints {
  readonly #pieceBytes: number;
  readonly #full: Buffer[] = [];
  /** The hash of the piece that is not full yet. */
  #last = createHash("sha256");
  #lastBytes = 0;

  constructor(pieceBytes: number) {
    this.#pieceBytes = pieceBytes;
  }

  /** Adds the next bytes of the body. */
  add(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0; ) {
      const bytesOfPiece = rest.subarray(0, this.#pieceBytes - this.#lastBytes);
      this.#last.update(bytesOfPiece);
      this.#lastBytes += bytesOfPiece.length;
      if (this.#lastBytes === this.#pieceBytes) {
        this.#full.push(this.#last.digest());
        this.#last = createHash("sha256");
        this.#lastBytes = 0;
      }
      rest = rest.subarray(bytesOfPiece.length);
    }
  }

  /** Whether these are exactly the bytes of the piece with this index. */
  isPiece(index: number, bytes: Uint8Array): boolean {
    const expected =
      this.#full[index] ?? (index === this.#full.length ? this.#last.copy().digest() : undefined);
    return expected?.equals(createHash("sha256").update(bytes).digest()) ?? false;
  }
}
