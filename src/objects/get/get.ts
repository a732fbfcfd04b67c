/** Reads one object, whole or a range of it: one GetObject, verified plaintext out. */
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { hasCode } from "../../base/errors.js";
import { type MessageKeys, requireHeader } from "../../cobblestone/derivation.js";
import { chunkCount, plaintextLength } from "../../cobblestone/layout.js";
import { openSource } from "../../cobblestone/stream/message.js";
import { decodeEnvelope } from "../../envelope/metadata.js";
import { withoutEnvelope } from "../../envelope/user-metadata.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import { withoutChecksums } from "../../s3/fields.js";
import { totalBytesOf } from "../../s3/responses.js";
import { aboutObject, namingObject } from "../../transfer/about-object.js";
import type { TransferOptions } from "../../transfer/call-signal.js";
import { abortSignalArgument, transferSignal } from "../../transfer/call-signal.js";
import type { ProgressMeter } from "../../transfer/progress.js";
import { slice } from "../../transfer/slice.js";
import { type ClientConfig, type EnvelopeStorage, workingOf } from "../encrypted/config.js";
import type { LegacyReading } from "../encrypted/legacy-reading.js";
import {
  fetchObject,
  fetchSibling,
  requireSameObject,
  seenIn,
  unlockObject,
} from "../encrypted/object-request.js";
import { type ByteRange, ciphertextRange, contentRange, plainRange, planRange } from "../encrypted/range.js";
import { notEncrypted, storedEnvelope } from "../encrypted/read-envelope.js";
import {
  readTail,
  responseFromTail,
  type Tail,
  tailBytesFor,
  tailError,
  verifyTail,
} from "../encrypted/tail.js";
import { openableObject } from "../parallel/blocks.js";
import { readAhead } from "../parallel/read-ahead.js";
import { type VerifiedBody, verifiedBody } from "./body.js";
import { type GetInput, type GetOutput, type GetRequest, getArguments } from "./get-input.js";

export type { GetInput, GetOutput } from "./get-input.js";

/** See `EnvelopeClient.get`. */
export async function get(
  config: ClientConfig,
  input: GetInput,
  options: TransferOptions,
): Promise<GetOutput> {
  const given = fieldsArgument<TransferOptions>(fieldNames.get.options, options);
  const transfer = transferSignal(abortSignalArgument(given));
  try {
    const request = getArguments(config, input, given, transfer);
    const { bucket, key } = request.target;
    return await aboutObject({ bucket, key }, transfer, () => read(config, request));
  } catch (error) {
    transfer.close();
    throw error;
  }
}

async function read(config: ClientConfig, request: GetRequest): Promise<GetOutput> {
  const { target, range } = request;
  const tailBytes = provesEndFirst(request) ? tailBytesFor(range) : undefined;
  const first = await firstAnswer(config, request, tailBytes);
  const { legacy } = config;
  const { Metadata } = first.output;
  const stored = legacy ? decodeEnvelope(Metadata ?? {}) : storedEnvelope(config, Metadata);
  if (!stored) {
    const output = legacy && (await legacyOutput(config, legacy, request, first));
    return output ?? plainOutput(config, request, first);
  }
  // Taken in at once: kept open, the body would hold a connection that the requests to come may be waiting for.
  const tail = tailBytes === undefined ? undefined : await readTail(first, tailBytes, target);
  const { keys, encryptionContext } = await unlockObject(config, request, first, stored);
  if (tail) verifyTail(tail, keys);
  const answer = await answerProper(config, request, first, stored.storage, tail);
  return {
    ...(range
      ? rangeOutput(config, request, answer, keys, range)
      : wholeOutput(config, request, answer, keys)),
    encryptionContext,
  };
}

/** Where a range lies that counts from the end depends on the end: of an object that was cut off it would be other bytes. */
function provesEndFirst({ verifyTail, range }: GetRequest): boolean {
  return verifyTail || (range !== undefined && "suffix" in range);
}

/** The answer that has the body: the first one, unless that had to be let go of or was for the tail. */
async function answerProper(
  config: ClientConfig,
  request: GetRequest,
  first: ObjectResponse,
  storage: EnvelopeStorage,
  tail: Tail | undefined,
): Promise<ObjectResponse> {
  const { range, target } = request;
  if (!tail && storage === "metadata") return first;
  const held = tail && responseFromTail(first, tail, range, target);
  return held ?? requireSameObject(config, request, seenIn(first), range && ciphertextRange(range));
}

/**
 * A range of ciphertext can lie beyond an object that is not encrypted, or is of another client; then the answer to the
 * plain range, or to no range, counts.
 */
