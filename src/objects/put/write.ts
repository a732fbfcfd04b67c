/** What every write begins with: data key, envelope, metadata and, if need be, the sidecar. */
import { type KeyObject, randomBytes } from "node:crypto";
import {
  PutObjectCommand,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { choiceArgument } from "../../base/arguments.js";
import { deriveMessageKeys, type MessageKeys } from "../../cobblestone/derivation.js";
import { ciphertextLength, headerBytes, saltBytes } from "../../cobblestone/layout.js";
import { bodyContext, type Envelope, wrappingContext } from "../../envelope/envelope.js";
import { encodeEnvelope, encodeSidecarReference, type MetadataFields } from "../../envelope/metadata.js";
import { encodeSidecar, newSidecarKey } from "../../envelope/sidecar.js";
import { joinMetadata, userMetadataArgument } from "../../envelope/user-metadata.js";
import { contextArgument, type EncryptionContext } from "../../keys/encryption-context.js";
import { generateDataKey } from "../../keys/keyring.js";
import { type ConfirmedWrite, type ConfirmedWriteOutput, isRefusal } from "../../s3/confirmed-write.js";
import type { RequestTarget } from "../../s3/errors.js";
import { type RefusedPutField, targetArgument, withoutChecksums } from "../../s3/fields.js";
import type { MultipartInput } from "../../s3/multipart.js";
import { guarded } from "../../service/response-guard.js";
import { type CallControl, type Leftover, withLeftover } from "../../transfer/call.js";
import { type ClientConfig, type EnvelopeStorage, envelopeStorages } from "../encrypted/config.js";
import { deleteSidecar, newSidecarLocation, putSidecar, type SidecarLocation } from "../encrypted/sidecar.js";

/** What every write takes: the input of PutObject, except for fields that describe the bytes sent, and these. */
export interface WriteInput extends Omit<PutObjectCommandInput, "Body" | "ContentLength" | RefusedPutField> {
  /** Bound to the data key and to the body; stands readable in the metadata. Empty by default. */
  readonly encryptionContext?: EncryptionContext | undefined;
  /** Overrides the client's setting. */
  readonly envelopeStorage?: EnvelopeStorage | undefined;
}

/** What a write gives: the output of PutObject without checksums, and the sizes. */
export interface PutOutput extends Omit<PutObjectCommandOutput, `Checksum${string}`> {
  /** Bytes of the plaintext. */
  readonly plaintextLength: number;
  /** Bytes of the object in S3. */
  readonly ciphertextLength: number;
}

/** {@link WriteInput} once checked. */
export interface WriteRequest {
  readonly put: PutObjectCommandInput;
  readonly target: RequestTarget;
  readonly userMetadata: MetadataFields;
  readonly context: EncryptionContext;
  readonly storage: EnvelopeStorage;
}

/** Checks the values of what every write takes; fields of other kinds must have been taken out. */
export function writeArguments(config: ClientConfig, input: WriteInput, operation: string): WriteRequest {
  const target = targetArgument(operation, input);
  const { Metadata, encryptionContext = {}, ...others } = input;
  const { envelopeStorage = config.envelopeStorage, ...put } = others;
  const storage = choiceArgument("envelopeStorage", envelopeStorage, envelopeStorages);
  // Every header gives a key of the same length: one that is too long is told before a data key is asked for.
  if (storage === "sidecar") newSidecarKey(target.key, Buffer.alloc(headerBytes));
  return {
    put,
    target: target,
    userMetadata: userMetadataArgument(Metadata),
    context: contextArgument("encryptionContext", encryptionContext),
    storage,
  };
}

/** A write that has its keys; nothing has been sent to S3. */
export interface PreparedWrite {
  readonly dataKey: KeyObject;
  readonly keys: MessageKeys;
  readonly envelope: Envelope;
  /** The PutObject that it stands for, metadata complete, without body. */
  readonly put: PutObjectCommandInput;
  readonly sidecar: { readonly location: SidecarLocation; readonly text: string } | undefined;
}

/** Has the keyring make a data key and derives from it what this one object is written with. */
export async function prepareWrite(
  config: ClientConfig,
  { put, context, storage, userMetadata }: WriteRequest,
  signal: AbortSignal,
): Promise<PreparedWrite> {
  const { dataKey, recipients } = await untilAborted(
    signal,
    generateDataKey(config.keyring, { encryptionContext: wrappingContext(context), abortSignal: signal }),
  );
  const keys = deriveMessageKeys(dataKey, randomBytes(saltBytes), bodyContext(context));
  const envelope: Envelope = { header: keys.header, encryptionContext: context, recipients };
  if (storage === "metadata") {
    const Metadata = joinMetadata(userMetadata, encodeEnvelope(envelope));
    return { dataKey, keys, envelope, put: { ...put, Metadata }, sidecar: undefined };
  }
  const Metadata = joinMetadata(userMetadata, encodeSidecarReference(keys.header));
  const sidecar = { location: newSidecarLocation(put, keys.header), text: encodeSidecar(envelope) };
  return { dataKey, keys, envelope, put: { ...put, Metadata }, sidecar };
}

/** Runs a write with its sidecar in place, if it has one; a sidecar that nothing needs after a failure is removed. */
export async function withSidecar<T>(
  config: ClientConfig,
  { put, sidecar }: Pick<PreparedWrite, "put" | "sidecar">,
  transfer: CallControl,
  commit: ConfirmedWrite,
  write: () => Promise<T>,
): Promise<T> {
  if (!sidecar) return write();
  let stored = false;
  try {
    await putSidecar(config.s3, put, sidecar.location, sidecar.text, transfer.signal);
    stored = true;
    return await write();
  } catch (error) {
    throw await undoSidecar(config, sidecar.location, { transfer, commit, stored }, error);
  }
}

/**
 * Removes the sidecar of a failed write, unless the object may be there.
 *
 * @returns the error, which says so if the sidecar may still be there
 */
export async function undoSidecar(
  { s3 }: ClientConfig,
  location: SidecarLocation,
  write: {
    readonly transfer: CallControl;
    readonly commit: Pick<ConfirmedWrite, "mayExist">;
    readonly stored: boolean;
  },
  error: unknown,
): Promise<unknown> {
  const { transfer, commit, stored } = write;
  if (commit.mayExist)
    return withLeftover(error, transfer, spare(location.Key, "was kept, as the object may be there"));
  if (!(await deleteSidecar(s3, location))) {
    return withLeftover(error, transfer, {
      details: { orphanedSidecarKey: location.Key },
      advice: `Its sidecar "${location.Key}" could not be removed: nothing needs it, remove it`,
    });
  }
  if (stored || isRefusal(error)) return error;
  const why = "was removed, but its PutObject may still arrive";
  return withLeftover(error, transfer, spare(location.Key, why));
}

function spare(key: string, why: string): Leftover {
  return {
    details: { possiblyOrphanedSidecarKey: key },
    advice: `Its sidecar "${key}" ${why}: remove it if no object has its salt`,
  };
}

/** Sends a whole message as one PutObject. */
export function sendWhole(
  { s3, put, target, transfer, commit }: Omit<MultipartInput, "maxConcurrentParts">,
  bytes: Buffer,
): Promise<ConfirmedWriteOutput> {
  const command = new PutObjectCommand({ ...put, Body: bytes });
  const commitInput = { s3, put, target, signal: transfer.signal };
  return commit.send(commitInput, "PutObject", bytes.length, (options) => s3.send(guarded(command), options));
}

/** What the caller is told of an object that was written. */
export function putOutput(
  output: ConfirmedWriteOutput,
  plaintextLength: number,
  lengthOf: (plaintextLength: number) => number = ciphertextLength,
): PutOutput {
  return {
    ...withoutChecksums(output),
    plaintextLength,
    ciphertextLength: lengthOf(plaintextLength),
  };
}
