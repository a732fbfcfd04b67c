/** Reads one object, whole or a range of it: one GetObject, verified plaintext out. */
import type { GetObjectCommandInput, GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { choiceArgument } from "../arguments.js";
import { type MessageKeys, requireHeader } from "../cobblestone/derivation.js";
import { chunkCount, plaintextLength, sealedChunkBytes } from "../cobblestone/geometry.js";
import { openSource } from "../cobblestone/message.js";
import { withoutEnvelope } from "../envelope/user-metadata.js";
import { hasCode } from "../errors.js";
import type { EncryptionContext } from "../keys/context.js";
import type { ObjectAnswer } from "./answer.js";
import { type VerifiedBody, verifiedBody } from "./body.js";
import { attemptArgument, refuseFields, withoutChecksums } from "./fields.js";
import { fetchObject, type ObjectRequest, sameObject, unlockAnswer } from "./object-request.js";
import { ProgressMeter, progressArgument } from "./progress.js";
import {
  type ByteRange,
  ciphertextRange,
  contentRange,
  plainRange,
  planRange,
  rangeArgument,
} from "./range.js";
import { readAhead } from "./read-ahead.js";
import {
  type ExpectedContext,
  expectedContextArgument,
  notEncrypted,
  storedEnvelope,
} from "./read-envelope.js";
import { type ClientSettings, type EnvelopeStorage, type TransferOptions, workingOf } from "./settings.js";
import { answerFromTail, readTail, type Tail, tailBytesFor, tailError, verifyTail } from "./tail.js";
import { abortSignalArgument, type TransferSignal, transferSignal } from "./transfer-signal.js";
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
  /**
   * "tail" reads and verifies the last chunk first, so that nothing is handed out of an object that was cut off: one
   * small request more, unless the end of the object is all that is wanted. Without it a range that does not reach the
   * last chunk proves its own bytes, not the size of the object; and a whole body tells at its end.
   */
  readonly verifyLength?: "tail" | undefined;
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

interface GetRequest extends ObjectRequest {
  readonly range: ByteRange | undefined;
  readonly allowPlaintext: boolean;
  readonly parallel: boolean;
  readonly verifyTail: boolean;
  readonly transfer: TransferSignal;
  /** There is none when nobody listens. */
  readonly meter: ProgressMeter | undefined;
}

/** See `EnvelopeClient.get`. */
export async function get(
  settings: ClientSettings,
  input: GetInput,
  options: TransferOptions,
): Promise<GetOutput> {
  const transfer = transferSignal(abortSignalArgument(options));
  try {
    return await read(settings, getArguments(input, options, transfer));
  } catch (error) {
    transfer.close();
    throw error;
  }
}

async function read(settings: ClientSettings, request: GetRequest): Promise<GetOutput> {
  const { attempt, range } = request;
  const tailBytes = request.verifyTail ? tailBytesFor(range) : undefined;
  const first = await firstAnswer(settings, request, tailBytes);
  const stored = storedEnvelope(first.output.Metadata);
  if (!stored) return plainOutput(settings, request, first);
  // Taken in at once: kept open, the body would hold a connection that the requests to come may be waiting for.
  const tail = tailBytes === undefined ? undefined : await readTail(first, tailBytes, attempt);
  const { keys, encryptionContext } = await unlockAnswer(settings, request, first, stored);
  if (tail) verifyTail(tail, keys);
  const answer = await answerProper(settings, request, first, stored.storage, tail);
  return {
    ...(range
      ? rangeOutput(settings, request, answer, keys, range)
      : wholeOutput(settings, request, answer, keys)),
    encryptionContext,
  };
}

/** The answer that has the body: the first one, unless that had to be let go of or was for the tail. */
async function answerProper(
  settings: ClientSettings,
  request: GetRequest,
  first: ObjectAnswer,
  storage: EnvelopeStorage,
  tail: Tail | undefined,
): Promise<ObjectAnswer> {
  const { range, attempt } = request;
  if (!tail && storage === "metadata") return first;
  const held = tail && answerFromTail(first, tail, range, attempt);
  return held ?? sameObject(settings, request, first, range && ciphertextRange(range));
}

/** A range of ciphertext can lie beyond an object that is not encrypted; then the answer to the plain range counts. */
async function firstAnswer(
  settings: ClientSettings,
  request: GetRequest,
  tailBytes: number | undefined,
): Promise<ObjectAnswer> {
  const { get, range, allowPlaintext } = request;
  const Range = tailBytes === undefined ? range && ciphertextRange(range) : `bytes=-${tailBytes}`;
  try {
    return await fetchObject(settings, request, { ...get, Range });
  } catch (error) {
    const refusal = tailBytes === undefined ? error : tailError(error);
    if (!hasCode(error, "S3_RANGE_NOT_SATISFIABLE") || !allowPlaintext) throw refusal;
    const answer = await fetchObject(settings, request, { ...get, Range: range && plainRange(range) });
    if (!storedEnvelope(answer.output.Metadata)) return answer;
    throw refusal;
  }
}

function getArguments(input: GetInput, options: TransferOptions, transfer: TransferSignal): GetRequest {
  const attempt = attemptArgument("GetObject", input);
  refuseFields(input, ["PartNumber"], "parts are of the ciphertext: use Range");
  const { encryptionContext, plaintext = "refuse", verifyLength, parallel = false, Range, ...get } = input;
  const listener = progressArgument(options.onProgress);
  const subject = { operation: "get", Bucket: attempt.bucket, Key: attempt.key } as const;
  return {
    get,
    attempt,
    range: rangeArgument(Range),
    expected: expectedContextArgument(encryptionContext),
    allowPlaintext: choiceArgument("plaintext", plaintext, ["refuse", "allow"]) === "allow",
    parallel: choiceArgument("parallel", parallel, [true, false]),
    verifyTail:
      verifyLength !== undefined && choiceArgument("verifyLength", verifyLength, ["tail"]) === "tail",
    transfer,
    meter: listener && new ProgressMeter(subject, listener),
  };
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
    requireHeader(keys, header);
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
  request: GetRequest,
  { output }: ObjectAnswer,
  plaintext: AsyncIterable<Uint8Array>,
  sizes: Pick<GetObjectCommandOutput, "ContentLength" | "ContentRange">,
): Output {
  return {
    ...withoutChecksums(output),
    ...sizes,
    Metadata: withoutEnvelope(output.Metadata ?? {}),
    encrypted: true,
    Body: bodyOf(plaintext, request, sizes.ContentLength),
  };
}

/** When it has been read to its end nothing runs any more that would have to be aborted. */
function bodyOf(
  pieces: AsyncIterable<Uint8Array>,
  { transfer, meter }: GetRequest,
  length: number | undefined,
): VerifiedBody {
  const { signal, close, dispose } = transfer;
  const counted = meter ? metered(pieces, meter, length) : pieces;
  return verifiedBody(counted, signal, (ended) => (ended ? dispose() : close()));
}

async function* metered(
  pieces: AsyncIterable<Uint8Array>,
  meter: ProgressMeter,
  length: number | undefined,
): AsyncGenerator<Uint8Array, undefined> {
  meter.totalBytes = length;
  meter.totalParts = 1;
  for await (const piece of pieces) {
    meter.add(piece.length);
    yield piece;
  }
  meter.add(0, 1);
  meter.end();
  return undefined;
}

/** An object that is not encrypted. What came for a range of ciphertext is of no use, so it is asked for again. */
async function plainOutput(
  settings: ClientSettings,
  request: GetRequest,
  first: ObjectAnswer,
): Promise<Output> {
  const { attempt, range } = request;
  if (!request.allowPlaintext) throw notEncrypted(attempt.key);
  const isOther = range !== undefined || request.verifyTail;
  if (isOther) first.letGo();
  const { output, read: readBody } = isOther
    ? await sameObject(settings, request, first, range && plainRange(range))
    : first;
  const Body = bodyOf(readBody(0, output.ContentLength), request, output.ContentLength);
  return { ...withoutChecksums(output), encrypted: false, Body };
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
