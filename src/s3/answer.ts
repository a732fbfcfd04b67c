/** One GetObject: its answer, and its body as bytes that can neither stall for ever nor end early unnoticed. */
import { Readable } from "node:stream";
import {
  GetObjectCommand,
  type GetObjectCommandInput,
  type GetObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { quoted } from "../bytes.js";
import { EnvelopeError } from "../errors.js";
import { piecesOf } from "./batches.js";
import { collect } from "./collect.js";
import { connectionsOf } from "./connections.js";
import { requireSize } from "./fields.js";
import { guardSource, type SourceGuard } from "./guarded-source.js";
import type { ObjectAnswer } from "./object-answer.js";
import { parseContentRange } from "./range.js";
import { type AskAgain, ResponseBody, restOf } from "./response-body.js";
import { type S3Attempt, s3Request } from "./s3-errors.js";
import type { ClientSettings } from "./settings.js";
import { transferSignal } from "./transfer-signal.js";

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
  const asked = input.Range === undefined ? attempt : { ...attempt, range: input.Range };
  // Of the first request alone: the body may outlive it.
  const request = transferSignal(transfer.signal);
  const reading: Reading = { attempt: asked, signal: transfer.signal, idleTimeoutMs, bytesRead: 0 };
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
    const response = new ResponseBody(connectionsOf(s3), request.close);
    if (askAgain) response.watch(command);
    const output = await s3Request(asked, request.signal, (options) => s3.send(command, options));
    expectFailure(output);
    requireSize(output.ContentLength, asked);
    const open = (guard: SourceGuard) => guardSource(piecesOf(output.Body), guard);
    const rest = askAgain && restOf(output, asked, transfer.signal, askAgain);
    const pieces = rest && response.hold(output.Body, rest, () => guardOf(reading));
    transfer.signal.addEventListener("abort", response.detach, { once: true });
    return {
      output,
      stream: output.Body,
      letGo: transfer.close,
      read: (skip, length) => readBody(pieces ?? open(guardOf(reading)), output, reading, skip, length),
      readInto(targets) {
        response.detach();
        return readInto(output, reading, targets).then(transfer.dispose);
      },
      open(guard) {
        response.detach();
        return open(guard);
      },
    };
  } catch (error) {
    transfer.close();
    throw error;
  }
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
  return new EnvelopeError(code, `S3 GetObject of ${quoted(attempt.key)}: ${what}; read it again`, {
    cause,
    details: { ...attempt, bytesRead, ...(expected !== undefined && { expected }) },
  });
}
