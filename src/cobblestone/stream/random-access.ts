/** Reads any stretch of a message that can be read at any offset, verifying every chunk it touches. */
import { integerArgument, wrongType } from "../../base/arguments.js";
import { EnvelopeError } from "../../base/errors.js";
import { fieldNames } from "../../fields/field-names.js";
import { type MessageKeys, openHeader } from "../derivation.js";
import {
  type ChunkRange,
  chunkCount,
  chunkRange,
  chunksOfPlaintext,
  headerBytes,
  plaintextLength,
} from "../layout.js";
import { type MessageOptions, messageArguments, openSource, type Working } from "./message.js";

/** A message that can be read at any offset: a file, a buffer, an object behind ranged requests. */
export interface RandomAccessSource {
  /** Size of the whole message in bytes. */
  readonly length: number;
  /** Returns exactly the bytes from `start` (included) to `end` (excluded). */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** A message that has been opened for reading at any offset. */
export interface RandomAccessMessage {
  /** Size of the plaintext in bytes, computed from the size of the message; see `verifyLength`. */
  readonly plaintextLength: number;
  /**
   * Reads plaintext bytes `start` (included) to `end` (excluded), fewer at the end of the plaintext. Reads and
   * holds only the chunks that contain them, and the last chunk when they reach the end, which proves it.
   *
   * @throws RangeError when start or end is not an offset
   * @throws EnvelopeError `DECRYPTION_FAILED`, `BODY_TRUNCATED`
   */
  read(start: number, end: number): Promise<Buffer>;
  /**
   * Proves by the last chunk alone that the plaintext is as long as `plaintextLength` says.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`, `BODY_TRUNCATED`
   */
  verifyLength(): Promise<void>;
}

/**
 * Opens a message for reading at any offset: reads its header and checks the key commitment.
 *
 * @throws TypeError, RangeError when an argument is wrong
 * @throws EnvelopeError `DECRYPTION_FAILED`, `BODY_TRUNCATED`
 */
export async function openRandomAccess(
  source: RandomAccessSource,
  options: MessageOptions,
): Promise<RandomAccessMessage> {
  const { dataKey, context } = messageArguments(fieldNames.openRandomAccess.options, options);
  if (typeof source?.read !== "function") throw wrongType("source.read", "a function", source?.read);
  const length = plaintextLength(integerArgument("source.length", source.length, 0, Number.MAX_SAFE_INTEGER));
  const keys = openHeader(dataKey, await readExactly(source, 0, headerBytes), context);
  return randomAccess(source, keys, length);
}

/** A message whose keys are known. `length` is that of its plaintext, as the length of the source tells it. */
export function randomAccess(
  source: RandomAccessSource,
  keys: MessageKeys,
  length: number,
  working?: Working,
): RandomAccessMessage {
  const openChunks = async (range: ChunkRange): Promise<Buffer> => {
    const { firstChunk, endsMessage, ciphertextStart, ciphertextEnd } = range;
    const sealed = await readExactly(source, ciphertextStart, ciphertextEnd);
    const plaintext: Buffer[] = [];
    // Shares the event loop, however many chunks there are.
    for await (const piece of openSource(sealed, { keys, firstChunk, endsMessage }, working)) {
      plaintext.push(piece);
    }
    return Buffer.concat(plaintext);
  };
  return {
    plaintextLength: length,
    async read(start, end) {
      integerArgument("start", start, 0, Number.MAX_SAFE_INTEGER);
      integerArgument("end", end, start, Number.MAX_SAFE_INTEGER);
      const wanted = Math.min(end, length) - start;
      if (wanted <= 0) return Buffer.alloc(0);
      const range = chunksOfPlaintext(start, start + wanted, length);
      const plaintext = await openChunks(range);
      const skip = start - range.plaintextStart;
      return plaintext.subarray(skip, skip + wanted);
    },
    async verifyLength() {
      await openChunks(chunkRange(chunkCount(length) - 1, 1, length));
    },
  };
}

async function readExactly(source: RandomAccessSource, start: number, end: number): Promise<Uint8Array> {
  const bytes = await source.read(start, end);
  if (!(bytes instanceof Uint8Array)) throw wrongType("source.read: its result", "a Uint8Array", bytes);
  if (bytes.length === end - start) return bytes;
  throw new EnvelopeError(
    "BODY_TRUNCATED",
    `expected ${end - start} bytes of the body at ${start}, got ${bytes.length}`,
  );
}
