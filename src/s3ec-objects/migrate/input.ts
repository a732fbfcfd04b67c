/** The input and the output of `migrateObject`, and the checks of the input. */
import type { HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { choiceArgument } from "../../base/arguments.js";
import { fieldsArgument, statedFields } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { ClientConfig } from "../../objects/encrypted/config.js";
import type { LegacyObjectInfo } from "../../objects/encrypted/format.js";
import { type ExpectedContext, expectedContextArgument } from "../../objects/encrypted/read-arguments.js";
import { type WriteInput, writeArguments } from "../../objects/put/write-arguments.js";
import type { RequestTarget } from "../../s3/errors.js";
import { customerKeyOf, type ReadFields, refuseFields, targetArgument } from "../../s3/fields.js";
import type { Call } from "../../transfer/call.js";
import type { ProgressListener } from "../../transfer/progress.js";

/**
 * The bucket, the key and the fields of the new object. A field that is not stated is carried over from the original; a
 * field that is stated as `undefined` is not.
 */
export interface MigrateTarget extends Partial<Omit<WriteInput, "IfNoneMatch">> {
  /** The context of the new object. By default that of the original if KMS has proved it, or else none. */
  readonly encryptionContext?: EncryptionContext | undefined;
}

/** Input of `migrateObject`. */
export interface MigrateInput extends ReadFields {
  /** The context that the original must have; as for `get`. */
  readonly encryptionContext?: ExpectedContext | undefined;
  /** As for `get`. */
  readonly instructionFileSuffix?: string | undefined;
  /** By default the new object replaces the original. */
  readonly target?: MigrateTarget | undefined;
  /** "copy" (default) carries over the tags, which takes `s3:GetObjectTagging`; "skip" does not. */
  readonly tags?: "copy" | "skip" | undefined;
  /**
   * Whether the original and its instruction file are removed after a new object at another key has been verified; false
   * by default. With a `VersionId` that version is removed; without, a bucket with versioning keeps the original behind a
   * delete marker.
   */
  readonly deleteOriginal?: boolean | undefined;
}

/** The output for an object that is in the native format already: nothing was written and no key was used. */
export interface NotMigrated {
  readonly migrated: false;
  readonly Bucket: string;
  readonly Key: string;
  readonly VersionId: string | undefined;
  readonly ETag: string | undefined;
}

/** The output for an object that was migrated. */
export interface Migrated {
  readonly migrated: true;
  readonly Bucket: string;
  readonly Key: string;
  readonly VersionId: string | undefined;
  readonly ETag: string | undefined;
  readonly plaintextLength: number;
  readonly ciphertextLength: number;
  /** The context of the new object. */
  readonly encryptionContext: EncryptionContext;
  /** The format of the original. */
  readonly legacy: LegacyObjectInfo;
  /**
   * Whether the original was verified before it was used. False for AES/CBC: nothing proves that its content is what its
   * owner wrote, and **the new object authenticates it all the same**.
   */
  readonly authenticated: boolean;
  /** The keys of objects that are no longer needed and could not be removed: remove them. */
  readonly orphanedKeys?: readonly string[];
  /** The key of the instruction file, which was kept because older versions in the bucket need it. */
  readonly keptInstructionFileKey?: string;
}

/** Output of `migrateObject`. */
export type MigrateOutput = Migrated | NotMigrated;

/** The input of `migrateObject` after validation. */
export interface MigrateRequest {
  readonly original: ReadFields;
  /** The original, as errors name it. */
  readonly target: RequestTarget;
  readonly expected: ExpectedContext | undefined;
  readonly instructionFileSuffix: string | undefined;
  /** Only the fields that the caller stated. */
  readonly destination: MigrateTarget & { readonly Bucket: string; readonly Key: string };
  /** Whether the new object replaces the original. */
  readonly replaces: boolean;
  readonly copiesTags: boolean;
  readonly deletesOriginal: boolean;
}

/** One migration. */
export interface Migration {
  readonly config: ClientConfig;
  readonly request: MigrateRequest;
  readonly call: Call;
  readonly onProgress: ProgressListener | undefined;
  /** The response to HeadObject of the original. */
  readonly head: HeadObjectCommandOutput;
  /** The ETag of the original. */
  readonly ETag: string;
}

/** The fields that a new object is written with. */
export type NewObjectFields = WriteInput & { readonly Bucket: string; readonly Key: string };

/** Checks the input of `migrateObject`. */
export function migrateArguments(config: ClientConfig, input: MigrateInput): MigrateRequest {
  const names = legacyFieldNames.migrateObject;
  const given = fieldsArgument<MigrateInput>(names.input, input) as MigrateInput;
  const source = targetArgument("HeadObject", given);
  const { encryptionContext, instructionFileSuffix, target = {}, tags = "copy", deleteOriginal } = given;
  const stated = statedFields<MigrateTarget>(names.target, target) as MigrateTarget;
  const { Bucket = source.bucket, Key = source.key } = stated;
  const replaces = Bucket === source.bucket && Key === source.key;
  if (replaces) {
    refuseFields(stated, ["IfMatch"], "the new object may only replace the original: leave it out");
    refuseFields(given, ["deleteOriginal"], "the new object replaces the original: leave it out");
  }
  const all = fieldsArgument<MigrateTarget>(names.target, stated) as MigrateTarget;
  writeArguments(config, { ...all, Bucket, Key }, "PutObject");
  return {
    original: originalFields(given),
    target: source,
    expected: encryptionContext === undefined ? undefined : expectedContextArgument(encryptionContext),
    instructionFileSuffix,
    // Without a prototype: a name that is not stated is carried over from the original.
    destination: Object.assign(Object.create(null), stated, { Bucket, Key }),
    replaces,
    copiesTags: choiceArgument("tags", tags, ["copy", "skip"]) === "copy",
    deletesOriginal: choiceArgument("deleteOriginal", deleteOriginal ?? false, [true, false]),
  };
}

function originalFields(input: MigrateInput): ReadFields {
  const { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner } = input;
  return { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner, ...customerKeyOf(input) };
}

/** The fields of a request about the current version at the key of the original. */
export function currentOriginal({ original }: MigrateRequest): Omit<ReadFields, "VersionId"> {
  const { VersionId: _version, ...current } = original;
  return current;
}
