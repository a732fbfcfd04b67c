/** The input and the output of `reEncryptInstructionFile`, and the checks of the input. */
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import { bytesArgument, choiceArgument, objectArgument, textArgument } from "../../base/arguments.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { type ExpectedContext, expectedContextArgument } from "../../objects/encrypted/read-arguments.js";
import type { SidecarLocation } from "../../objects/encrypted/sidecar.js";
import type { RequestTarget } from "../../s3/errors.js";
import { type SidecarField, targetArgument } from "../../s3/fields.js";
import { type LegacyKeyring, legacyKeyringArgument } from "../../s3ec/keyrings/keyring.js";
import { instructionSuffix } from "../../s3ec/names.js";
import { newInstructionLocation } from "./instruction-file.js";
import { type VerifyContent, verifyContentChoices } from "./prove-content.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/**
 * Input of `reEncryptInstructionFile`. Access, encryption and tags of the new instruction file are those stated here, as S3
 * carries none over. The fields of a customer-provided key are used to read the metadata of the object.
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
   * The ETag that the object must have: that of the object whose content you mean to share. Without it, anybody who may
   * write to the bucket can put another object and its instruction file there first.
   */
  readonly IfMatch?: string | undefined;
  /** Wraps the data key from now on. A keyring of AES or RSA, with another description than the current one. */
  readonly newKeyring: LegacyKeyring;
  /**
   * The suffix of the key of the new instruction file, with its dot. By default ".instruction", the file that is read,
   * which is then replaced. Another suffix requires a `newKeyring` of RSA and makes a second file, for a reader who has
   * their own key and states the same suffix.
   */
  readonly instructionFileSuffix?: string | undefined;
  /** Whether to refuse if the writer's own keyring can unwrap what `newKeyring` has wrapped; false by default. */
  readonly enforceRotation?: boolean | undefined;
  /**
   * How to prove that the data key belongs to this object; "when-needed" by default, which reads a whole object of V2.
   */
  readonly verifyContent?: VerifyContent | undefined;
  /** The additional data that the writer of an object of V2 authenticated with its content; as for `legacyReading`. */
  readonly contentAad?: Uint8Array | undefined;
  /** The context that the object must have, if the writer has a KMS keyring. "any" accepts every context. */
  readonly encryptionContext?: ExpectedContext | undefined;
}

/** Output of `reEncryptInstructionFile`. */
export interface ReEncryptInstructionFileOutput {
  readonly Bucket: string;
  readonly Key: string;
  readonly instructionFileSuffix: string;
  readonly enforceRotation: boolean;
}

/** The input of `reEncryptInstructionFile` after validation. */
export interface ReEncryptRequest {
  readonly target: RequestTarget;
  /** The fields of requests about the object, and of the write of the new file. */
  readonly put: PutObjectCommandInput;
  readonly newKeyring: LegacyKeyring;
  readonly suffix: string;
  /** The location of the current instruction file. */
  readonly from: SidecarLocation;
  /** The location of the new instruction file. */
  readonly to: SidecarLocation;
  readonly enforceRotation: boolean;
  readonly expected: ExpectedContext | undefined;
  /** The ETag that the object must have. */
  readonly IfMatch: string | undefined;
  readonly verifyContent: VerifyContent;
  readonly contentAad: Uint8Array | undefined;
}

/** Checks the input of `reEncryptInstructionFile`. */
export function reEncryptArguments(
  config: LegacyWriterConfig,
  input: ReEncryptInstructionFileInput,
): ReEncryptRequest {
  const given = fieldsArgument<ReEncryptInstructionFileInput>(
    legacyFieldNames.reEncryptInstructionFile.input,
    input,
  ) as ReEncryptInstructionFileInput;
  const target = targetArgument("PutObject", given);
  const { newKeyring, instructionFileSuffix, enforceRotation = false, encryptionContext, ...rest } = given;
  const { IfMatch, verifyContent = "when-needed", contentAad, ...put } = rest;
  if (!config.instructionFile) {
    throw new TypeError(
      "options.instructionFile: expected true for a writer that re-encrypts instruction files, got false",
    );
  }
  const keyring = legacyKeyringArgument("newKeyring", objectArgument("newKeyring", newKeyring));
  if (keyring.keyType === "kms" || typeof keyring.wrapDataKey !== "function") {
    throw new TypeError("newKeyring: expected one of AES or RSA: KMS wraps only data keys that it generates");
  }
  const suffix = suffixArgument(instructionFileSuffix, keyring);
  return {
    target,
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
