/** Rotates the key of one object: its data key is wrapped anew in the instruction file, and the object stays as it is. */
import type { HeadObjectCommandOutput, PutObjectCommandInput } from "@aws-sdk/client-s3";
import { bytesArgument, choiceArgument, objectArgument, textArgument } from "../../base/arguments.js";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { type ExpectedContext, expectedContextArgument } from "../../objects/encrypted/read-arguments.js";
import type { SidecarLocation } from "../../objects/encrypted/sidecar.js";
import { type RequestTarget, requireETag } from "../../s3/errors.js";
import { type SidecarField, targetArgument } from "../../s3/fields.js";
import { conditionOf } from "../../s3/responses.js";
import { openContentKeys } from "../../s3ec/content/content-keys.js";
import { encodeLegacyEnvelope } from "../../s3ec/encode.js";
import type { LegacyEnvelope } from "../../s3ec/envelope.js";
import { decodeInstructionFile, mayBeInstructionFile } from "../../s3ec/instruction-file.js";
import type { LegacyKeyring } from "../../s3ec/keyrings/keyring.js";
import { legacyKeyringArgument, wrapLegacyDataKey } from "../../s3ec/keyrings/new-data-key.js";
import { sameDescription } from "../../s3ec/keyrings/raw-keyring.js";
import { withUnwrappedDataKey } from "../../s3ec/keyrings/unwrap.js";
import { decodeLegacyMetadata } from "../../s3ec/metadata.js";
import { instructionSuffix } from "../../s3ec/names.js";
import { cbcSuite } from "../../s3ec/suites.js";
import { aboutObject } from "../../transfer/about-object.js";
import type { CallOptions } from "../../transfer/call-signal.js";
import { callSignal, reasonOf } from "../../transfer/call-signal.js";
import {
  getInstructions,
  headObject,
  newInstructionLocation,
  putInstructions,
  type StoredInstructions,
} from "../read/instruction-object.js";
import { noEnvelope } from "../read/locate-envelope.js";
import {
  proveContent,
  requireETagOf,
  requireProvable,
  type VerifyContent,
  verifyContentChoices,
} from "../read/prove-content.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/**
 * What `reEncryptInstructionFile` takes. Access, encryption and tags of the new instruction file are what is stated here:
 * S3 carries none over. Fields of a customer-provided key are for reading the object's metadata.
 */
export interface ReEncryptInstructionFileInput
  extends Pick<
    PutObjectCommandInput,
    | "Bucket"
    | "Key"
    | "RequestPayer"
    | "ExpectedBucketOwner"
    | "SSECustomerAlgorithm"
    | "SSECustomerKey"
    | "SSECustomerKeyMD5"
    | SidecarField
  > {
  /**
   * The ETag that the object itself must have: the one whose content you mean to share. Without it, who may write to the
   * bucket can put another object there, with its instruction file, before you do.
   */
  readonly IfMatch?: string | undefined;
  /** Wraps the data key from now on; of AES or RSA, whose description must not be the old one. */
  readonly newKeyring: LegacyKeyring;
  /**
   * What follows the object's key in that of the instruction file to be written, with its dot; ".instruction" by
   * default, which replaces the one that is read. Another one is for a `newKeyring` of RSA alone: a reader with a key of
   * their own, who states the same suffix.
   */
  readonly instructionFileSuffix?: string | undefined;
  /** Whether to refuse when the writer's own keyring opens what the new one has wrapped; false by default. */
  readonly enforceRotation?: boolean | undefined;
  /** How it is proven that the data key is that of this object; "when-needed" by default, which reads all of an object of V2. */
  readonly verifyContent?: VerifyContent | undefined;
  /** What the writer of an object of V2 authenticated beside its content, as for `legacyReading`. */
  readonly contentAad?: Uint8Array | undefined;
  /** The context that the object must have, if the writer's keyring is of KMS; "any" takes the object's own word for it. */
  readonly encryptionContext?: ExpectedContext | undefined;
}

/** What it gives. */
export interface ReEncryptInstructionFileOutput {
  readonly Bucket: string;
  readonly Key: string;
  readonly instructionFileSuffix: string;
  readonly enforceRotation: boolean;
}

interface Rotation {
  readonly target: RequestTarget;
  readonly put: PutObjectCommandInput;
  readonly newKeyring: LegacyKeyring;
  readonly suffix: string;
  /** Where the instruction file is, and where the new one goes. */
  readonly from: SidecarLocation;
  readonly to: SidecarLocation;
  readonly enforceRotation: boolean;
  readonly expected: ExpectedContext | undefined;
  /** Of the object. */
  readonly IfMatch: string | undefined;
  readonly verifyContent: VerifyContent;
  readonly contentAad: Uint8Array | undefined;
}

