/** The body of a `put`: values and streams of any kind, read as bytes of known or unknown length. */
import type { Readable } from "node:stream";
import { integerArgument, wrongType } from "../base/arguments.js";
import { isIllFormed } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import { maxPlaintextBytes } from "../cobblestone/layout.js";
import { guardSource, type SourceGuard } from "../source/guarded-source.js";
import { isAsyncSource, type LockedSource, lockSource } from "../source/locked-source.js";
import { bytesOf, isBlob } from "../source/shape.js";
import { EarlyEnd, sourceFailed } from "../source/source-error.js";
import type { ReadAllowance } from "./part-assembly.js";

/**
 * The bodies that `put` accepts. Strings are encoded as UTF-8. A stream, of any package, is read once, from its current
 * position. The call takes it over at once: nobody else may read it, and it must not have ended, failed or been destroyed. A
 * listener for its "data" may be added in the same turn of the event loop or later, and receives all of it.
 *
 * The call rejects when a stream fails, is destroyed, closes before its end, or reports at its end that it is incomplete.
 * Some sources end early without any sign. State `ContentLength` where the length of such a source is known:
 *
 * - the output of a child process that fails or is killed;
 * - a socket, pipe or FIFO that the other end closes;
 * - the body of an HTTP/1 response with neither Content-Length nor chunked encoding;
 * - an HTTP/2 stream that a server on Node closes;
 * - decompression that accepts truncated input, as that of `fetch` does;
 * - a file that is truncated while it is read;
 * - an iterable that others have begun to read;
 * - a stream that is ended by code when its own source fails.
 */
export type PutBody =
  | Uint8Array
  | ArrayBuffer
  | string
  | Blob
  | Readable
  | NodeJS.ReadableStream
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>;

/** A body that has been checked and can be read once. */
export interface BodySource {
  /** Bytes, if they are known before it is read. */
  readonly length: number | undefined;
  /** The bytes themselves, if all of them are in memory. */
  readonly bytes: Uint8Array | undefined;
  /** Bytes read so far. */
  readonly bytesRead: number;
  /**
   * Yields the bytes. Rejects when there turn out to be more or fewer than `length`.
   *
   * @param allowance how far it may be read; one piece of the caller's more is requested, to know whether there is one
   */
  read(guard: ReadGuard, allowance?: ReadAllowance): AsyncIterable<Uint8Array>;
  /** Closes the body, read or not. */
  close(): void;
}

/** Runs a call that reads a body, and closes the body if the call fails. */
export async function closingOnFailure<T>(source: BodySource, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    source.close();
    throw error;
  }
}

type ReadGuard = Pick<SourceGuard, "signal" | "idleTimeoutMs">;

/**
 * Checks a body and the length that the caller states. Takes a stream over.
 *
 * @param contentLength bytes, if the caller knows it
 * @throws TypeError, RangeError that name the argument
 */
export function bodyArgument(body: unknown, contentLength: unknown): BodySource {
  const stated =
    contentLength === undefined
      ? undefined
      : integerArgument("ContentLength", contentLength, 0, maxPlaintextBytes);
  const { pieces, length, bytes } = piecesOf(body);
  if (stated !== undefined && length !== undefined && stated !== length) {
    throw new RangeError(`ContentLength: expected ${length}, the length of Body, got ${stated}`);
  }
  const known = length ?? stated;
  const taken: LockedSource | undefined = bytes === undefined ? lockSource("Body", pieces) : undefined;
  const progress = { bytesRead: 0 };
  return {
    length: known,
    bytes,
    get bytesRead() {
      return progress.bytesRead;
    },
    read: (guard, allowance = unlimited) =>
      readAll(taken ?? pieces, known, { ...guard, allowance }, progress),
    close: () => taken?.close(),
  };
}

const unlimited: ReadAllowance = { limit: Number.POSITIVE_INFINITY, raised: async () => undefined };

/** Bytes in memory are read in pieces of this size. */
const sliceBytes = 1024 * 1024;

type Pieces = AsyncIterable<unknown> | Iterable<unknown>;

interface BodyPieces {
  readonly pieces: Pieces;
  readonly length?: number;
  readonly bytes?: Uint8Array;
}

function piecesOf(body: unknown): BodyPieces {
  const bytes = bytesOf(body);
  if (bytes) return { pieces: { [Symbol.iterator]: () => slices(bytes) }, length: bytes.length, bytes };
  if (typeof body === "string") return piecesOf(utf8("Body", body));
  if (isBlob(body)) return { pieces: body.stream() as Pieces, length: body.size };
  if (isAsyncSource(body)) return { pieces: body as Pieces };
  throw wrongType(
    "Body",
    "a Uint8Array, ArrayBuffer, string, Blob, Readable, ReadableStream or async iterable",
    body,
  );
}

/** In slices, so that encrypting a large body does not block the event loop. */
function* slices(bytes: Uint8Array): Generator<Uint8Array, undefined> {
  for (let start = 0; start < bytes.length; start += sliceBytes) {
    yield bytes.subarray(start, start + sliceBytes);
  }
  return undefined;
}

async function* readAll(
  pieces: Pieces,
  length: number | undefined,
  { allowance, ...guard }: ReadGuard & { readonly allowance: ReadAllowance },
  progress: { bytesRead: number },
): AsyncGenerator<Uint8Array, undefined> {
  let seen = 0;
  let yielded = 0;
  const guarded = guardSource(pieces, {
    ...guard,
    stalled: () =>
      new EnvelopeError("SOURCE_STALLED", `Body: no bytes arrived for ${guard.idleTimeoutMs} ms`, {
        details: { bytesRead: seen, idleTimeoutMs: guard.idleTimeoutMs },
      }),
    failed: (cause) => {
      const details = { bytesRead: seen };
      if (!(cause instanceof EarlyEnd))
        return sourceFailed(`Body: the stream failed after ${seen} bytes`, cause, details);
      return new EnvelopeError("SOURCE_FAILED", `Body: the stream ${cause.what}, after ${seen} bytes`, {
        details,
      });
    },
  });
  for await (const piece of guarded) {
    const bytes = typeof piece === "string" ? utf8("Body: each piece", piece) : bytesOf(piece);
    if (!bytes) throw wrongType("Body: each piece", "a Uint8Array or string", piece);
    seen += bytes.length;
    if (length !== undefined && seen > length) throw wrongLength(length, seen);
    progress.bytesRead = seen;
    while (yielded < seen) {
      while (yielded >= allowance.limit) await allowance.raised();
      const allowed = bytes.subarray(bytes.length - (seen - yielded)).subarray(0, allowance.limit - yielded);
      yielded += allowed.length;
      yield allowed;
    }
  }
  if (length !== undefined && seen < length) throw wrongLength(length, seen);
  return undefined;
}

/** Encoding would replace a lone surrogate, with which a string ends that was cut within a pair. */
function utf8(title: string, text: string): Buffer {
  if (isIllFormed(text)) throw new RangeError(`${title}: expected well-formed Unicode, got a lone surrogate`);
  return Buffer.from(text);
}

function wrongLength(expected: number, seen: number): EnvelopeError {
  const fault = seen > expected ? "more arrived" : `it ended after ${seen}`;
  return new EnvelopeError("SOURCE_LENGTH_MISMATCH", `Body: expected ${expected} bytes, but ${fault}`, {
    details: { expected, bytesRead: seen },
  });
}
