/** One GetObject: its answer, and its body as bytes that can neither stall for ever nor end early unnoticed. */
import { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { GetObjectCommand, type GetObjectCommandInput } from "@aws-sdk/client-s3";
import { EnvelopeError } from "../errors.js";
import { expectFailure, guarded } from "../response-guard.js";
import { Batches } from "./batches.js";
import { collect } from "./collect.js";
import { requireSize } from "./fields.js";
import { guardSource } from "./guarded-source.js";
import { evaluatingIfMatch } from "./if-match.js";
import type { ObjectAnswer } from "./object-answer.js";
import { type AnsweredBytes, answeredBytes, decodedBody } from "./responses.js";
import { type S3Attempt, s3Request } from "./s3-errors.js";
import type { ClientSettings } from "./settings.js";
import { type TransferSignal, transferSignal } from "./transfer-signal.js";

/**
 * Asks for an object. The body ends with the signal, too.
 *
 * @param totalBytes of the object, if earlier answers have told
 * @throws EnvelopeError those of S3; `S3_REQUEST_FAILED` when what was asked for is not in the answer
 */
export async function getAnswer(
  { s3, idleTimeoutMs }: Pick<ClientSettings, "s3" | "idleTimeoutMs">,
  attempt: S3Attempt,
  input: GetObjectCommandInput,
  signal: AbortSignal | undefined,
  totalBytes?: number,
): Promise<ObjectAnswer> {
  const transfer = transferSignal(signal);
  const send = (asked: GetObjectCommandInput) => {
    const command = guarded(new GetObjectCommand(asked), { maxBodyBytes: "stream" });
    return s3Request(attempt, transfer.signal, (options) => s3.send(command, options));
  };
  try {
    const output = await evaluatingIfMatch(s3, input, attempt, transfer.signal, send);
    // Middleware of the caller's may have put another body there.
    expectFailure(output.Body);
    requireSize(output.ContentLength, attempt);
    const decoded = decodedBody(output, attempt);
    if (decoded) throw decoded;
    const bytes = answeredBytes(output, input.Range, attempt, totalBytes);
    const reading = { attempt, transfer, idleTimeoutMs, bytes };
    return {
      output: bytes.output,
      letGo: transfer.close,
      read: (skip, length) => readBody(reading, skip, length),
      readInto: (targets) => readInto(reading, targets).then(transfer.dispose),
    };
  } catch (error) {
    transfer.close();
    throw error;
  }
}

interface Reading {
  readonly attempt: S3Attempt;
  readonly transfer: TransferSignal;
  readonly idleTimeoutMs: number;
  readonly bytes: AnsweredBytes;
}

/** A rest of the body that nobody wants is read up to this length, as the connection can then be used again. */
const maxRestBytes = 64 * 1024;

async function* readBody(
  { attempt, transfer, idleTimeoutMs, bytes }: Reading,
  skip: number,
  length: number | undefined,
): AsyncGenerator<Uint8Array, undefined> {
  const { output, bodyBytes } = bytes;
  const { Body } = output;
  const start = bytes.skip + skip;
  let seen = 0;
  const end = length === undefined ? Number.POSITIVE_INFINITY : start + length;
  const most = bodyBytes ?? end;
  const expected = length === undefined ? undefined : end;
  const fail = (code: BodyFault, what: string, cause?: unknown) =>
    decodedBody(output, attempt, cause) ??
    bodyError(code, attempt, { bytesRead: seen, expected }, what, cause);
  const source = isOverTls(Body) ? new Batches(Body) : ((Body ?? []) as AsyncIterable<Uint8Array>);
  const pieces = guardSource<Uint8Array>(source, {
    signal: transfer.signal,
    idleTimeoutMs,
    stalled: () => fail("BODY_STALLED", `no bytes came for ${idleTimeoutMs} ms`),
    failed: (cause) => fail("BODY_INTERRUPTED", `reading failed after ${seen} bytes, see the cause`, cause),
  });
  for await (const piece of pieces) {
    const wanted = piece.subarray(Math.max(0, start - seen), Math.max(0, end - seen));
    seen += piece.length;
    if (wanted.length > 0) yield wanted;
    if (seen > most) throw fail("BODY_INTERRUPTED", `more than the ${most} bytes came that it said`);
    if (seen >= end && most - seen > maxRestBytes) return undefined;
  }
  if (length !== undefined && seen < end) throw fail("BODY_INTERRUPTED", `it ended after ${seen} bytes`);
  return undefined;
}

async function readInto(reading: Reading, targets: readonly Uint8Array[]): Promise<void> {
  const { attempt, transfer, idleTimeoutMs, bytes } = reading;
  const expected = targets.reduce((sum, { length }) => sum + length, 0);
  const { output, skip, bodyBytes = expected } = bytes;
  const fail = (code: BodyFault, bytesRead: number, what: string, cause?: unknown) =>
    decodedBody(output, attempt, cause) ?? bodyError(code, attempt, { bytesRead, expected }, what, cause);
  if (skip > 0 || bodyBytes > expected) {
    const room = targets.values();
    let target: Uint8Array = new Uint8Array(0);
    for await (const piece of readBody(reading, 0, expected)) {
      for (let rest = piece; rest.length > 0; ) {
        while (target.length === 0) target = room.next().value ?? rest;
        const part = rest.subarray(0, target.length);
        target.set(part);
        target = target.subarray(part.length);
        rest = rest.subarray(part.length);
      }
    }
    return;
  }
  const seen = await collect(output.Body, targets, {
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
  return new EnvelopeError(code, `S3 GetObject of "${attempt.key}": ${what}; read it again`, {
    cause,
    details: { ...attempt, bytesRead, ...(expected !== undefined && { expected }) },
  });
}

/** Whether a body comes straight from a connection with TLS, and so in small pieces. */
function isOverTls(body: unknown): body is IncomingMessage {
  return body instanceof IncomingMessage && (body.socket as Partial<TLSSocket> | null)?.encrypted === true;
}
