/** Reads one object, whole or a range of it: one GetObject, verified plaintext out. */
import { timingSafeEqual } from "node:crypto";
import { Readable } from "node:stream";
import {
  GetObjectCommand,
  type GetObjectCommandInput,
  type GetObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { choiceArgument } from "../arguments.js";
import { decryptionFailed, type MessageKeys } from "../cobblestone/derivation.js";
import { plaintextLength } from "../cobblestone/geometry.js";
import { openSource } from "../cobblestone/message.js";
import { withoutEnvelope } from "../envelope/user-metadata.js";
import { EnvelopeError } from "../errors.js";
import type { EncryptionContext } from "../keys/context.js";
import { type VerifiedBody, verifiedBody } from "./body.js";
import { attemptArgument, refuseFields, withoutChecksums } from "./fields.js";
import { closeSource, guardSource } from "./guarded-source.js";
import { type ByteRange, ciphertextRange, planRange, type RangePlan, rangeArgument } from "./range.js";
import {
  type ExpectedContext,
  expectedContextArgument,
  notEncrypted,
  readEnvelope,
  unlock,
} from "./read-envelope.js";
import { type S3Attempt, s3Request } from "./s3-errors.js";
import type { CallOptions, ClientSettings } from "./settings.js";
import { abortSignalArgument, type TransferSignal, transferSignal } from "./transfer-signal.js";

/** What `get` takes: the input of GetObject but for PartNumber, and these. `Range` is in plaintext bytes. */
export interface GetInput extends Omit<GetObjectCommandInput, "PartNumber"> {
  /**
   * The context that the object must have, exactly; empty by default. "any" accepts whatever it has: it is
   * still authenticated, but you must look at the result's `encryptionContext` yourself.
   */
  readonly encryptionContext?: ExpectedContext | undefined;
  /** Whether an object that is not encrypted is refused (default) or returned, with `encrypted: false`. */
  readonly plaintext?: "refuse" | "allow" | undefined;
}

/** What `get` gives: the output of GetObject with sizes and range in plaintext bytes, without checksums, and these. */
export interface GetOutput extends Omit<GetObjectCommandOutput, "Body" | `Checksum${string}`> {
  /** The plaintext, each byte verified before it comes out. Read it once, or destroy it. */
  readonly Body: VerifiedBody;
  /** False only for an object that is not encrypted, read with `plaintext: "allow"`. */
  readonly encrypted: boolean;
  /** The context that the object was written with; authenticated. Absent when it is not encrypted. */
  readonly encryptionContext?: EncryptionContext;
}

interface GetRequest {
  readonly get: GetObjectCommandInput;
  readonly attempt: S3Attempt;
  readonly range: ByteRange | undefined;
  readonly expected: ExpectedContext;
  readonly allowPlaintext: boolean;
  readonly transfer: TransferSignal;
}

/** See `EnvelopeClient.get`. */
export async function get(
  settings: ClientSettings,
  input: GetInput,
  options: CallOptions,
): Promise<GetOutput> {
  const transfer = transferSignal(abortSignalArgument(options.abortSignal));
  try {
    return await read(settings, getArguments(input, transfer));
  } catch (error) {
    letGo(transfer);
    throw error;
  }
}

/** Ends the requests for good: whatever streams the SDK put around a connection, aborting closes it. */
function letGo(transfer: TransferSignal): void {
  transfer.abort(new Error("the body was closed"));
  transfer.dispose();
}

async function read(settings: ClientSettings, request: GetRequest): Promise<GetOutput> {
  const { get, range, expected, transfer } = request;
  const output = await firstAnswer(settings, request);
  const envelope = await readEnvelope(settings.s3, get, output.Metadata ?? {}, transfer.signal);
  if (!envelope) return plainOutput(settings, request, output);
  const { encryptionContext } = envelope;
  const keys = await transfer.untilAborted(unlock(settings.keyring, envelope, expected, transfer.signal));
  return {
    ...(range
      ? rangeOutput(settings, request, output, keys, range)
      : wholeOutput(settings, request, output, keys)),
    encryptionContext,
  };
}

/** A range of ciphertext can lie beyond an object that is not encrypted; then the answer to the plain range counts. */
async function firstAnswer(settings: ClientSettings, request: GetRequest): Promise<GetObjectCommandOutput> {
  const { get, range, allowPlaintext, transfer } = request;
  if (!range) return fetchObject(settings, request, get);
  try {
    return await fetchObject(settings, request, { ...get, Range: ciphertextRange(range) });
  } catch (error) {
    const outside = error instanceof EnvelopeError && error.code === "S3_RANGE_NOT_SATISFIABLE";
    if (!outside || !allowPlaintext) throw error;
    const output = await fetchObject(settings, request, { ...get, Range: plainRange(range) });
    if (!(await readEnvelope(settings.s3, get, output.Metadata ?? {}, transfer.signal))) return output;
    throw error;
  }
}

function getArguments(input: GetInput, transfer: TransferSignal): GetRequest {
  const attempt = attemptArgument("GetObject", input);
  refuseFields(input, ["PartNumber"], "parts are of the ciphertext: use Range");
  const { encryptionContext, plaintext, Range, ...get } = input;
  return {
    get,
    attempt,
    range: rangeArgument(Range),
    expected: expectedContextArgument(encryptionContext),
    allowPlaintext: choiceArgument("plaintext", plaintext ?? "refuse", ["refuse", "allow"]) === "allow",
    transfer,
  };
}

async function fetchObject(
  { s3 }: ClientSettings,
  { attempt, transfer }: GetRequest,
  get: GetObjectCommandInput,
): Promise<GetObjectCommandOutput> {
  const command = new GetObjectCommand(get);
  const output = await s3Request(attempt, transfer.signal, (options) => s3.send(command, options));
  // A body that is let go of unread fails in the SDK's hands; without a listener that would end the process.
  if (output.Body instanceof Readable) output.Body.on("error", () => undefined);
  return output;
}

type Output = Omit<GetOutput, "encryptionContext">;

function wholeOutput(
  settings: ClientSettings,
  request: GetRequest,
  output: GetObjectCommandOutput,
  keys: MessageKeys,
): Output {
  const length = output.ContentLength === undefined ? undefined : plaintextLength(output.ContentLength);
  const ciphertext = readBody(settings, request, output, 0, output.ContentLength);
  const readHeader = (header: Buffer) => {
    if (!timingSafeEqual(header, keys.header)) throw decryptionFailed();
    return keys;
  };
  const plaintext = openSource(ciphertext, { readHeader, endsMessage: true });
  return encryptedOutput(request, output, plaintext, { ContentLength: length });
}

function rangeOutput(
  settings: ClientSettings,
  request: GetRequest,
  output: GetObjectCommandOutput,
  keys: MessageKeys,
  range: ByteRange,
): Output {
  const plan = planRange(range, output.ContentRange);
  const ciphertext = readBody(settings, request, output, plan.skipCiphertext, plan.ciphertextBytes);
  const plaintext = openSource(ciphertext, {
    keys,
    firstChunk: plan.firstChunk,
    endsMessage: plan.endsMessage,
  });
  return encryptedOutput(request, output, slice(plaintext, plan.skipPlaintext, plan.length), {
    ContentLength: plan.length,
    ContentRange: contentRange(plan),
  });
}

function encryptedOutput(
  { transfer }: GetRequest,
  output: GetObjectCommandOutput,
  plaintext: AsyncIterable<Uint8Array>,
  sizes: Pick<GetObjectCommandOutput, "ContentLength" | "ContentRange">,
): Output {
  return {
    ...withoutChecksums(output),
    ...sizes,
    Metadata: withoutEnvelope(output.Metadata ?? {}),
    encrypted: true,
    Body: verifiedBody(plaintext, transfer.signal, () => letGo(transfer)),
  };
}

/** An object that is not encrypted. What came for a range of ciphertext is of no use, so it is asked for again. */
async function plainOutput(
  settings: ClientSettings,
  request: GetRequest,
  answer: GetObjectCommandOutput,
): Promise<Output> {
  if (!request.allowPlaintext) throw notEncrypted(request.attempt.key);
  let output = answer;
  if (request.range) {
    closeSource(answer.Body);
    const Range = plainRange(request.range);
    output = await fetchObject(settings, request, { ...request.get, Range, IfMatch: answer.ETag });
  }
  const bytes = readBody(settings, request, output, 0, output.ContentLength);
  const Body = verifiedBody(bytes, request.transfer.signal, () => letGo(request.transfer));
  return { ...withoutChecksums(output), encrypted: false, Body };
}

function plainRange(range: ByteRange): string {
  return "suffix" in range ? `bytes=-${range.suffix}` : `bytes=${range.first}-${range.last ?? ""}`;
}

/** Yields `length` bytes of the answer's body from `skip` on; rejects when fewer come. */
async function* readBody(
  { idleTimeoutMs }: ClientSettings,
  { attempt, transfer }: GetRequest,
  { Body }: GetObjectCommandOutput,
  skip: number,
  length: number | undefined,
): AsyncGenerator<Uint8Array, undefined> {
  let seen = 0;
  const end = length === undefined ? Number.POSITIVE_INFINITY : skip + length;
  const fail = (code: "BODY_INTERRUPTED" | "BODY_STALLED", what: string, cause?: unknown) =>
    new EnvelopeError(code, `S3 GetObject of "${attempt.key}": ${what}; read it again`, {
      cause,
      details: { ...attempt, bytesRead: seen, ...(length !== undefined && { expected: end }) },
    });
  const pieces = guardSource((Body ?? []) as AsyncIterable<Uint8Array>, {
    signal: transfer.signal,
    idleTimeoutMs,
    stalled: () => fail("BODY_STALLED", `no bytes came for ${idleTimeoutMs} ms`),
    failed: (cause) => fail("BODY_INTERRUPTED", `reading failed after ${seen} bytes, see the cause`, cause),
  });
  for await (const piece of pieces) {
    const wanted = piece.subarray(Math.max(0, skip - seen), Math.max(0, end - seen));
    seen += piece.length;
    if (wanted.length > 0) yield wanted;
  }
  if (length !== undefined && seen < end) throw fail("BODY_INTERRUPTED", `it ended after ${seen} bytes`);
  return undefined;
}

async function* slice(
  plaintext: AsyncIterable<Uint8Array>,
  skip: number,
  length: number,
): AsyncGenerator<Uint8Array, undefined> {
  let before = skip;
  let left = length;
  for await (const piece of plaintext) {
    const wanted = piece.subarray(before, before + left);
    before = Math.max(0, before - piece.length);
    left -= wanted.length;
    if (wanted.length > 0) yield wanted;
  }
  return undefined;
}

function contentRange({ start, length, plaintextLength: total }: RangePlan): string {
  return `bytes ${start}-${start + length - 1}/${total}`;
}
