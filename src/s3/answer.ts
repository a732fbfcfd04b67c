/** One GetObject: its answer, and its body as bytes that can neither stall for ever nor end early unnoticed. */
import { IncomingMessage } from "node:http";
import { finished, Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import {
  GetObjectCommand,
  type GetObjectCommandInput,
  type GetObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { EnvelopeError } from "../errors.js";
import { Batches } from "./batches.js";
import { collect } from "./collect.js";
import { type Connections, connectionsOf } from "./connections.js";
import { requireSize } from "./fields.js";
import { guardSource, type SourceGuard } from "./guarded-source.js";
import { type BodyConnection, HeldBody } from "./held-body.js";
import type { ObjectAnswer } from "./object-answer.js";
import { otherRange, parseContentRange } from "./range.js";
import { type S3Attempt, s3Request } from "./s3-errors.js";
import type { ClientSettings } from "./settings.js";
import { transferSignal } from "./transfer-signal.js";

/** Asks again for the object that a response was about, and for none that has taken its place. */
export type AskAgain = (
  ETag: string,
  Range: string | undefined,
  signal: AbortSignal,
) => Promise<ObjectAnswer>;

/**
 * Asks for an object. The body ends with the signal, too.
 *
 * @param askAgain lets the body give up its connection while nobody reads it and requests wait for one, if the response
 *   tells ETag and length; what is left is then asked for once it is read again
 */
export async function getAnswer(
  { s3, idleTimeoutMs }: Pick<ClientSettings, "s3" | "idleTimeoutMs">,
  attempt: S3Attempt,
  input: GetObjectCommandInput,
  signal: AbortSignal | undefined,
  askAgain?: AskAgain,
): Promise<ObjectAnswer> {
  const transfer = transferSignal(signal);
  // Of the first request alone: the body may outlive it.
  const request = transferSignal(transfer.signal);
  const reading: Reading = { attempt, signal: transfer.signal, idleTimeoutMs, bytesRead: 0 };
  const connections = connectionsOf(s3);
  const hold = (stream: unknown, open: () => AsyncIterator<Uint8Array>) =>
    new HeldBody(connections, { stream, open, close: request.close });
  let stream: unknown;
  let held: HeldBody | undefined;
  try {
    const command = new GetObjectCommand(input);
    // Middleware of the caller's may take its time with an answer whose body fails meanwhile.
    command.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        expectFailure(result.output);
        return result;
      },
      heardFirst,
    );
    command.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        const response = Object(result.response) as HttpResponse;
        const { body } = response;
        stream = body;
        // The SDK compares the checksum of what goes through its hands: it has to get all of the body.
        if (askAgain && body instanceof Readable && hasChecksum(response)) {
          expectFailure({ Body: body });
          const bytes = Number(response.headers?.["content-length"]);
          if (bytes <= smallBytes) takeInWhenWanted(connections, body);
          else {
            held = hold(body, () => sourceOf(body)[Symbol.asyncIterator]());
            response.body = Readable.from(held, { objectMode: false });
          }
        }
        return result;
      },
      // The last before the handler.
      { step: "deserialize", priority: "low", name: "holdBody" },
    );
    const output = await s3Request(attempt, request.signal, (options) => s3.send(command, options));
    expectFailure(output);
    requireSize(output.ContentLength, attempt);
    const open = (guard: SourceGuard) => guardSource(sourceOf(output.Body), guard);
    let pieces: AsyncIterable<Uint8Array> | undefined;
    // A body that somebody's middleware has put another in place of cannot be gone on with by its place.
    if (!held && output.Body && output.Body === stream) {
      held = hold(stream, () => open(guardOf(reading)));
      pieces = held;
    }
    const resume = askAgain && resumption(output, reading, askAgain);
    if (held && resume) {
      held.letResume(resume);
      transfer.signal.addEventListener("abort", held.detach, { once: true });
    }
    return {
      output,
      stream,
      letGo: transfer.close,
      read: (skip, length) => readBody(pieces ?? open(guardOf(reading)), output, reading, skip, length),
      readInto(targets) {
        held?.detach();
        return readInto(output, reading, targets).then(transfer.dispose);
      },
      open(guard) {
        held?.detach();
        return open(guard);
      },
    };
  } catch (error) {
    transfer.close();
    throw error;
  }
}

/** A body with a checksum and at most so many bytes is taken into memory when its connection is wanted. */
const smallBytes = 64 * 1024;

function takeInWhenWanted(connections: Connections, stream: Readable): void {
  // Whoever verifies it pauses it after each piece, which is as much as is taken in at a time.
  const release = () => {
    if (stream.listenerCount("data") > 0) stream.resume();
  };
  const body = { stream, idleSince: performance.now(), release };
  connections.add(body);
  finished(stream, () => connections.delete(body));
}

/** As the SDK's handlers make it. */
interface HttpResponse {
  readonly statusCode?: number;
  readonly headers?: Readonly<Record<string, string>>;
  body?: unknown;
}

