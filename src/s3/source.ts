/** The body that a caller hands to `put`, whatever its shape, as bytes of known or unknown length. */
import { Readable } from "node:stream";
import { integerArgument, wrongType } from "../arguments.js";
import { isIllFormed } from "../bytes.js";
import { maxPlaintextBytes } from "../cobblestone/geometry.js";
import { EnvelopeError } from "../errors.js";
import { sourceFailed } from "../source-failed.js";
import { closeSource, guardSource, type SourceGuard } from "./guarded-source.js";

/** All that `put` takes as a body. Strings are UTF-8. A stream is read once, from where it stands. */
export type PutBody =
  | Uint8Array
  | string
  | Blob
  | Readable
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>;

/** A body that has been checked and can be read once. */
export interface Source {
  /** Plaintext bytes, when they are known beforehand. */
  readonly length: number | undefined;
  /** The bytes themselves, when they are all in memory. */
  readonly bytes: Uint8Array | undefined;
  /** How many bytes reading has yielded so far. */
  readonly bytesRead: number;
  /** Yields the bytes; rejects when there turn out to be more or fewer than `length`. */
  read(guard: Pick<SourceGuard, "signal" | "idleTimeoutMs">): AsyncIterable<Uint8Array>;
  /** Lets go of the body, read or not. */
  close(): void;
}

/**
 * Checks a body and the length that the caller says it has.
 *
 * @param contentLength the plaintext's length in bytes, if the caller knows it
 * @throws TypeError, RangeError that name the argument
 */
export function sourceArgument(body: unknown, contentLength: unknown): Source {
  const stated =
    contentLength === undefined
      ? undefined
      : integerArgument("ContentLength", contentLength, 0, maxPlaintextBytes);
  const { pieces, length, bytes } = open(body);
  refuseTaken(pieces);
  if (stated !== undefined && length !== undefined && stated !== length) {
    throw new RangeError(`ContentLength: expected ${length}, the length of Body, got ${stated}`);
  }
  const known = length ?? stated;
  if (isSingleUse(pieces)) taken.add(pieces);
  // A stream may fail before it is read; without a listener that would end the process. Reading tells the error.
  if (pieces instanceof Readable) pieces.on("error", () => undefined);
  const progress = { bytesRead: 0 };
  return {
    length: known,
    bytes,
    get bytesRead() {
      return progress.bytesRead;
    },
    read: (guard) => readAll(pieces, known, guard, progress),
    close: () => closeSource(pieces),
  };
}

/** Bodies that can be read once only and were handed to a put: read again, they would give nothing. */
const taken = new WeakSet<object>();

function refuseTaken(pieces: Pieces): void {
  if (taken.has(pieces)) {
    throw new TypeError(
      "Body: expected a stream that can still be read, got one that an earlier put has taken",
    );
  }
  if (pieces instanceof ReadableStream && Readable.isDisturbed(pieces as never)) {
    throw new TypeError("Body: expected a ReadableStream that can still be read, got one that has been read");
  }
}

/** Streams, and generators: whose iterator is themselves. */
function isSingleUse(pieces: Pieces): boolean {
  return pieces instanceof Readable || pieces instanceof ReadableStream || "next" in pieces;
}

/** Bytes in memory are taken so many at a time. */
const sliceBytes = 1024 * 1024;

type Pieces = AsyncIterable<unknown> | Iterable<unknown>;

interface OpenBody {
  readonly pieces: Pieces;
  readonly length?: number;
  readonly bytes?: Uint8Array;
}

function open(body: unknown): OpenBody {
  if (body instanceof Uint8Array)
    return { pieces: { [Symbol.iterator]: () => slices(body) }, length: body.length, bytes: body };
  if (typeof body === "string") return open(utf8("Body", body));
  if (body instanceof Blob) return { pieces: body.stream() as unknown as Pieces, length: body.size };
  if (body instanceof Readable) return { pieces: unreadStream(body) };
  if (body instanceof ReadableStream && body.locked) {
    throw new TypeError("Body: expected a ReadableStream that nobody else reads, got a locked one");
  }
  if (typeof body === "object" && body !== null && Symbol.asyncIterator in body) {
    return { pieces: body as AsyncIterable<unknown> };
  }
  throw wrongType("Body", "a Uint8Array, string, Blob, Readable, ReadableStream or async iterable", body);
}

/** Cut so that sealing a large body lets other work have its turn. */
function* slices(bytes: Uint8Array): Generator<Uint8Array, undefined> {
  for (let start = 0; start < bytes.length; start += sliceBytes) {
    yield bytes.subarray(start, start + sliceBytes);
  }
  return undefined;
}

/** A stream that has ended or decodes its bytes would be stored as something else than what its owner meant. */
function unreadStream(stream: Readable): Readable {
  if (stream.readableEnded || stream.destroyed) {
    throw new TypeError(
      "Body: expected a stream that can still be read, got one that has ended or was destroyed",
    );
  }
  if (stream.readableEncoding !== null) {
    throw new TypeError("Body: expected a stream of bytes, got one with setEncoding()");
  }
  return stream;
}

async function* readAll(
  pieces: Pieces,
  length: number | undefined,
  guard: Pick<SourceGuard, "signal" | "idleTimeoutMs">,
  progress: { bytesRead: number },
): AsyncGenerator<Uint8Array, undefined> {
  let seen = 0;
  const guarded = guardSource(pieces, {
    ...guard,
    stalled: () =>
      new EnvelopeError("SOURCE_STALLED", `Body: no bytes came for ${guard.idleTimeoutMs} ms`, {
        details: { bytesRead: seen, idleTimeoutMs: guard.idleTimeoutMs },
      }),
    failed: (cause) =>
      sourceFailed(`Body: the stream failed after ${seen} bytes`, cause, { bytesRead: seen }),
  });
  for await (const piece of guarded) {
    const bytes = typeof piece === "string" ? utf8("Body: each piece", piece) : piece;
    if (!(bytes instanceof Uint8Array)) throw wrongType("Body: each piece", "a Uint8Array or string", piece);
    seen += bytes.length;
    if (length !== undefined && seen > length) throw wrongLength(length, seen);
    progress.bytesRead = seen;
    yield bytes;
  }
  if (length !== undefined && seen < length) throw wrongLength(length, seen);
  return undefined;
}

/** UTF-8 would replace a lone surrogate, and half a pair is what a string cut in the wrong place ends with. */
function utf8(title: string, text: string): Buffer {
  if (isIllFormed(text)) throw new RangeError(`${title}: expected well-formed Unicode, got a lone surrogate`);
  return Buffer.from(text);
}

function wrongLength(expected: number, seen: number): EnvelopeError {
  const came = seen > expected ? "more came" : `it ended after ${seen}`;
  return new EnvelopeError("SOURCE_LENGTH_MISMATCH", `Body: expected ${expected} bytes, but ${came}`, {
    details: { expected, bytesRead: seen },
  });
}
