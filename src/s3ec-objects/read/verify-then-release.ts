/** When plaintext of a whole object is handed out: once all of it has been verified, unless it was allowed otherwise. */

import { EnvelopeError } from "../../base/errors.js";
import type { LegacyReadInfo } from "../../objects/encrypted/legacy-reading.js";
import { openContent } from "../../s3ec/content/content.js";
import type { ContentKeys } from "../../s3ec/content/content-keys.js";
import { blockBytes, type ContentSuite } from "../../s3ec/suites.js";
import type { ReadingConfig } from "./reading-options.js";
import { TemporaryFile } from "./temporary-file.js";

/** When the body of a whole object is known to be what was written. */
export function authenticatedOf(
  suite: ContentSuite,
  { releaseUnverifiedPlaintext }: ReadingConfig,
): LegacyReadInfo["authenticated"] {
  if (suite.mode === "cbc") return "never";
  return releaseUnverifiedPlaintext ? "at-end" : "before-release";
}

/**
 * Checks the size of an object.
 *
 * @throws EnvelopeError `BODY_TRUNCATED` when no object of its suite has it, `LEGACY_TOO_LARGE` when it is too large to be
 *   held until it has been verified
 */
export function checkSize(suite: ContentSuite, config: ReadingConfig, totalBytes: number | undefined): void {
  if (totalBytes === undefined) return;
  requirePossibleSize(suite, totalBytes);
  if (authenticatedOf(suite, config) !== "before-release" || config.temporaryDirectory !== undefined) return;
  if (totalBytes > config.maxBufferedObjectBytes) throw tooLarge(config.maxBufferedObjectBytes, totalBytes);
}

/** Checks that an object of this suite can have this size; `BODY_TRUNCATED` otherwise. */
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
 * Opens a whole object.
 *
 * @param totalBytes as {@link checkSize} has checked it
 * @param source read once the first byte of plaintext is asked for
 */
export function releasedContent(
  source: AsyncIterable<Uint8Array>,
  keys: ContentKeys,
  config: ReadingConfig,
  totalBytes: number | undefined,
): AsyncIterable<Uint8Array> {
  const { maxBufferedObjectBytes, temporaryDirectory } = config;
  if (authenticatedOf(keys.suite, config) !== "before-release") return openContent(source, keys, totalBytes);
  const isSmall = totalBytes !== undefined && totalBytes <= maxBufferedObjectBytes;
  if (temporaryDirectory !== undefined && !isSmall)
    return throughFile(source, keys, temporaryDirectory, totalBytes);
  return throughMemory(source, keys, maxBufferedObjectBytes, totalBytes);
}

async function* throughMemory(
  source: AsyncIterable<Uint8Array>,
  keys: ContentKeys,
  maxBytes: number,
  totalBytes: number | undefined,
): AsyncGenerator<Uint8Array, undefined> {
  const blocks = new Blocks(totalBytes);
  try {
    for await (const piece of openContent(limited(source, maxBytes), keys, totalBytes)) {
      blocks.add(piece);
      piece.fill(0);
    }
    yield* blocks.take();
  } finally {
    blocks.wipe();
  }
  return undefined;
}

/** The plaintext is never in the file: what is there is as encrypted as in S3. */
async function* throughFile(
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
      'raise maxBufferedObjectBytes, or say largeObjects: "temporary-file"',
    { details: { maxBufferedObjectBytes, ...(totalBytes !== undefined && { bytes: totalBytes }) } },
  );
}

const heldBlockBytes = 1024 * 1024;

/** Plaintext that waits: in blocks, so that small pieces take no more memory than they have bytes. */
class Blocks {
  readonly #blocks: Buffer[] = [];
  /** Of the last block. */
  #filled = heldBlockBytes;
  readonly #blockBytes: number;

  constructor(totalBytes = heldBlockBytes) {
    this.#blockBytes = Math.max(1, Math.min(heldBlockBytes, totalBytes));
    this.#filled = this.#blockBytes;
  }

  add(piece: Uint8Array): void {
    for (let rest = piece; rest.length > 0; ) {
      if (this.#filled === this.#blockBytes) {
        this.#blocks.push(Buffer.allocUnsafeSlow(this.#blockBytes));
        this.#filled = 0;
      }
      const part = rest.subarray(0, this.#blockBytes - this.#filled);
      this.#blocks.at(-1)?.set(part, this.#filled);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
    }
  }

  /** Hands out all that was added; each block is the reader's once it is out. */
  *take(): Generator<Buffer, undefined> {
    for (let block = this.#blocks.shift(); block; block = this.#blocks.shift()) {
      yield this.#blocks.length === 0 ? block.subarray(0, this.#filled) : block;
    }
    return undefined;
  }

  /** Clears what nobody has taken: of an object that did not verify, or that nobody wants. */
  wipe(): void {
    for (const block of this.#blocks.splice(0)) block.fill(0);
  }
}