/** See `LegacyWriter.reEncryptInstructionFile`. */
export async function reEncryptInstructionFile(
  config: LegacyWriterConfig,
  input: ReEncryptInstructionFileInput,
  options: CallOptions,
): Promise<ReEncryptInstructionFileOutput> {
  const names = legacyFieldNames.reEncryptInstructionFile;
  const signal = callSignal(names.options, options);
  const rotation = rotationArguments(config, input);
  const { bucket, key } = rotation.target;
  return aboutObject({ bucket, key }, reasonOf(signal), () => reEncrypt(config, rotation, signal));
}

async function reEncrypt(
  config: LegacyWriterConfig,
  rotation: Rotation,
  signal: AbortSignal | undefined,
): Promise<ReEncryptInstructionFileOutput> {
  const { target, put, from, to, suffix, enforceRotation } = rotation;
  const head = await headObject(config, put, signal);
  requireETagOf({ ...target, operation: "HeadObject" }, head.ETag, rotation.IfMatch);
  const { Metadata = {} } = head;
  const found = decodeLegacyMetadata(Metadata);
  if (!("needsInstructionFile" in found)) {
    throw notRotated("its data key is in its own metadata, which takes a put of the object to change");
  }
  const stored = await getInstructions(config, from, signal);
  if (!stored) throw noEnvelope(target.key, from.Key);
  const text = await rotate(config, rotation, decodeInstructionFile(stored.bytes, found), head, signal);
  const condition = await conditionOn(config, to, from.Key === to.Key ? stored : undefined, signal);
  try {
    await putInstructions(config, put, to, text, signal, condition);
  } catch (error) {
    signal?.throwIfAborted();
    // A retry of the SDK's may have found what its own first try wrote.
    const now = await getInstructions(config, to, signal).catch(() => undefined);
    signal?.throwIfAborted();
    if (now?.bytes.toString() !== text) throw error;
  }
  return { Bucket: target.bucket, Key: target.key, instructionFileSuffix: suffix, enforceRotation };
}

/** What is replaced must be what was read, and an instruction file: `key` and suffix may name any other object. */
async function conditionOn(
  config: LegacyWriterConfig,
  to: SidecarLocation,
  read: StoredInstructions | undefined,
  signal: AbortSignal | undefined,
): Promise<Pick<PutObjectCommandInput, "IfMatch" | "IfNoneMatch">> {
  const found = read ?? (await getInstructions(config, to, signal).catch(undefinedIfDenied));
  if (!found) return { IfNoneMatch: "*" };
  const { Bucket = "", Key } = to;
  if (read || mayBeInstructionFile(found.bytes))
    return { IfMatch: conditionOf(requireETag(found, { operation: "GetObject", bucket: Bucket, key: Key })) };
  throw notRotated(
    `"${Key}" is no instruction file, so it was not replaced: state another instructionFileSuffix`,
  );
}

/** Who may not list the bucket is denied what is not there, too. */
function undefinedIfDenied(error: unknown): undefined {
  if (!hasCode(error, "S3_ACCESS_DENIED")) throw error;
}

function rotationArguments(config: LegacyWriterConfig, input: ReEncryptInstructionFileInput): Rotation {
  const given = fieldsArgument<ReEncryptInstructionFileInput>(
    legacyFieldNames.reEncryptInstructionFile.input,
    input,
  ) as ReEncryptInstructionFileInput;
  const target = targetArgument("PutObject", given);
  const { newKeyring, instructionFileSuffix, enforceRotation = false, encryptionContext, ...rest } = given;
  const { IfMatch, verifyContent = "when-needed", contentAad, ...put } = rest;
  if (!config.instructionFile) {
    throw new TypeError("options.instructionFile: expected true of a writer that rotates keys, got false");
  }
  const keyring = legacyKeyringArgument("newKeyring", objectArgument("newKeyring", newKeyring));
  if (keyring.keyType === "kms" || typeof keyring.wrapDataKey !== "function") {
    throw new TypeError(
      "newKeyring: expected one of AES or RSA: KMS wraps no data key that is there already",
    );
  }
  const suffix = suffixArgument(instructionFileSuffix, keyring);
  return {
    target: target,
    put,
    newKeyring: keyring,
    suffix,
    from: newInstructionLocation(put),
    to: newInstructionLocation(put, suffix),
    enforceRotation: choiceArgument("enforceRotation", enforceRotation, [true, false]),
    expected: encryptionContext === undefined ? undefined : expectedContextArgument(encryptionContext),
    IfMatch: IfMatch === undefined ? undefined : textArgument("IfMatch", IfMatch),
    verifyContent: choiceArgument("verifyContent", verifyContent, verifyContentChoices),
    contentAad: contentAad === undefined ? undefined : bytesArgument("contentAad", contentAad),
  };
}

