/** Reads plaintext at any offset of a message, and verifies every chunk that it touches. */
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
import { type MessageOptions, messageArguments, openSource, type ProcessingOptions } from "./message.js";

/** A source that can be read at any offset, such as a file, a buffer, or an object behind ranged requests. */
export interface RandomAccessSource {
  /** Size in bytes. */
  readonly length: number;
  /** Returns exactly the bytes from `start` (included) to `end` (excluded). */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** A message that is open for reads at any offset. */
export interface RandomAccessMessage {
  /** Size of the plaintext in bytes, computed from the size of the message, which is not authenticated; see `verifyLength`. */
  readonly plaintextLength: number;
  /**
   * Reads plaintext bytes `start` (included) to `end` (excluded), fewer at the end of the plaintext. It reads and holds
   * only the chunks that contain them, and the last chunk if they reach the end, which proves the end.
   *
   * @throws RangeError when start or end is not an offset
   * @throws EnvelopeError `DECRYPTION_FAILED`, `BODY_TRUNCATED`
   */
  read(start: number, end: number): Promise<Buffer>;
  /**
   * Proves, by verifying the last chunk, that `plaintextLength` is the length of the plaintext.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED`, `BODY_TRUNCATED`
   */
  verifyLength(): Promise<void>;
}

/**
 * Opens a message for reads at any offset: reads its header and checks the key commitment.
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

/** Opens a message whose keys are known. `length` is that of its plaintext, computed from the length of the source. */
export function randomAccess(
  source: RandomAccessSource,
  keys: MessageKeys,
  length: number,
  processing?: ProcessingOptions,
): RandomAccessMessage {
  const openChunks = async (range: ChunkRange): Promise<Buffer> => {
    const { firstChunk, endsMessage, ciphertextStart, ciphertextEnd } = range;
    const sealed = await readExactly(source, ciphertextStart, ciphertextEnd);
    const plaintext: Buffer[] = [];
    // An iteration shares the event loop, however many chunks there are.
    for await (const piece of openSource(sealed, { keys, firstChunk, endsMessage }, processing)) {
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
