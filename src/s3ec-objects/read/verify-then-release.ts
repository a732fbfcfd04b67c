/** Returns the plaintext of a whole object only after all of it has been verified, unless the options allow otherwise. */
import { EnvelopeError } from "../../base/errors.js";
import type { LegacyReadInfo } from "../../objects/encrypted/format.js";
import { openContent } from "../../s3ec/content/content.js";
import type { ContentKeys } from "../../s3ec/content/content-keys.js";
import { blockBytes, type ContentSuite } from "../../s3ec/suites.js";
import type { ReadingConfig } from "./reading-options.js";
import { TemporaryFile } from "./temporary-file.js";

/** When the body of a whole object is verified. */
export function authenticatedOf(
  suite: ContentSuite,
  { releaseUnverifiedPlaintext }: ReadingConfig,
): LegacyReadInfo["authenticated"] {
  if (suite.mode === "cbc") return "never";
  return releaseUnverifiedPlaintext ? "at-end" : "before-release";
}

/**
 * Checks the size of an object, if it is known.
 *
 * @throws EnvelopeError `BODY_TRUNCATED` when no object of its suite has this size, `LEGACY_TOO_LARGE` when it is too large
 *   to be held until it has been verified
 */
export function requireReadableSize(
  suite: ContentSuite,
  config: ReadingConfig,
  totalBytes: number | undefined,
): void {
  if (totalBytes === undefined) return;
  requirePossibleSize(suite, totalBytes);
  if (authenticatedOf(suite, config) !== "before-release" || config.temporaryDirectory !== undefined) return;
  if (totalBytes > config.maxBufferedObjectBytes) throw tooLarge(config.maxBufferedObjectBytes, totalBytes);
}

/** Throws `BODY_TRUNCATED` when no object of this suite has this size. */
export function requirePossibleSize(suite: ContentSuite, totalBytes: number): void {
  const isPossible =
    suite.mode === "gcm"
      ? totalBytes >= suite.tagBytes && totalBytes <= suite.maxPlaintextBytes + suite.tagBytes
      : totalBytes > 0 && totalBytes % blockBytes === 0;
  if (isPossible) return;
  throw new EnvelopeError("BODY_TRUNCATED", `no object with this content algorithm has ${totalBytes} bytes`, {
    details: { contentAlgorithm: suite.name, bytes: totalBytes },
  });
}

/**
 * Decrypts a whole object.
 *
 * @param source is read once the first byte of plaintext is requested
 * @param totalBytes as {@link requireReadableSize} has checked it
 */
export function openWholeContent(
  source: AsyncIterable<Uint8Array>,
  keys: ContentKeys,
  config: ReadingConfig,
  totalBytes: number | undefined,
): AsyncIterable<Uint8Array> {
  const { maxBufferedObjectBytes, temporaryDirectory } = config;
  if (authenticatedOf(keys.suite, config) !== "before-release") return openContent(source, keys, totalBytes);
  const isSmall = totalBytes !== undefined && totalBytes <= maxBufferedObjectBytes;
  if (temporaryDirectory !== undefined && !isSmall)
    return verifiedInFile(source, keys, temporaryDirectory, totalBytes);
  return verifiedInMemory(source, keys, maxBufferedObjectBytes, totalBytes);
}

async function* verifiedInMemory(
  source: AsyncIterable<Uint8Array>,
  keys: ContentKeys,
  maxBytes: number,
  totalBytes: number | undefined,
): AsyncGenerator<Uint8Array, undefined> {
  const held = new HeldPlaintext(totalBytes);
  try {
    for await (const piece of openContent(limited(source, maxBytes), keys, totalBytes)) {
      held.add(piece);
      piece.fill(0);
    }
    yield* held.release();
  } finally {
    held.wipe();
  }
  return undefined;
}

/** Decrypts twice. The file never holds plaintext, only the ciphertext from S3. */
async function* verifiedInFile(
  source: AsyncIterable<Uint8Array>,
  keys: ContentKeys,
  directory: string,
  totalBytes: number | undefined,
): AsyncGenerator<Uint8Array, undefined> {
  const file = await TemporaryFile.open(directory);
  try {
    for await (const piece of openContent(file.write(source), keys, totalBytes)) piece.fill(0);
    yield* openContent(file.read(), keys, totalBytes);
  } finally {
    await file.close();
  }
  return undefined;
}

async function* limited(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array, undefined> {
  let bytes = 0;
  for await (const piece of source) {
    bytes += piece.length;
    if (bytes > maxBytes) throw tooLarge(maxBytes, undefined);
    yield piece;
  }
  return undefined;
}

function tooLarge(maxBufferedObjectBytes: number, totalBytes: number | undefined): EnvelopeError {
  const size = totalBytes === undefined ? "more than that" : String(totalBytes);
  return new EnvelopeError(
    "LEGACY_TOO_LARGE",
    `an object of at most ${maxBufferedObjectBytes} bytes is held in memory until it has been verified, this one has ${size}: ` +
      'raise maxBufferedObjectBytes, or set largeObjects: "temporary-file"',
    { details: { maxBufferedObjectBytes, ...(totalBytes !== undefined && { bytes: totalBytes }) } },
  );
}

const heldBufferBytes = 1024 * 1024;

/** Plaintext that has not been verified yet, copied into large buffers, as small ones would take more memory than bytes. */
class HeldPlaintext {
  readonly #buffers: Buffer[] = [];
  /** Bytes of the last buffer that are in use. */
  #filled: number;
  readonly #bufferBytes: number;

  constructor(totalBytes = heldBufferBytes) {
    this.#bufferBytes = Math.max(1, Math.min(heldBufferBytes, totalBytes));
    this.#filled = this.#bufferBytes;
  }

  add(piece: Uint8Array): void {
    for (let rest = piece; rest.length > 0; ) {
      if (this.#filled === this.#bufferBytes) {
        this.#buffers.push(Buffer.allocUnsafeSlow(this.#bufferBytes));
        this.#filled = 0;
      }
      const fitting = rest.subarray(0, this.#bufferBytes - this.#filled);
      this.#buffers.at(-1)?.set(fitting, this.#filled);
      this.#filled += fitting.length;
      rest = rest.subarray(fitting.length);
    }
  }

  /** Yields all that was added. Each buffer belongs to the reader once it has been yielded. */
  *release(): Generator<Buffer, undefined> {
    for (let buffer = this.#buffers.shift(); buffer; buffer = this.#buffers.shift()) {
      yield this.#buffers.length === 0 ? buffer.subarray(0, this.#filled) : buffer;
    }
    return undefined;
  }

  /** Zeroes what has not been released: of an object that failed to verify, or whose reader has stopped. */
  wipe(): void {
    for (const buffer of this.#buffers.splice(0)) buffer.fill(0);
  }
}
