/** Reads any range of an open object: plans requests, prefetches sequential reads, and ends all of them on close. */
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { integerArgument } from "../../base/arguments.js";
import { hasCode } from "../../base/errors.js";
import {
  chunkCount,
  chunkIndex,
  chunkOffset,
  chunksOfPlaintext,
  nextChunkOffset,
  sealedBytes,
} from "../../cobblestone/layout.js";
import { randomAccess } from "../../cobblestone/stream/random-access.js";
import { fieldNames } from "../../fields/field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import { type CallControl, type CallOptions, callOptions, withCall } from "../../transfer/call.js";
import { type ClientConfig, processingOf } from "../encrypted/config.js";
import type { NativeObject } from "../encrypted/native-object.js";
import { type PinnedObject, pinObject, refetchBytes } from "../encrypted/pinned-object.js";
import { RangeCache } from "./range-cache.js";

/** The fields of GetObject that an open object has. */
export type OpenObjectFields = Readonly<
  Pick<GetObjectCommandOutput, "ETag" | "VersionId" | "LastModified" | "ContentType" | "Metadata">
>;

/**
 * An object that is open for reads at any offset. Between reads it holds no connection, and at most 128 KiB of ciphertext
 * besides `prefetchBytes`, both within `maxBufferedBytes` of the client. Close it, or declare it with `using`.
 */
export interface OpenObject extends OpenObjectFields, Disposable {
  /** Bytes of the plaintext, proved by the last chunk. */
  readonly plaintextLength: number;
  /** The context that the object was written with; authenticated. */
  readonly encryptionContext: EncryptionContext;
  /**
   * Reads plaintext bytes `start` (included) to `end` (excluded), as `slice` does: fewer at the end of the object, none
   * beyond it. All of them have been verified. At most 256 MiB at a time, which are held in memory. Reads may run at the
   * same time; each takes one request, or none when its chunks are cached. A read may succeed after another has failed.
   *
   * @throws TypeError, RangeError for a wrong argument; TypeError when the object is closed before the read has ended
   * @throws EnvelopeError `DECRYPTION_FAILED`, `BODY_STALLED`, those of S3, and `BODY_INTERRUPTED`, also when the object
   *   was overwritten after it was opened
   */
  read(start: number, end: number, options?: CallOptions): Promise<Buffer>;
  /** Ends all reads and discards the keys. May be called again. */
  close(): void;
}

/** While a read is decrypted, its bytes are in memory two or three times. */
const maxReadBytes = 256 * 1024 * 1024;

/**
 * Makes an open object.
 *
 * @param object with its tail, which has been verified
 */
export function openObject(config: ClientConfig, object: NativeObject, prefetchBytes: number): OpenObject {
  const output = object.outputOf(object.object.first.response, {});
  const { ETag, VersionId, LastModified, ContentType, Metadata } = output;
  const reader = new ObjectReader(config, object, prefetchBytes);
  const close = () => reader.close();
  return {
    ETag,
    VersionId,
    LastModified,
    ContentType,
    Metadata,
    encryptionContext: object.encryptionContext,
    plaintextLength: reader.plaintextLength,
    read: (start, end, options) => reader.read(start, end, options),
    close,
    [Symbol.dispose]: close,
  };
}

class ObjectReader {
  readonly plaintextLength: number;
  readonly #config: ClientConfig;
  readonly #object: PinnedObject;
  /** Bytes of the object in S3. */
  readonly #totalBytes: number;
  readonly #cache: RangeCache;
  /** Prefetched in one request. Two such ranges may be cached: one that is being read, one that is being fetched. */
  readonly #prefetchBytes: number;
  readonly #reads = new Set<CallControl>();
  /** Undefined once the object is closed. */
  #keys: NativeObject["keys"] | undefined;
  /** The position at which the latest read ended. */
  #lastEnd: number | undefined;