/** Whether a response says that it has the object, with a checksum that the SDK may compare. */
function hasChecksum({ statusCode = 0, headers = {} }: HttpResponse): boolean {
  const isSuccess = statusCode === 200 || statusCode === 206;
  return isSuccess && Object.keys(headers).some((name) => /^x-amz-checksum-/i.test(name));
}

/** Makes what asks for the bytes that follow so many of a response; undefined when it does not tell which those are. */
function resumption(
  { ETag, ContentLength, ContentRange }: GetObjectCommandOutput,
  reading: Reading,
  askAgain: AskAgain,
): ((bytesBefore: number) => Promise<BodyConnection | undefined>) | undefined {
  const told = rangeOf({ ContentLength, ContentRange });
  if (!ETag || !told) return undefined;
  const { first, last, total } = told;
  return async (bytesBefore) => {
    const start = first + bytesBefore;
    if (start > last) return undefined;
    const Range = start === 0 && last === total - 1 ? undefined : `bytes=${start}-${last}`;
    const { output, stream, open, letGo } = await askAgain(ETag, Range, reading.signal);
    const got = rangeOf(output);
    if (got?.first === start && got.last === last && got.total === total)
      return { stream, open: () => open(guardOf(reading)), close: letGo };
    letGo();
    throw otherRange(reading.attempt);
  };
}

/** The bytes of its object that a response has; undefined when it does not tell. */
function rangeOf({
  ContentLength,
  ContentRange,
}: Pick<GetObjectCommandOutput, "ContentLength" | "ContentRange">): ReturnType<typeof parseContentRange> {
  if (ContentRange !== undefined) return parseContentRange(ContentRange);
  return ContentLength === undefined
    ? undefined
    : { first: 0, last: ContentLength - 1, total: ContentLength };
}

/** Outside of what makes the body, inside of what callers add. */
const heardFirst = { step: "deserialize", priority: "high", name: "expectBodyToFail" } as const;

/** A body that is let go of unread fails in the SDK's hands; without a listener that would end the process. */
function expectFailure(output: { readonly Body?: unknown } | undefined): void {
  const Body = output?.Body;
  if (Body instanceof Readable && !Body.listeners("error").includes(ignore)) Body.on("error", ignore);
}

function ignore(): void {}

interface Reading {
  readonly attempt: S3Attempt;
  readonly signal: AbortSignal;
  readonly idleTimeoutMs: number;
  bytesRead: number;
  /** Bytes that are to be read, if that is known. */
  expected?: number | undefined;
}

async function* readBody(
  pieces: AsyncIterable<Uint8Array>,
  { ContentRange }: GetObjectCommandOutput,
  reading: Reading,
  skip: number,
  length: number | undefined,
): AsyncGenerator<Uint8Array, undefined> {
  const end = length === undefined ? Number.POSITIVE_INFINITY : skip + length;
  const answered = parseContentRange(ContentRange);
  const most = answered ? answered.last + 1 - answered.first : end;
  reading.expected = length === undefined ? undefined : end;
  for await (const piece of pieces) {
    const seen = reading.bytesRead;
    const wanted = piece.subarray(Math.max(0, skip - seen), Math.max(0, end - seen));
    reading.bytesRead += piece.length;
    if (wanted.length > 0) yield wanted;
    if (reading.bytesRead > most)
      throw fail(reading, "BODY_INTERRUPTED", `more than the ${most} bytes came that it said`);
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
  return bodyError(code, reading.attempt, reading, what, cause);
}

/** The bytes of a body as they come. */
function sourceOf(body: unknown): AsyncIterable<Uint8Array> {
  return isOverTls(body) ? new Batches(body) : ((body ?? []) as AsyncIterable<Uint8Array>);
}

async function readInto(
  { Body }: GetObjectCommandOutput,
  { attempt, signal, idleTimeoutMs }: Reading,
  targets: readonly Uint8Array[],
): Promise<void> {
  const expected = targets.reduce((sum, { length }) => sum + length, 0);
  const fail = (code: BodyFault, bytesRead: number, what: string, cause?: unknown) =>
    bodyError(code, attempt, { bytesRead, expected }, what, cause);
  const seen = await collect(Body, targets, {
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

type BodyFault = "BODY_INTERRUPTED" | "BODY_STALLED";

function bodyError(
  code: BodyFault,
  attempt: S3Attempt,
  { bytesRead, expected }: { readonly bytesRead: number; readonly expected?: number | undefined },
  what: string,
  cause: unknown,
): EnvelopeError {
  return new EnvelopeError(code, `S3 GetObject of "${attempt.key}": ${what}; read it again`, {
    cause,
    details: { ...attempt, bytesRead, ...(expected !== undefined && { expected }) },
  });
}

/** Whether a body comes straight from a connection with TLS, and so in small pieces. */
function isOverTls(body: unknown): body is IncomingMessage {
  return body instanceof IncomingMessage && (body.socket as Partial<TLSSocket> | null)?.encrypted === true;
}
