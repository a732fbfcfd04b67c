/** Writes one object: data key, envelope, sealed body, in one PutObject or in a multipart upload. */
import { randomBytes } from "node:crypto";
import {
  PutObjectCommand,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { choiceArgument } from "../arguments.js";
import { deriveMessageKeys, type MessageKeys } from "../cobblestone/derivation.js";
import { ciphertextLength, headerBytes, saltBytes } from "../cobblestone/geometry.js";
import { sealSource } from "../cobblestone/message.js";
import { Sealer } from "../cobblestone/sealer.js";
import { bodyContext, type Envelope, wrappingContext } from "../envelope/envelope.js";
import { encodeEnvelope, encodeSidecarReference, type MetadataFields } from "../envelope/metadata.js";
import { encodeSidecar, sidecarKey } from "../envelope/sidecar.js";
import { joinMetadata, userMetadataArgument } from "../envelope/user-metadata.js";
import { contextArgument, type EncryptionContext } from "../keys/context.js";
import { generateDataKey } from "../keys/keyring.js";
import { type Leftover, withLeftover } from "./clean-up.js";
import { type CommitOutput, CommitState, isRefusal } from "./commit.js";
import {
  attemptArgument,
  type RefusedPutField,
  refusedPutFields,
  refuseFields,
  withoutChecksums,
} from "./fields.js";
import { type MultipartInput, uploadMultipart } from "./multipart.js";
import { PartShares } from "./part-shares.js";
import { assembleParts, type Part, partSizes, plaintextBytesBefore } from "./parts.js";
import { ProgressMeter, progressArgument } from "./progress.js";
import { ReadGate } from "./read-gate.js";
import type { S3Attempt } from "./s3-errors.js";
import {
  type ClientSettings,
  type EnvelopeStorage,
  envelopeStorages,
  readAheadBytesOf,
  type TransferOptions,
  workingOf,
} from "./settings.js";
import { deleteSidecar, putSidecar, sidecarLocation } from "./sidecar-object.js";
import { type PutBody, type Source, sourceArgument } from "./source.js";
import { abortSignalArgument, type TransferSignal, transferSignal, untilAborted } from "./transfer-signal.js";

/**
 * What `put` takes: the input of PutObject, except for fields that describe the bytes sent, and these.
 * `ContentLength` is the plaintext's.
 */
export interface PutInput extends Omit<PutObjectCommandInput, "Body" | RefusedPutField> {
  /**
   * The plaintext. Strings are UTF-8; streams are read once and closed, also when the call
   * fails; but not when an argument is wrong.
   */
  readonly Body: PutBody;
  /** Bound to the data key and to the body; stands readable in the metadata. Empty by default. */
  readonly encryptionContext?: EncryptionContext | undefined;
  /** Overrides the client's setting. */
  readonly envelopeStorage?: EnvelopeStorage | undefined;
}

/** What `put` gives: the output of PutObject without checksums, and the sizes. */
export interface PutOutput extends Omit<PutObjectCommandOutput, `Checksum${string}`> {
  /** Bytes of the plaintext. */
  readonly plaintextLength: number;
  /** Bytes of the object in S3. */
  readonly ciphertextLength: number;
}

interface PutRequest {
  readonly put: PutObjectCommandInput;
  readonly attempt: S3Attempt;
  readonly source: Source;
  readonly progress: ProgressMeter;
  readonly userMetadata: MetadataFields;
  readonly context: EncryptionContext;
  readonly storage: EnvelopeStorage;
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
  const attempt = attemptArgument("PutObject", input);
  refuseFields(input, refusedPutFields, "it describes the bytes sent, which are ciphertext: leave it out");
  const { Body, ContentLength, Metadata, encryptionContext = {}, ...others } = input;
  const { envelopeStorage = settings.envelopeStorage, ...put } = others;
  const storage = choiceArgument("envelopeStorage", envelopeStorage, envelopeStorages);
  // Every header gives a key of the same length: one that is too long is told before a data key is asked for.
  if (storage === "sidecar") sidecarKey(attempt.key, Buffer.alloc(headerBytes));
  return {
    put,
    attempt,
    userMetadata: userMetadataArgument(Metadata),
    context: contextArgument("encryptionContext", encryptionContext),
    storage,
    source: sourceArgument(Body, ContentLength),
  };
}

async function write(
  settings: ClientSettings,
  request: PutRequest,
  transfer: TransferSignal,
): Promise<PutOutput> {
  const { context, put, storage, userMetadata } = request;
  const { signal } = transfer;
  const { dataKey, recipients } = await untilAborted(
    signal,
    generateDataKey(settings.keyring, { encryptionContext: wrappingContext(context), abortSignal: signal }),
  );
  const keys = deriveMessageKeys(dataKey, randomBytes(saltBytes), bodyContext(context));
  const envelope: Envelope = { header: keys.header, encryptionContext: context, recipients };
  if (storage === "metadata") {
    const metadata = joinMetadata(userMetadata, encodeEnvelope(envelope));
    return writeBody(settings, request, { ...put, Metadata: metadata }, keys, transfer, new CommitState());
  }
  const metadata = joinMetadata(userMetadata, encodeSidecarReference(keys.header));
  const location = sidecarLocation(put, keys.header);
  const sidecar = encodeSidecar(envelope);
  const commit = new CommitState();
  let stored = false;
  try {
    await putSidecar(settings.s3, put, location, sidecar, signal);
    stored = true;
    return await writeBody(settings, request, { ...put, Metadata: metadata }, keys, transfer, commit);
  } catch (error) {
    if (commit.mayExist)
      throw withLeftover(error, transfer, spare(location.Key, "was kept, as the object may be there"));
    if (!(await deleteSidecar(settings.s3, location))) {
      throw withLeftover(error, transfer, {
        details: { orphanedSidecarKey: location.Key },
        advice: `Its sidecar "${location.Key}" could not be removed: nothing needs it, remove it`,
      });
    }
    if (stored || isRefusal(error)) throw error;
    throw withLeftover(
      error,
      transfer,
      spare(location.Key, "was removed, but its PutObject may still arrive"),
    );
  }
}

function spare(key: string, why: string): Leftover {
  return {
    details: { possiblyOrphanedSidecarKey: key },
    advice: `Its sidecar "${key}" ${why}: remove it if no object has its salt`,
  };
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
  const input = { ...settings, put, attempt, transfer, commit, onStored };
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
    const output = await send(input, parts);
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

function putOutput(output: CommitOutput, plaintextLength: number): PutOutput {
  return {
    ...withoutChecksums(output),
    plaintextLength,
    ciphertextLength: ciphertextLength(plaintextLength),
  };
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
async function send(input: MultipartInput, parts: AsyncGenerator<Part, undefined>): Promise<CommitOutput> {
  const first = await parts.next();
  if (first.done) throw new Error("unreachable: every message has a chunk");
  if (first.value.isLast) return sendWhole(input, first.value.bytes);
  // Ends the source also when the upload fails before it has taken what was read ahead.
  return uploadMultipart(input, chain([first.value], parts)).finally(
    () => void parts.return(undefined).catch(() => undefined),
  );
}

function sendWhole(
  { s3, put, attempt, transfer, commit }: MultipartInput,
  bytes: Buffer,
): Promise<CommitOutput> {
  const command = new PutObjectCommand({ ...put, Body: bytes });
  const commitInput = { s3, put, attempt, signal: transfer.signal };
  return commit.send(commitInput, "PutObject", bytes.length, (options) => s3.send(command, options));
}

/** Lets go of each part of `head` as it hands it on. */
async function* chain<T>(head: T[], rest: AsyncIterable<T>): AsyncGenerator<T, undefined> {
  for (let item = head.shift(); item !== undefined; item = head.shift()) yield item;
  yield* rest;
  return undefined;
}