  constructor(config: ClientConfig, { object, keys, tail }: NativeObject, prefetchBytes: number) {
    if (!tail) throw new TypeError("object: expected one whose tail has been read");
    this.plaintextLength = tail.plaintextLength;
    this.#totalBytes = tail.totalBytes;
    this.#config = config;
    // Without the first response, which need not be kept.
    const pinned = pinObject(object, object.first.response.output);
    this.#object = pinned;
    this.#cache = new RangeCache(
      (start, end, signal) => refetchBytes({ ...pinned, signal }, start, end, tail.totalBytes),
      config.budget,
    );
    const firstWholeChunk = nextChunkOffset(tail.start);
    this.#cache.seed(firstWholeChunk, tail.bytes.subarray(firstWholeChunk - tail.start));
    this.#prefetchBytes = halfInWholeChunks(prefetchBytes);
    this.#keys = keys;
  }

  async read(start: number, end: number, options: CallOptions = {}): Promise<Buffer> {
    const checked = callOptions(fieldNames.read.options, options);
    integerArgument("start", start, 0, Number.MAX_SAFE_INTEGER);
    integerArgument("end", end, start, Number.MAX_SAFE_INTEGER);
    const upTo = Math.min(end, this.plaintextLength);
    if (upTo - start > maxReadBytes) {
      throw new RangeError(
        `end: expected at most ${maxReadBytes} bytes at a time, got ${upTo - start}: for more, use get`,
      );
    }
    const keys = this.#keys;
    if (!keys) throw closedError();
    checked.abortSignal?.throwIfAborted();
    if (upTo <= start) return Buffer.alloc(0);
    const isSequential = start === this.#lastEnd;
    this.#lastEnd = upTo;
    const { bucket, key } = this.#object.target;
    const range = ciphertextRange(start, upTo, this.plaintextLength);
    return withCall({ operation: "read", bucket, key, range }, checked, async (call) => {
      this.#reads.add(call);
      const source = {
        length: this.#totalBytes,
        read: (from: number, to: number) => this.#readCiphertext(from, to, isSequential, call.signal),
      };
      const message = randomAccess(source, keys, this.plaintextLength, processingOf(this.#config));
      try {
        const plaintext = await untilAborted(call.signal, message.read(start, upTo));
        if (isSequential) this.#cache.dropPrefetched(chunkOffset(chunkIndex(upTo)), this.#totalBytes);
        return plaintext;
      } catch (error) {
        // Bytes that were damaged on their way must not stay in the cache.
        if (hasCode(error, "DECRYPTION_FAILED")) this.#cache.clear();
        throw error;
      } finally {
        this.#reads.delete(call);
      }
    });
  }

  close(): void {
    this.#keys = undefined;
    for (const call of this.#reads) call.abort(closedError());
    this.#cache.close();
  }

  /** Reads chunks. After a sequential read it prefetches what follows; after any other it drops what was prefetched. */
  #readCiphertext(start: number, end: number, isSequential: boolean, signal: AbortSignal): Promise<Buffer> {
    if (!isSequential) this.#cache.dropPrefetched(start, end);
    const chunks = this.#cache.read(start, end, signal);
    const cachedUntil = this.#cache.cachedUntil(end);
    const bytes = this.#prefetchBytes;
    if (isSequential && cachedUntil < this.#totalBytes && cachedUntil - end < bytes)
      this.#cache.prefetch(cachedUntil, Math.min(bytes, this.#totalBytes - cachedUntil), 2 * bytes);
    return chunks;
  }
}

/** The chunks of plaintext bytes, in bytes of the object in S3. */
function ciphertextRange(start: number, end: number, plaintextLength: number): string {
  const { ciphertextStart, ciphertextEnd } = chunksOfPlaintext(start, end, plaintextLength);
  return `bytes=${ciphertextStart}-${ciphertextEnd - 1}`;
}

/** Half of `prefetchBytes`, in whole chunks. */
function halfInWholeChunks(prefetchBytes: number): number {
  if (prefetchBytes === 0) return 0;
  return sealedBytes(Math.max(1, chunkCount(prefetchBytes / 2) - 1));
}

function closedError(): TypeError {
  return new TypeError("read: expected an open object, got one that was closed");
}
