/** Reads one object, whole or a range of it: one GetObject, verified plaintext out. */
import { timingSafeEqual } from "node:crypto";
import type { GetObjectCommandInput, GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { choiceArgument } from "../arguments.js";
import { decryptionFailed, type MessageKeys } from "../cobblestone/derivation.js";
import { chunkCount, plaintextLength, sealedChunkBytes } from "../cobblestone/geometry.js";
import { openSource } from "../cobblestone/message.js";
import { withoutEnvelope } from "../envelope/user-metadata.js";
import { EnvelopeError, hasCode } from "../errors.js";
import type { EncryptionContext } from "../keys/context.js";
import { getAnswer, type ObjectAnswer } from "./answer.js";
import { type VerifiedBody, verifiedBody } from "./body.js";
import { attemptArgument, refuseFields, withoutChecksums } from "./fields.js";
import { type ByteRange, ciphertextRange, planRange, type RangePlan, rangeArgument } from "./range.js";
import { readAhead } from "./read-ahead.js";
import {
  type ExpectedContext,
  expectedContextArgument,
  notEncrypted,
  readEnvelope,
  storedEnvelope,
  unlock,
} from "./read-envelope.js";
import type { S3Attempt } from "./s3-errors.js";
import { type CallOptions, type ClientSettings, workingOf } from "./settings.js";
import { abortSignalArgument, type TransferSignal, transferSignal, untilAborted } from "./transfer-signal.js";
import { openableObject } from "./windows.js";

/** What `get` takes: the input of GetObject but for PartNumber, and these. `Range` is in plaintext bytes. */
export interface GetInput extends Omit<GetObjectCommandInput, "PartNumber"> {
  /**
   * The context that the object must have, exactly; empty by default. "any" accepts whatever it has: it is
   * still authenticated, but you must look at the result's `encryptionContext` yourself.
   */
  readonly encryptionContext?: ExpectedContext | undefined;
  /** Whether an object that is not encrypted is refused (default) or returned, with `encrypted: false`. */
  readonly plaintext?: "refuse" | "allow" | undefined;
  /**
   * Whether the body is read by several requests at a time, each for 8 MiB, and handed out in order; false by default.
   * At most `maxConcurrentParts`, and fewer while `maxBufferedBytes` has nothing to spare: what is ahead of the reader
   * is held in memory. For large objects and pipes that are faster than one connection. An object that is not
   * encrypted is read by one request.
   */
  readonly parallel?: boolean | undefined;
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
  readonly parallel: boolean;
  readonly transfer: TransferSignal;
}

/** See `EnvelopeClient.get`. */
export async function get(
  settings: ClientSettings,
  input: GetInput,
  options: CallOptions,
): Promise<GetOutput> {
  const transfer = transferSignal(abortSignalArgument(options));
  try {
    return await read(settings, getArguments(input, transfer));
  } catch (error) {
    transfer.close();
    throw error;
  }
}

async function read(settings: ClientSettings, request: GetRequest): Promise<GetOutput> {
  const { get, range, expected, transfer } = request;
  const first = await firstAnswer(settings, request);
  const stored = storedEnvelope(first.output.Metadata);
  if (!stored) return plainOutput(settings, request, first);
  // Kept open, the body would hold the connection that reading the sidecar may be waiting for.
  const inSidecar = stored.storage === "sidecar";
  if (inSidecar) first.letGo();
  const envelope = await readEnvelope(settings, get, stored, transfer.signal).catch(
    async (error: unknown) => {
      // A sidecar goes with its object: is that still there, and still the same?
      if (hasCode(error, "ENVELOPE_MISSING"))
        (await sameObject(settings, request, first, "bytes=0-0")).letGo();
      throw error;
    },
  );
  const { encryptionContext } = envelope;
  const keys = await untilAborted(
    transfer.signal,
    unlock(settings.keyring, envelope, expected, transfer.signal),
  );
  const answer = inSidecar
    ? await sameObject(settings, request, first, range && ciphertextRange(range))
    : first;
  return {
    ...(range
      ? rangeOutput(settings, request, answer, keys, range)
      : wholeOutput(settings, request, answer, keys)),
    encryptionContext,
  };
}

/** A range of ciphertext can lie beyond an object that is not encrypted; then the answer to the plain range counts. */
async function firstAnswer(settings: ClientSettings, request: GetRequest): Promise<ObjectAnswer> {
  const { get, range, allowPlaintext } = request;
  if (!range) return fetchObject(settings, request, get);
  try {
    return await fetchObject(settings, request, { ...get, Range: ciphertextRange(range) });
  } catch (error) {
    if (!hasCode(error, "S3_RANGE_NOT_SATISFIABLE") || !allowPlaintext) throw error;
    const answer = await fetchObject(settings, request, { ...get, Range: plainRange(range) });
    if (!storedEnvelope(answer.output.Metadata)) return answer;
    throw error;
  }
}

/** Asks again for the object that an answer was about, and for none that has taken its place meanwhile. */
async function sameObject(
  settings: ClientSettings,
  request: GetRequest,
  { output: { ETag } }: ObjectAnswer,
  Range: string | undefined,
): Promise<ObjectAnswer> {
  const { get, attempt } = request;
  const overwritten = (cause?: unknown) =>
    new EnvelopeError(
      "BODY_INTERRUPTED",
      `"${attempt.key}" was overwritten while it was being read; read it again`,
      { cause, details: { ...attempt } },
    );
  let answer: ObjectAnswer;
  try {
    answer = await fetchObject(settings, request, { ...get, Range, IfMatch: ETag });
  } catch (error) {
    if (!hasCode(error, "S3_PRECONDITION_FAILED")) throw error;
    throw overwritten(error);
  }
  // Some stores pass If-Match over.
  if (answer.output.ETag === ETag) return answer;
  answer.letGo();
  throw overwritten();
}

function getArguments(input: GetInput, transfer: TransferSignal): GetRequest {
  const attempt = attemptArgument("GetObject", input);
  refuseFields(input, ["PartNumber"], "parts are of the ciphertext: use Range");
  const { encryptionContext, plaintext = "refuse", parallel = false, Range, ...get } = input;
  return {
    get,
    attempt,
    range: rangeArgument(Range),
    expected: expectedContextArgument(encryptionContext),
    allowPlaintext: choiceArgument("plaintext", plaintext, ["refuse", "allow"]) === "allow",
    parallel: choiceArgument("parallel", parallel, [true, false]),
    transfer,
  };
}

function fetchObject(
  settings: ClientSettings,
  { attempt, transfer }: GetRequest,
  get: GetObjectCommandInput,
): Promise<ObjectAnswer> {
  return getAnswer(settings, attempt, get, transfer.signal);
}

type Output = Omit<GetOutput, "encryptionContext">;

function wholeOutput(
  settings: ClientSettings,
  request: GetRequest,
  answer: ObjectAnswer,
  keys: MessageKeys,
): Output {
  const { ContentLength } = answer.output;
  const length = ContentLength === undefined ? undefined : plaintextLength(ContentLength);
  const readHeader = (header: Buffer) => {
    if (!timingSafeEqual(header, keys.header)) throw decryptionFailed();
    return keys;
  };
  const body = answer.read(0, ContentLength);
  const plaintext =
    length !== undefined && request.parallel
      ? readAhead(openableObject(settings, request, answer, keys), body, {
          firstChunk: 0,
          endChunk: chunkCount(length),
          startsWithHeader: true,
        })
      : openSource(body, { readHeader, endsMessage: true }, workingOf(settings));
  return encryptedOutput(request, answer, plaintext, { ContentLength: length });
}

function rangeOutput(
  settings: ClientSettings,
  request: GetRequest,
  answer: ObjectAnswer,
  keys: MessageKeys,
  range: ByteRange,
): Output {
  const plan = planRange(range, answer.output.ContentRange, request.attempt);
  const { firstChunk, endsMessage } = plan;
  const body = answer.read(plan.skipCiphertext, plan.ciphertextBytes);
  const plaintext = request.parallel
    ? readAhead(openableObject(settings, request, answer, keys), body, {
        firstChunk,
        endChunk: firstChunk + Math.ceil(plan.ciphertextBytes / sealedChunkBytes),
        startsWithHeader: false,
      })
    : openSource(body, { keys, firstChunk, endsMessage }, workingOf(settings));
  return encryptedOutput(request, answer, slice(plaintext, plan.skipPlaintext, plan.length), {
    ContentLength: plan.length,
    ContentRange: contentRange(plan),
  });
}

function encryptedOutput(
  { transfer }: GetRequest,
  { output }: ObjectAnswer,
  plaintext: AsyncIterable<Uint8Array>,
  sizes: Pick<GetObjectCommandOutput, "ContentLength" | "ContentRange">,
): Output {
  return {
    ...withoutChecksums(output),
    ...sizes,
    Metadata: withoutEnvelope(output.Metadata ?? {}),
    encrypted: true,
    Body: bodyOf(plaintext, transfer),
  };
}

/** When it has been read to its end nothing runs any more that would have to be aborted. */
function bodyOf(
  plaintext: AsyncIterable<Uint8Array>,
  { signal, close, dispose }: TransferSignal,
): VerifiedBody {
  return verifiedBody(plaintext, signal, (ended) => (ended ? dispose() : close()));
}

/** An object that is not encrypted. What came for a range of ciphertext is of no use, so it is asked for again. */
async function plainOutput(
  settings: ClientSettings,
  request: GetRequest,
  first: ObjectAnswer,
): Promise<Output> {
  const { attempt, range, transfer } = request;
  if (!request.allowPlaintext) throw notEncrypted(attempt.key);
  if (range) first.letGo();
  const { output, read: readBody } = range
    ? await sameObject(settings, request, first, plainRange(range))
    : first;
  const Body = bodyOf(readBody(0, output.ContentLength), transfer);
  return { ...withoutChecksums(output), encrypted: false, Body };
}

function plainRange(range: ByteRange): string {
  return "suffix" in range ? `bytes=-${range.suffix}` : `bytes=${range.first}-${range.last ?? ""}`;
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