async function firstAnswer(
  config: ClientConfig,
  request: GetRequest,
  tailBytes: number | undefined,
): Promise<ObjectResponse> {
  const { get, range, allowPlaintext } = request;
  const Range = tailBytes === undefined ? range && ciphertextRange(range) : `bytes=-${tailBytes}`;
  try {
    return await fetchObject(config, request, { ...get, Range });
  } catch (error) {
    const refusal = request.verifyTail ? tailError(error) : error;
    if (!hasCode(error, "S3_RANGE_NOT_SATISFIABLE")) throw refusal;
    if (!allowPlaintext && !config.legacy) throw refusal;
    const plain = config.legacy ? undefined : range && plainRange(range);
    const answer = await fetchObject(config, request, { ...get, Range: plain });
    const { Metadata = {} } = answer.output;
    if (!(config.legacy ? decodeEnvelope(Metadata) : storedEnvelope(config, Metadata))) return answer;
    throw refusal;
  }
}

type Output = Omit<GetOutput, "encryptionContext">;

function wholeOutput(
  config: ClientConfig,
  request: GetRequest,
  answer: ObjectResponse,
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
      ? readAhead(openableObject(config, request, answer, keys), body, {
          firstChunk: 0,
          endChunk: chunkCount(length),
          startsWithHeader: true,
        })
      : openSource(body, { readHeader, endsMessage: true }, workingOf(config));
  return encryptedOutput(request, answer, plaintext, { ContentLength: length });
}

function rangeOutput(
  config: ClientConfig,
  request: GetRequest,
  answer: ObjectResponse,
  keys: MessageKeys,
  range: ByteRange,
): Output {
  const plan = planRange(range, answer.output.ContentRange, request.target);
  const { firstChunk, chunks, endsMessage, ciphertextStart, ciphertextEnd, ciphertextBytes } =
    plan.chunkRange;
  const body = answer.read(plan.skipCiphertext, ciphertextBytes);
  const plaintext = request.parallel
    ? readAhead(openableObject(config, request, answer, keys), body, {
        firstChunk,
        endChunk: firstChunk + chunks,
        startsWithHeader: false,
      })
    : openSource(body, { keys, firstChunk, endsMessage }, workingOf(config));
  const sizes = { ContentLength: plan.length, ContentRange: contentRange(plan) };
  return encryptedOutput(
    request,
    answer,
    slice(plaintext, plan.skipPlaintext, plan.length),
    sizes,
    `bytes=${ciphertextStart}-${ciphertextEnd - 1}`,
  );
}

/** An object of Amazon's clients; undefined when it is none, and the first answer has been let go of. */
async function legacyOutput(
  config: ClientConfig,
  legacy: LegacyReading,
  request: GetRequest,
  first: ObjectResponse,
): Promise<GetOutput | undefined> {
  const { expected, statesContext, transfer } = request;
  const content = await legacy.get({
    ...request,
    first,
    metadata: first.output.Metadata,
    totalBytes: totalBytesOf(first.output),
    expected: statesContext ? expected : undefined,
    signal: transfer.signal,
    askFor: (key) => fetchSibling(config, request.get, key, transfer.signal),
    again: (range) => requireSameObject(config, request, seenIn(first), range),
  });
  if (!content) return undefined;
  const { output, sizes, plaintext, encryptionContext } = content;
  return {
    ...withoutChecksums(output),
    ...sizes,
    Metadata: legacy.userMetadata(output.Metadata ?? {}),
    encrypted: true,
    ...(encryptionContext && { encryptionContext }),
    legacy: content.legacy,
    Body: bodyOf(plaintext, request, sizes.ContentLength),
  };
}

function encryptedOutput(
  request: GetRequest,
  { output }: ObjectResponse,
  plaintext: AsyncIterable<Uint8Array>,
  sizes: Pick<GetObjectCommandOutput, "ContentLength" | "ContentRange">,
  ciphertext?: string,
): Output {
  return {
    ...withoutChecksums(output),
    ...sizes,
    Metadata: withoutEnvelope(output.Metadata ?? {}),
    encrypted: true,
    Body: bodyOf(plaintext, request, sizes.ContentLength, ciphertext),
  };
}

/** When it has been read to its end nothing runs any more that would have to be aborted. */
function bodyOf(
  pieces: AsyncIterable<Uint8Array>,
  request: GetRequest,
  length: number | undefined,
  range?: string,
): VerifiedBody {
  const { transfer, meter } = request;
  const { bucket, key } = request.target;
  const counted = meter ? metered(pieces, meter, length) : pieces;
  return verifiedBody(counted, {
    signal: transfer.signal,
    close: (ended) => (ended ? transfer.dispose() : transfer.close()),
    failed: (error) => namingObject(error, { bucket, key, range }, transfer),
  });
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
  config: ClientConfig,
  request: GetRequest,
  first: ObjectResponse,
): Promise<Output> {
  const { target, range } = request;
  if (!request.allowPlaintext) throw notEncrypted(target.key);
  const isOther = range !== undefined || request.verifyTail || config.legacy !== undefined;
  if (isOther) first.close();
  const { output, read: readBody } = isOther
    ? await requireSameObject(config, request, seenIn(first), range && plainRange(range))
    : first;
  const Body = bodyOf(readBody(0, output.ContentLength), request, output.ContentLength);
  return { ...withoutChecksums(output), encrypted: false, Body };
}
