/** One GetObject: its answer, and its body as bytes that can neither stall for ever nor end early unnoticed. */
import { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import {
  GetObjectCommand,
  type GetObjectCommandInput,
  type GetObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { quoted } from "../bytes.js";
import { EnvelopeError } from "../errors.js";
import { Batches } from "./batches.js";
import { collect } from "./collect.js";
import { requireSize } from "./fields.js";
import { guardSource } from "./guarded-source.js";
import type { ObjectAnswer } from "./object-answer.js";
import { parseContentRange } from "./range.js";
import { type S3Attempt, s3Request } from "./s3-errors.js";
import type { ClientSettings } from "./settings.js";
import { type TransferSignal, transferSignal } from "./transfer-signal.js";

/** Asks for an object. The body ends with the signal, too. */
export async function getAnswer(
  { s3, idleTimeoutMs }: Pick<ClientSettings, "s3" | "idleTimeoutMs">,
  attempt: S3Attempt,
  input: GetObjectCommandInput,
  signal: AbortSignal | undefined,
): Promise<ObjectAnswer> {
  const transfer = transferSignal(signal);
  const asked = input.Range === undefined ? attempt : { ...attempt, range: input.Range };
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
    const output = await s3Request(asked, transfer.signal, (options) => s3.send(command, options));
    expectFailure(output);
    requireSize(output.ContentLength, asked);
    const reading = { attempt: asked, transfer, idleTimeoutMs };
    return {
      output,
      letGo: transfer.close,
      read: (skip, length) => readBody(output, reading, skip, length),
      readInto: (targets) => readInto(output, reading, targets).then(transfer.dispose),
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
  readonly transfer: TransferSignal;
  readonly idleTimeoutMs: number;
}

async function* readBody(
  { Body, ContentRange }: GetObjectCommandOutput,
  { attempt, transfer, idleTimeoutMs }: Reading,
  skip: number,
  length: number | undefined,
): AsyncGenerator<Uint8Array, undefined> {
  let seen = 0;
  const end = length === undefined ? Number.POSITIVE_INFINITY : skip + length;
  const answered = parseContentRange(ContentRange);
  const most = answered ? answered.last + 1 - answered.first : end;
  const expected = length === undefined ? undefined : end;
  const fail = (code: BodyFault, what: string, cause?: unknown) =>
    bodyError(code, attempt, { bytesRead: seen, expected }, what, cause);
  const source = isOverTls(Body) ? new Batches(Body) : ((Body ?? []) as AsyncIterable<Uint8Array>);
  const pieces = guardSource<Uint8Array>(source, {
    signal: transfer.signal,
    idleTimeoutMs,
    stalled: () => fail("BODY_STALLED", `no bytes came for ${idleTimeoutMs} ms`),
    failed: (cause) => fail("BODY_INTERRUPTED", `reading failed after ${seen} bytes, see the cause`, cause),
  });
  for await (const piece of pieces) {
    const wanted = piece.subarray(Math.max(0, skip - seen), Math.max(0, end - seen));
    seen += piece.length;
    if (wanted.length > 0) yield wanted;
    if (seen > most) throw fail("BODY_INTERRUPTED", `more than the ${most} bytes came that it said`);
  }
  if (length !== undefined && seen < end) throw fail("BODY_INTERRUPTED", `it ended after ${seen} bytes`);
  return undefined;
}

async function readInto(
  { Body }: GetObjectCommandOutput,
  { attempt, transfer, idleTimeoutMs }: Reading,
  targets: readonly Uint8Array[],
): Promise<void> {
  const expected = targets.reduce((sum, { length }) => sum + length, 0);
  const fail = (code: BodyFault, bytesRead: number, what: string, cause?: unknown) =>
    bodyError(code, attempt, { bytesRead, expected }, what, cause);
  const seen = await collect(Body, targets, {
    signal: transfer.signal,
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
  { bytesRead, expected }: { readonly bytesRead: number; readonly expected: number | undefined },
  what: string,
  cause: unknown,
): EnvelopeError {
  return new EnvelopeError(code, `S3 GetObject of ${quoted(attempt.key)}: ${what}; read it again`, {
    cause,
    details: { ...attempt, bytesRead, ...(expected !== undefined && { expected }) },
  });
}

/** Whether a body comes straight from a connection with TLS, and so in small pieces. */
function isOverTls(body: unknown): body is IncomingMessage {
  return body instanceof IncomingMessage && (body.socket as Partial<TLSSocket> | null)?.encrypted === true;
}
