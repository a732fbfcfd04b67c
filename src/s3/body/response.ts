/** One GetObject: its answer, and its body as bytes that can neither stall for ever nor end early unnoticed. */
import type { GetObjectCommandInput, S3Client } from "@aws-sdk/client-s3";
import { linkedSignal } from "../../base/abort.js";
import { quoted } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";
import { expectFailure } from "../../service/response-guard.js";
import { guardSource, type SourceGuard } from "../../source/guarded-source.js";
import type { RequestTarget } from "../errors.js";
import { requireSize } from "../fields.js";
import { getObject, targetOf } from "../requests.js";
import { decodedBody, type ResponseBytes, responseBytes } from "../responses.js";
import { piecesOf } from "./coalesced-reads.js";
import { collect } from "./collect.js";
import { connectionsOf } from "./connections.js";
import type { ObjectResponse } from "./object-response.js";
import { type AskAgain, ResponseBody, restOf } from "./response-body.js";

/** What else may be known when an object is target for. */
export interface ResponseOptions {
  /** Bytes of the object, if earlier answers have told. */
  readonly totalBytes?: number | undefined;
  /**
   * Lets the body give up its connection while nobody reads it and requests wait for one, if the response tells ETag
   * and length; what is left is then target for once it is read again.
   */
  readonly askAgain?: AskAgain;
}

/**
 * Asks for an object. The body ends with the signal, too.
 *
 * @throws EnvelopeError those of S3; `S3_REQUEST_FAILED` when the response does not have the requested bytes
 */
export async function getResponse(
  { s3, idleTimeoutMs }: { readonly s3: S3Client; readonly idleTimeoutMs: number },
  input: GetObjectCommandInput,
  signal: AbortSignal | undefined,
  { totalBytes, askAgain }: ResponseOptions = {},
): Promise<ObjectResponse> {
  const { signal: own, abort, dispose } = linkedSignal(signal);
  const close = () => {
    abort(new Error("the body was closed"));
    dispose();
  };
  const target = targetOf("GetObject", input);
  const response = new ResponseBody(connectionsOf(s3));
  const observer = askAgain && response;
  try {
    const output = await getObject(s3, input, { signal: own, observer });
    // Middleware of the caller's may have put another body there.
    expectFailure(output.Body);
    requireSize(output.ContentLength, target);
    const decoded = decodedBody(output, target);
    if (decoded) throw decoded;
    const bytes = responseBytes(output, input.Range, target, totalBytes);
    const reading: Reading = { target, signal: own, idleTimeoutMs, bytes, bytesRead: 0 };
    const open = (guard: SourceGuard) => guardSource(piecesOf(output.Body), guard);
    const rest = askAgain && restOf(bytes, target, own, askAgain);
    const pieces = rest && response.hold(output.Body, rest, () => guardOf(reading));
    own.addEventListener("abort", response.detach, { once: true });
    return {
      output: bytes.output,
      stream: output.Body,
      letGo: close,
      read: (skip, length) => readBody(pieces ?? open(guardOf(reading)), reading, skip, length),
      readInto(targets) {
        response.detach();
        return readInto(reading, open, targets).then(dispose);
      },
      open(guard) {
        response.detach();
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

interface Reading {
  readonly target: RequestTarget;
  readonly signal: AbortSignal;
  readonly idleTimeoutMs: number;
  readonly bytes: ResponseBytes;
  /** Of the body, what comes before the wanted bytes included. */
  bytesRead: number;
  /** Bytes that are to be read, if that is known. */
  expected?: number | undefined;
}

/** A rest of the body that nobody wants is read up to this length, as the connection can then be used again. */
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
      throw fail(reading, "BODY_INTERRUPTED", `more than the ${most} bytes came that it said`);
    if (reading.bytesRead >= end && most - reading.bytesRead > maxRestBytes) return undefined;
  }
  if (length !== undefined && reading.bytesRead < end)
    throw fail(reading, "BODY_INTERRUPTED", `it ended after ${reading.bytesRead} bytes`);
  return undefined;
}

/** When reading a body gives up. */
function guardOf(reading: Reading): SourceGuard {
  const { signal, idleTimeoutMs } = reading;
  return {
    signal,
    idleTimeoutMs,
    stalled: () => fail(reading, "BODY_STALLED", `no bytes came for ${idleTimeoutMs} ms`),
    failed: (cause) => {
      // What asking for the rest failed with has come through the streams of the SDK.
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
  const seen = await collect(output.Body, targets, {
    signal,
    idleTimeoutMs,
    stalled: (bytes) => fail("BODY_STALLED", bytes, `no bytes came for ${idleTimeoutMs} ms`),
    failed: (bytes, cause) =>
      fail("BODY_INTERRUPTED", bytes, `reading failed after ${bytes} bytes, see the cause`, cause),
  });
  if (seen > expected)
    throw fail("BODY_INTERRUPTED", seen, `more than the ${expected} bytes came that it said`);
  if (seen < expected) throw fail("BODY_INTERRUPTED", seen, `it ended after ${seen} bytes`);
}

/** Copies pieces into the targets, one after the other, which have room for all of them. */
async function fill(targets: readonly Uint8Array[], pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const room = targets.values();
  let target: Uint8Array = new Uint8Array(0);
  for await (const piece of pieces) {
    for (let rest = piece; rest.length > 0; ) {
      while (target.length === 0) target = room.next().value ?? rest;
      const part = rest.subarray(0, target.length);
      target.set(part);
      target = target.subarray(part.length);
      rest = rest.subarray(part.length);
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
