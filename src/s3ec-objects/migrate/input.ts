/** What `migrateObject` takes and gives, and its input once checked. */
import type { GetObjectCommandInput } from "@aws-sdk/client-s3";
import { choiceArgument } from "../../base/arguments.js";
import { type Fields, fieldsArgument, statedFields } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { ClientConfig } from "../../objects/encrypted/config.js";
import type { LegacyObjectInfo } from "../../objects/encrypted/format.js";
import { type ExpectedContext, expectedContextArgument } from "../../objects/encrypted/read-arguments.js";
import { type WriteInput, writeArguments } from "../../objects/put/write-arguments.js";
import type { RequestTarget } from "../../s3/errors.js";
import { customerKeyOf, refuseFields, targetArgument } from "../../s3/fields.js";
import type { TransferOptions } from "../../transfer/call-signal.js";
import { type ProgressListener, progressArgument } from "../../transfer/progress.js";

/** Fields of a request about the original. */
type OriginalFields = Pick<
  GetObjectCommandInput,
  | "Bucket"
  | "Key"
  | "VersionId"
  | "RequestPayer"
  | "ExpectedBucketOwner"
  | "SSECustomerAlgorithm"
  | "SSECustomerKey"
  | "SSECustomerKeyMD5"
>;

/**
 * Where the new object goes and what it has. What is not named here is the original's; a field that is named `undefined`
 * is not carried over.
 */
export interface MigrateTarget extends Partial<Omit<WriteInput, "IfNoneMatch">> {
  /** The context of the new object; by default the one that KMS has proved of the original, or none. */
  readonly encryptionContext?: EncryptionContext | undefined;
}

/** What `migrateObject` takes. */
export interface MigrateInput extends OriginalFields {
  /** The context that the original must have; as for `get`. */
  readonly encryptionContext?: ExpectedContext | undefined;
  /** As for `get`. */
  readonly instructionFileSuffix?: string | undefined;
  /** By default the new object takes the original's place. */
  readonly target?: MigrateTarget | undefined;
  /** "copy" (default) takes `s3:GetObjectTagging`; "skip" leaves the original's tags behind. */
  readonly tags?: "copy" | "skip" | undefined;
  /**
   * Whether the original, and its instruction file, is removed once the new object elsewhere has been confirmed; false by
   * default. With a `VersionId` it is that version; without, a bucket with versioning keeps it behind a delete marker.
   */
  readonly deleteOriginal?: boolean | undefined;
}

/** The object was native already: nothing was written, no key was asked. */
export interface NotMigrated {
  readonly migrated: false;
  readonly Bucket: string;
  readonly Key: string;
  readonly VersionId: string | undefined;
  readonly ETag: string | undefined;
}

/** Where the new object is, and what the original was. */
export interface Migrated {
  readonly migrated: true;
  readonly Bucket: string;
  readonly Key: string;
  readonly VersionId: string | undefined;
  readonly ETag: string | undefined;
  readonly plaintextLength: number;
  readonly ciphertextLength: number;
  /** That of the new object. */
  readonly encryptionContext: EncryptionContext;
  /** How the original was written. */
  readonly legacy: LegacyObjectInfo;
  /**
   * Whether the original was verified before the new object was made. False for AES/CBC: nobody can tell whether it was
   * what its owner wrote, and **the new object vouches for whatever it was**.
   */
  readonly authenticated: boolean;
  /** Objects that nothing needs any more and that could not be removed: remove them. */
  readonly orphanedKeys?: readonly string[];
  /** The instruction file, which stays as long as the bucket has older versions that need it. */
  readonly keptInstructionFileKey?: string;
}

/** What `migrateObject` gives. */
export type MigrateOutput = Migrated | NotMigrated;

/** {@link MigrateInput} once checked. */
export interface MigrateRequest {
  readonly original: OriginalFields;
  readonly attempt: RequestTarget;
  readonly expected: ExpectedContext | undefined;
  readonly instructionFileSuffix: string | undefined;
  readonly target: MigrateTarget & { readonly Bucket: string; readonly Key: string };
  /** Whether the new object takes the original's place. */
  readonly replaces: boolean;
  readonly copiesTags: boolean;
  readonly deletesOriginal: boolean;
  readonly onProgress: ProgressListener | undefined;
}

/** Checks the input of `migrateObject`. */
export function migrateArguments(
  config: ClientConfig,
  input: MigrateInput,
  options: Fields<TransferOptions>,
): MigrateRequest {
  const names = legacyFieldNames.migrateObject;
  const given = fieldsArgument<MigrateInput>(names.input, input) as MigrateInput;
  const attempt = targetArgument("HeadObject", given);
  const { encryptionContext, instructionFileSuffix, target = {}, tags = "copy", deleteOriginal } = given;
  const stated = statedFields<MigrateTarget>(names.target, target) as MigrateTarget;
  const { Bucket = attempt.bucket, Key = attempt.key } = stated;
  const replaces = Bucket === attempt.bucket && Key === attempt.key;
  if (replaces) {
    refuseFields(stated, ["IfMatch"], "only the original is replaced: leave it out");
    refuseFields(given, ["deleteOriginal"], "the new object takes the original's place: leave it out");
  }
  const all = fieldsArgument<MigrateTarget>(names.target, stated) as MigrateTarget;
  writeArguments(config, { ...all, Bucket, Key }, "PutObject");
  return {
    original: originalFields(given),
    attempt,
    expected: encryptionContext === undefined ? undefined : expectedContextArgument(encryptionContext),
    instructionFileSuffix,
    // Without a prototype, as what is not there is the original's.
    target: Object.assign(Object.create(null), stated, { Bucket, Key }),
    replaces,
    copiesTags: choiceArgument("tags", tags, ["copy", "skip"]) === "copy",
    deletesOriginal: choiceArgument("deleteOriginal", deleteOriginal ?? false, [true, false]),
    onProgress: progressArgument(options.onProgress),
  };
}

function originalFields(input: MigrateInput): OriginalFields {
  const { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner } = input;
  return { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner, ...customerKeyOf(input) };
}
