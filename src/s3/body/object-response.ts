/** One GetObject: its response, and its body as bytes that neither stall for ever nor end early unnoticed. */
import type { GetObjectCommandInput, S3Client } from "@aws-sdk/client-s3";
import { linkedSignal } from "../../base/abort.js";
import { quoted } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";
import { expectFailure } from "../../service/response-guard.js";
import { guardSource, type SourceGuard } from "../../source/guarded-source.js";
import { type RequestTarget, requireSize } from "../errors.js";
import { getObject, targetOf } from "../requests.js";
import { decodedBody, type ResponseBytes, responseBytes } from "../responses.js";
import { piecesOf } from "./coalesced-reads.js";
import { collectInto } from "./collect-into.js";
import { connectionsOf } from "./connections.js";
import { BodyObserver, type BodyResponse, type Refetch, restRequest } from "./resumable-body.js";

/** The response to a GetObject. The caller must read its body to the end or close it. */
export interface ObjectResponse extends BodyResponse {
  /**
   * Yields `length` bytes of the body from `skip`, or all when the length is not known. Called once.
   *
   * @throws EnvelopeError `BODY_INTERRUPTED`, also when fewer bytes come, or more; `BODY_STALLED`
   */
  read(skip: number, length: number | undefined): AsyncIterable<Uint8Array>;
  /**
   * Fills memory, one target after the other, with the body, which must have exactly this length. In place of
   * {@link read}. Once this has settled, nothing is written to the targets any more.
   *
   * @throws EnvelopeError `BODY_INTERRUPTED`, `BODY_STALLED`
   */
  readInto(targets: readonly Uint8Array[]): Promise<void>;
}

/** Options of {@link getResponse}. */
export interface ResponseOptions {
  /** The size of the object, if an earlier response has stated it. */
  readonly totalBytes?: number | undefined;
  /**
   * Lets the body give up its connection while nobody reads it and requests wait for one, if the response states ETag
   * and length. What is left is requested again when it is read.
   */
  readonly refetch?: Refetch;
}

/**
 * Requests an object. The body ends with the signal, too.
 *
 * @throws EnvelopeError those of S3; `S3_REQUEST_FAILED` when the response does not have the requested bytes
 */
