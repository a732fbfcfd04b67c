/** That what was written is what was read: a digest of the plaintext, kept in memory only. */
import { createHash } from "node:crypto";
import { EnvelopeError, hasCode } from "../../errors.js";

/** Counts and hashes the bytes that pass through it. */
export class Digest {
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
  equals(other: Digest): boolean {
    return (
      this.#bytes === other.#bytes && this.#value !== undefined && other.#value?.equals(this.#value) === true
    );
  }
}

/**
 * Reads a body to its end and compares.
 *
 * @throws EnvelopeError `MIGRATION_UNCONFIRMED`
 */
export async function requireSame(
  expected: Digest,
  body: AsyncIterable<Uint8Array>,
  where: { readonly bucket: string; readonly key: string },
): Promise<void> {
  const actual = new Digest();
  for await (const _piece of actual.of(body));
  if (actual.equals(expected)) return;
  throw new EnvelopeError(
    "MIGRATION_UNCONFIRMED",
    `"${where.key}" was written, and what was read back is not what the original holds: it was given up`,
    { details: { ...where } },
  );
}

/** The original's own error when that ended the writing, with what the writing has to say. */
export function sourceError(error: unknown): unknown {
  if (!hasCode(error, "SOURCE_FAILED") || !(error.cause instanceof EnvelopeError)) return error;
  const { code, message, cause, details } = error.cause;
  const { bytesRead: _bytes, ...leftover } = error.details;
  if (Object.keys(leftover).length === 0) return error.cause;
  return new EnvelopeError(code, message, { cause, details: { ...details, ...leftover } });
}
