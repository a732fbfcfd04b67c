/** The reads of an open object: from which chunks, in how many requests, and the end of them all. */
import type { GetObjectCommandInput, GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { integerArgument } from "../../base/arguments.js";
import { hasCode } from "../../base/errors.js";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import {
  chunkCount,
  chunkIndex,
  chunkOffset,
  chunksOfPlaintext,
  nextChunkOffset,
  sealedBytes,
} from "../../cobblestone/layout.js";
import { type RandomAccessSource, randomAccess } from "../../cobblestone/stream/random-access.js";
import { fieldNames } from "../../fields/field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { RequestTarget } from "../../s3/errors.js";
import { otherRange } from "../../s3/errors.js";
import { namingObject } from "../../transfer/about-object.js";
import type { CallOptions } from "../../transfer/call-signal.js";
import { type CallSignal, callSignal, transferSignal } from "../../transfer/call-signal.js";
import { type ClientConfig, workingOf } from "../encrypted/config.js";
import { requireSameObject, type SeenObject } from "../encrypted/object-request.js";
import { bytesOf, type Tail } from "../encrypted/tail.js";
import { RangeCache } from "./range-cache.js";

/** What an open object tells of itself, in the words of GetObject. */
export type OpenObjectFields = Readonly<
  Pick<GetObjectCommandOutput, "ETag" | "VersionId" | "LastModified" | "ContentType" | "Metadata">
>;

/**
 * An object that is open for reads at any offset. Between reads it holds no connection; up to 128 KiB of ciphertext
 * and what `prefetchBytes` allows, within `maxBufferedBytes` of the client. Close it, or declare it with `using`.
 */
export interface OpenObject extends OpenObjectFields, Disposable {
  /** Bytes of the plaintext, proved by the last chunk. */
  readonly plaintextLength: number;
  /** The context that the object was written with; authenticated. */
  readonly encryptionContext: EncryptionContext;
  /**
   * Reads plaintext bytes `start` (included) to `end` (excluded): fewer at the end of the object, none beyond it. All that comes has verified.
   * Each read stands by itself: after one that failed another may succeed. At most 256 MiB at a time, and whole in
   * memory. Any number of reads may be under way; a read takes one request, or none when its chunks are at hand.
   *
   * @throws TypeError, RangeError for a wrong argument; TypeError when the object is closed before it has been read
   * @throws EnvelopeError `DECRYPTION_FAILED`, `BODY_STALLED`, those of S3, and `BODY_INTERRUPTED`, also when the object
   *   was overwritten since it was opened
   */
  read(start: number, end: number, options?: CallOptions): Promise<Buffer>;
  /** Ends all reads and lets go of the keys. May be called again. */
  close(): void;
}

/** What an open object is made of. */
export interface ReaderInput {
  readonly config: ClientConfig;
  readonly get: GetObjectCommandInput;
  readonly target: RequestTarget;
  readonly fields: OpenObjectFields & Pick<OpenObject, "encryptionContext">;
  /** The state of the object that all reads are of. */
  readonly seen: SeenObject;
  /** Has been verified. */
  readonly tail: Tail;
  readonly keys: MessageKeys;
  readonly prefetchBytes: number;
}

/** What is read at a time is in memory two or three times while it is decrypted. */
const maxReadBytes = 256 * 1024 * 1024;

/** Makes an open object. */
export function objectReader(input: ReaderInput): OpenObject {
  const { config, fields, tail } = input;
  const { totalBytes, plaintextLength } = tail;
  const stretches = new RangeCache(fetchOf(input), config.budget);
  const firstWhole = nextChunkOffset(tail.start);
  stretches.keep(firstWhole, tail.bytes.subarray(firstWhole - tail.start));
  const windowBytes = windowOf(input.prefetchBytes);
  const pending = new Set<CallSignal>();
  let keys: MessageKeys | undefined = input.keys;
  let next: number | undefined;

  /** The chunks of one read, and those that are likely to be wanted next. */
  const readChunks = (from: number, to: number, followsOn: boolean, signal: AbortSignal): Promise<Buffer> => {
    if (!followsOn) stretches.dropAhead(from, to);
    const chunks = stretches.read(from, to, signal);
    const knownTo = stretches.knownFrom(to);
    if (followsOn && knownTo < totalBytes && knownTo - to < windowBytes) {
      stretches.readAhead(knownTo, Math.min(windowBytes, totalBytes - knownTo), 2 * windowBytes);
    }
    return chunks;
  };

  const read = async (start: number, end: number, options: CallOptions = {}): Promise<Buffer> => {
    const caller = callSignal(fieldNames.read.options, options);
    integerArgument("start", start, 0, Number.MAX_SAFE_INTEGER);
    integerArgument("end", end, start, Number.MAX_SAFE_INTEGER);
    const upTo = Math.min(end, plaintextLength);
    if (upTo - start > maxReadBytes) {
      throw new RangeError(
        `end: expected at most ${maxReadBytes} bytes at a time, got ${upTo - start}: for more, use get`,
      );
    }
    if (!keys) throw closed();
    caller?.throwIfAborted();
    if (upTo <= start) return Buffer.alloc(0);
    const followsOn = start === next;
    next = upTo;
    const transfer = transferSignal(caller);
    pending.add(transfer);
    const source: RandomAccessSource = {
      length: totalBytes,
      read: (from, to) => readChunks(from, to, followsOn, transfer.signal),
    };
    const message = randomAccess(source, keys, plaintextLength, workingOf(config));
    try {
      const plaintext = await untilAborted(transfer.signal, message.read(start, upTo));
      if (followsOn) stretches.dropAhead(chunkOffset(chunkIndex(upTo)), totalBytes);
      return plaintext;
    } catch (error) {
      // What was damaged on its way must not be kept.
      if (hasCode(error, "DECRYPTION_FAILED")) stretches.clear();
      const { bucket, key } = input.target;
      throw namingObject(error, { bucket, key, range: rangeOf(start, upTo, plaintextLength) }, transfer);
    } finally {
      pending.delete(transfer);
      transfer.dispose();
    }
  };

  const close = () => {
    keys = undefined;
    for (const transfer of pending) transfer.abort(closed());
    stretches.close();
  };

  return { ...fields, plaintextLength, read, close, [Symbol.dispose]: close };
}

/** The chunks that a read touches, in bytes of the object in S3. */
function rangeOf(start: number, end: number, plaintextLength: number): string {
  const { ciphertextStart, ciphertextEnd } = chunksOfPlaintext(start, end, plaintextLength);
  return `bytes=${ciphertextStart}-${ciphertextEnd - 1}`;
}

/** Two windows are what may be fetched ahead: one to read from, one on its way. */
function windowOf(prefetchBytes: number): number {
  if (prefetchBytes === 0) return 0;
  return sealedBytes(Math.max(1, chunkCount(prefetchBytes / 2) - 1));
}

/** Fetches ciphertext of the object that was opened, and of none that has taken its place. */
function fetchOf({ config, get, target, seen, tail }: ReaderInput) {
  return async (start: number, end: number, signal: AbortSignal): Promise<Buffer> => {
    const request = { get, target, transfer: { signal } };
    const range = `${start}-${end - 1}`;
    const answer = await requireSameObject(config, request, seen, `bytes=${range}`);
    try {
      if (answer.output.ContentRange !== `bytes ${range}/${tail.totalBytes}`) throw otherRange(target);
      return await bytesOf(answer.read(0, end - start));
    } catch (error) {
      answer.close();
      throw error;
    }
  };
}

function closed(): TypeError {
  return new TypeError("read: expected an open object, got one that was closed");
}
