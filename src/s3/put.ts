/** Writes one object: data key, envelope, sealed body, in one PutObject or in a multipart upload. */
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import { objectArgument } from "../arguments.js";
import type { MessageKeys } from "../cobblestone/derivation.js";
import { ciphertextLength } from "../cobblestone/geometry.js";
import { sealSource } from "../cobblestone/message.js";
import { Sealer } from "../cobblestone/sealer.js";
import { type CommitOutput, CommitState } from "./commit.js";
import { type MultipartInput, uploadMultipart } from "./multipart.js";
import { PartShares } from "./part-shares.js";
import { assembleParts, type Part, partSizes, plaintextBytesBefore } from "./parts.js";
import { ProgressMeter, progressArgument } from "./progress.js";
import { ReadGate } from "./read-gate.js";
import { type ClientSettings, readAheadBytesOf, type TransferOptions, workingOf } from "./settings.js";
import { type PutBody, type Source, sourceArgument } from "./source.js";
import { abortSignalArgument, type TransferSignal, transferSignal } from "./transfer-signal.js";
import {
  type PutOutput,
  prepareWrite,
  putOutput,
  sendWhole,
  type WriteInput,
  type WriteRequest,
  withSidecar,
  writeArguments,
} from "./write.js";

/**
 * What `put` takes: the input of PutObject, except for fields that describe the bytes sent, and these.
 * `ContentLength` is the plaintext's.
 */
export interface PutInput extends WriteInput {
  /**
   * The plaintext. Strings are UTF-8; streams are read once and closed, also when the call
   * fails; but not when an argument is wrong.
   */
  readonly Body: PutBody;
  ContentLength?: PutObjectCommandInput["ContentLength"];
}

interface PutRequest extends WriteRequest {
  readonly source: Source;
  readonly progress: ProgressMeter;
}

/** Bytes in memory up to this many are sealed in one go: it takes less than a turn of the event loop. */
const maxSealedAtOnceBytes = 64 * 1024;

/** See `EnvelopeClient.put`. */
export async function put(
  settings: ClientSettings,
  input: PutInput,
  options: TransferOptions,
): Promise<PutOutput> {
  const caller = abortSignalArgument(options);
  const onProgress = progressArgument(options.onProgress);
  const asked = putArguments(settings, input);
  const { bucket: Bucket, key: Key } = asked.attempt;
  const request = { ...asked, progress: new ProgressMeter({ operation: "put", Bucket, Key }, onProgress) };
  const transfer = transferSignal(caller);
  try {
    transfer.signal.throwIfAborted();
    return await write(settings, request, transfer);
  } catch (error) {
    transfer.abort(error);
    request.source.close();
    throw error;
  } finally {
    transfer.dispose();
  }
}

function putArguments(settings: ClientSettings, input: PutInput): Omit<PutRequest, "progress"> {
  const { Body, ContentLength, ...others } = objectArgument("input", input) as unknown as PutInput;
  return { ...writeArguments(settings, others, "PutObject"), source: sourceArgument(Body, ContentLength) };
}

async function write(
  settings: ClientSettings,
  request: PutRequest,
  transfer: TransferSignal,
): Promise<PutOutput> {
  const prepared = await prepareWrite(settings, request, transfer.signal);
  const commit = new CommitState();
  return withSidecar(settings, prepared, transfer, commit, () =>
    writeBody(settings, request, prepared.put, prepared.keys, transfer, commit),
  );
}

async function writeBody(
  settings: ClientSettings,
  { attempt, source, progress }: PutRequest,
  put: PutObjectCommandInput,
  keys: MessageKeys,
  transfer: TransferSignal,
  commit: CommitState,
): Promise<PutOutput> {
  const { idleTimeoutMs, partSizeBytes, budget } = settings;
  const { bytes, length } = source;
  progress.totalBytes = length;
  let storedParts = 0;
  const onStored = ({ start, length: partBytes, isLast, partNumber }: Part) => {
    const end = start + partBytes;
    storedParts += 1;
    if (isLast) [progress.totalBytes, progress.totalParts] = [plaintextBytesBefore(end), partNumber];
    progress.add(plaintextBytesBefore(end) - plaintextBytesBefore(start), 1);
  };
  const input = { ...settings, put, attempt, transfer, commit };
  if (bytes !== undefined && bytes.length <= maxSealedAtOnceBytes) {
    const output = await sendWhole(input, sealAtOnce(bytes, keys));
    tellWhole(progress, bytes.length);
    return putOutput(output, bytes.length);
  }
  const sealedLength = length === undefined ? undefined : ciphertextLength(length);
  const sizes = partSizes(sealedLength, partSizeBytes);
  if (sealedLength !== undefined) progress.totalParts = Math.ceil(sealedLength / sizes(1));
  const gate = new ReadGate();
  const shares = new PartShares(budget, transfer.signal, readAheadBytesOf(settings, length));
  const read = gate.read(source.read({ signal: transfer.signal, idleTimeoutMs }));
  const pieces = sealSource(read, keys, { ...workingOf(settings), reuseBuffers: true });
  try {
    const parts = assembleParts(pieces, {
      sizes,
      ciphertextLength: sealedLength,
      shares,
      onRoom: (end) => gate.openTo(end),
      onWait: () => pieces.trim(),
    });
    const output = await send(input, parts, onStored);
    progress.totalBytes = source.bytesRead;
    if (storedParts > 0) progress.end();
    else tellWhole(progress, source.bytesRead);
    return putOutput(output, source.bytesRead);
  } finally {
    gate.close();
    shares.close();
  }
}

/** An object that went in one piece is told of once, when S3 has it. */
function tellWhole(progress: ProgressMeter, bytes: number): void {
  progress.totalParts = 1;
  progress.end(bytes, 1);
}

function sealAtOnce(bytes: Uint8Array, keys: MessageKeys): Buffer {
  const sealer = new Sealer(keys);
  // Memory of its own: that of Buffer.concat may be shared with others.
  const sealed: Buffer = Buffer.allocUnsafeSlow(ciphertextLength(bytes.length));
  let filled = 0;
  for (const piece of [...sealer.update(bytes), ...sealer.final()]) filled += piece.copy(sealed, filled);
  return sealed;
}

/** One part goes as one PutObject, more as a multipart upload. */
async function send(
  input: MultipartInput,
  parts: AsyncGenerator<Part, undefined>,
  onStored: (part: Part) => void,
): Promise<CommitOutput> {
  const first = await parts.next();
  if (first.done) throw new Error("unreachable: every message has a chunk");
  if (first.value.isLast) return sendWhole(input, first.value.bytes);
  // Ends the source also when the upload fails before it has taken what was read ahead.
  return uploadMultipart(input, chain(first.value, parts), onStored).finally(
    () => void parts.return(undefined).catch(() => undefined),
  );
}

async function* chain<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T, undefined> {
  yield first;
  yield* rest;
  return undefined;
}