export async function getResponse(
  { s3, idleTimeoutMs }: { readonly s3: S3Client; readonly idleTimeoutMs: number },
  input: GetObjectCommandInput,
  caller: AbortSignal | undefined,
  { totalBytes, refetch }: ResponseOptions = {},
): Promise<ObjectResponse> {
  const { signal, abort, dispose } = linkedSignal(caller);
  const close = () => {
    abort(new Error("the body was closed"));
    dispose();
  };
  const target = targetOf("GetObject", input);
  const observer = new BodyObserver(connectionsOf(s3));
  try {
    const output = await getObject(s3, input, { signal, observer: refetch && observer });
    // A middleware of the caller's may have put another body there.
    expectFailure(output.Body);
    requireSize(output.ContentLength, target);
    const decoded = decodedBody(output, target);
    if (decoded) throw decoded;
    const bytes = responseBytes(output, input.Range, target, totalBytes);
    const reading: Reading = { target, signal, idleTimeoutMs, bytes, bytesRead: 0 };
    const open = (guard: SourceGuard) => guardSource(piecesOf(output.Body), guard);
    const requestRest = refetch && restRequest(bytes, target, signal, refetch);
    const resumable = requestRest && observer.allowRelease(output.Body, requestRest, () => guardOf(reading));
    signal.addEventListener("abort", observer.detach, { once: true });
    return {
      output: bytes.output,
      stream: output.Body,
      close,
      read: (skip, length) => readBody(resumable ?? open(guardOf(reading)), reading, skip, length),
      readInto(targets) {
        observer.detach();
        return readInto(reading, open, targets).then(dispose);
      },
      open(guard) {
        observer.detach();
        const { skip, length, bodyBytes } = bytes;
        const isWhole = skip === 0 && (bodyBytes === undefined || bodyBytes === length);
        return isWhole ? open(guard) : readBody(open(guard), reading, 0, length);
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * Reads a small object into memory. Reads no more than `maxBytes` allows, whatever the store sends.
 *
 * @throws the error of `tooLarge` when the object has more bytes
 */
export async function readSmall(
  { output, read }: ObjectResponse,
  maxBytes: number,
  tooLarge: () => Error,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of read(0, output.ContentLength)) {
    bytes += piece.length;
    if (bytes > maxBytes) throw tooLarge();
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** The state of reading one body. */
interface Reading {
  readonly target: RequestTarget;
  readonly signal: AbortSignal;
  readonly idleTimeoutMs: number;
  readonly bytes: ResponseBytes;
  /** Bytes of the body that were read, those before the wanted ones included. */
  bytesRead: number;
  /** Bytes to read, if that is known. */
  expected?: number | undefined;
}

/** An unwanted rest of the body of at most this length is read, so that the connection can be used again. */
const maxRestBytes = 64 * 1024;

async function* readBody(
  pieces: AsyncIterable<Uint8Array>,
  reading: Reading,
  skip: number,
  length: number | undefined,
): AsyncGenerator<Uint8Array, undefined> {
  const { bytes } = reading;
  const start = bytes.skip + skip;
  const end = length === undefined ? Number.POSITIVE_INFINITY : start + length;
  const most = bytes.bodyBytes ?? end;
  reading.expected = length === undefined ? undefined : end;
  for await (const piece of pieces) {
    const seen = reading.bytesRead;
    const wanted = piece.subarray(Math.max(0, start - seen), Math.max(0, end - seen));
    reading.bytesRead += piece.length;
    if (wanted.length > 0) yield wanted;
    if (reading.bytesRead > most)
      throw fail(reading, "BODY_INTERRUPTED", `it has more than the ${most} bytes that it announced`);
    if (reading.bytesRead >= end && most - reading.bytesRead > maxRestBytes) return undefined;
  }
  if (length !== undefined && reading.bytesRead < end)
    throw fail(reading, "BODY_INTERRUPTED", `it ended after ${reading.bytesRead} bytes`);
  return undefined;
}

/** The limits of reading a body. */
function guardOf(reading: Reading): SourceGuard {
  const { signal, idleTimeoutMs } = reading;
  return {
    signal,
    idleTimeoutMs,
    stalled: () => fail(reading, "BODY_STALLED", `no bytes arrived for ${idleTimeoutMs} ms`),
    failed: (cause) => {
      // The failure of the request for the rest, which came through the streams of the SDK.
      if (cause instanceof EnvelopeError) return cause;
      const what = `reading failed after ${reading.bytesRead} bytes, see the cause`;
      return fail(reading, "BODY_INTERRUPTED", what, cause);
    },
  };
}

function fail(reading: Reading, code: BodyFault, what: string, cause?: unknown): EnvelopeError {
  const { target, bytes } = reading;
  return decodedBody(bytes.output, target, cause) ?? bodyError(code, target, reading, what, cause);
}

async function readInto(
  reading: Reading,
  open: (guard: SourceGuard) => AsyncIterable<Uint8Array>,
  targets: readonly Uint8Array[],
): Promise<void> {
  const { target, signal, idleTimeoutMs, bytes } = reading;
  const expected = targets.reduce((sum, { length }) => sum + length, 0);
  const { output, skip, bodyBytes = expected } = bytes;
  const fail = (code: BodyFault, bytesRead: number, what: string, cause?: unknown) =>
    decodedBody(output, target, cause) ?? bodyError(code, target, { bytesRead, expected }, what, cause);
  if (skip > 0 || bodyBytes > expected)
    return fill(targets, readBody(open(guardOf(reading)), reading, 0, expected));
  const seen = await collectInto(output.Body, targets, {
    signal,
    idleTimeoutMs,
    stalled: (bytes) => fail("BODY_STALLED", bytes, `no bytes arrived for ${idleTimeoutMs} ms`),
    failed: (bytes, cause) =>
      fail("BODY_INTERRUPTED", bytes, `reading failed after ${bytes} bytes, see the cause`, cause),
  });
  if (seen > expected)
    throw fail("BODY_INTERRUPTED", seen, `it has more than the ${expected} bytes that it announced`);
  if (seen < expected) throw fail("BODY_INTERRUPTED", seen, `it ended after ${seen} bytes`);
}

/** Copies pieces into the targets, one after the other. The targets have room for all pieces. */
async function fill(targets: readonly Uint8Array[], pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const room = targets.values();
  let target: Uint8Array = new Uint8Array(0);
  for await (const piece of pieces) {
    for (let rest = piece; rest.length > 0; ) {
      while (target.length === 0) target = room.next().value ?? rest;
      const fitting = rest.subarray(0, target.length);
      target.set(fitting);
      target = target.subarray(fitting.length);
      rest = rest.subarray(fitting.length);
    }
  }
}

type BodyFault = "BODY_INTERRUPTED" | "BODY_STALLED";

function bodyError(
  code: BodyFault,
  target: RequestTarget,
  { bytesRead, expected }: { readonly bytesRead: number; readonly expected?: number | undefined },
  what: string,
  cause: unknown,
): EnvelopeError {
  return new EnvelopeError(code, `S3 GetObject of ${quoted(target.key)}: ${what}; read it again`, {
    cause,
    details: { ...target, bytesRead, ...(expected !== undefined && { expected }) },
  });
}