function suffixArgument(value: unknown, { keyType }: LegacyKeyring): string {
  const suffix = value === undefined ? instructionSuffix : textArgument("instructionFileSuffix", value);
  if (suffix === instructionSuffix) return suffix;
  if (!suffix.startsWith("."))
    throw new RangeError("instructionFileSuffix: expected one that starts with a dot");
  if (keyType === "rsa") return suffix;
  throw new RangeError(`instructionFileSuffix: expected "${instructionSuffix}" unless newKeyring is of RSA`);
}

/** The text of the new instruction file. */
async function rotate(
  config: LegacyWriterConfig,
  rotation: Rotation,
  envelope: LegacyEnvelope,
  head: HeadObjectCommandOutput,
  abortSignal: AbortSignal | undefined,
): Promise<string> {
  const { keyring, policy } = config;
  const { newKeyring, enforceRotation, expected, verifyContent, contentAad } = rotation;
  requireSameFormat(config, envelope);
  requireProof(envelope, keyring);
  const contentName = envelope.suite.contentNames[0];
  const beforeUnwrap = () => requireProvable(envelope.suite, verifyContent);
  const input = { keyrings: [keyring], policy, expected, isRange: false, beforeUnwrap, abortSignal };
  const wrapped = await withUnwrappedDataKey(envelope, input, async (dataKey) => {
    // V3 has committed to it, which this compares.
    const keys = openContentKeys(envelope, dataKey, contentAad);
    await proveContent(config, { ...rotation, head }, keys, verifyContent, abortSignal);
    return wrapLegacyDataKey(newKeyring, dataKey, { contentName });
  });
  const { wrap, wrappedKey, description } = wrapped;
  if (sameDescription(description, envelope.description)) {
    throw notRotated(
      "the description of newKeyring is that of the old key, so no reader could tell the two apart",
    );
  }
  if (
    enforceRotation &&
    (await opens(keyring, { wrap, wrappedKey, contentName, description, abortSignal }))
  ) {
    throw notRotated("the old keyring opens what newKeyring has wrapped: they have the same key");
  }
  const format = envelope.format === "V1" ? "V2" : envelope.format;
  const renewed = { ...envelope, format, wrap, wrappedKey: Buffer.from(wrappedKey), description } as const;
  const { instructions } = encodeLegacyEnvelope({ ...renewed, storage: "instruction-file" });
  return instructions ?? "";
}

/** What is written goes by the writer's algorithm: AES/CBC, which none is set to, only where no commitment is demanded. */
function requireSameFormat({ suite, policy }: LegacyWriterConfig, { suite: found }: LegacyEnvelope): void {
  if (found === suite) return;
  const wanted = found === cbcSuite ? "FORBID_ENCRYPT_ALLOW_DECRYPT" : undefined;
  if (wanted && policy.commitmentPolicy === wanted) return;
  const option = wanted ? "commitmentPolicy" : "encryptionAlgorithm";
  throw new EnvelopeError(
    "LEGACY_REFUSED",
    `the content of the object is ${found.name}, and this writer is set to ${suite.name}: rotate its key with a ` +
      `writer with ${option}: "${wanted ?? found.name}"`,
    { details: { option, content: found.contentNames[0] } },
  );
}

/** RSA with PKCS#1 v1.5 gives some data key whatever was wrapped, and whatever the key: it could be the end of the object. */
function requireProof({ format }: LegacyEnvelope, { keyType }: LegacyKeyring): void {
  if (format !== "V1" || keyType !== "rsa") return;
  throw notRotated(
    "its data key is wrapped by RSA with PKCS#1 v1.5, which does not prove what it unwraps: put it anew",
  );
}

async function opens(
  keyring: LegacyKeyring,
  input: Parameters<LegacyKeyring["unwrapDataKey"]>[0],
): Promise<boolean> {
  if (keyring.keyType !== input.wrap.keyType) return false;
  try {
    (await keyring.unwrapDataKey(input)).fill(0);
    return true;
  } catch (error) {
    if (hasCode(error, "DECRYPTION_FAILED") || hasCode(error, "KEY_NOT_FOR_OBJECT")) return false;
    throw error;
  }
}

function notRotated(why: string): EnvelopeError {
  return new EnvelopeError("KEY_NOT_ROTATED", `nothing was written: ${why}`);
}
