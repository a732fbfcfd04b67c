/** The fields that the new object of a migration is written with, beside its content. */
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import { EnvelopeError, withDetails } from "../../base/errors.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { WriteInput } from "../../objects/put/write-arguments.js";
import { type CopiedOutput, carriedEncryption, carriedFields, carriedTags } from "../../s3/copy.js";
import type { MigrateRequest, Migration } from "./input.js";

/** The fields of encryption by S3 belong together: stating one of them replaces all of the original's. */
const encryptionNames = [
  "ServerSideEncryption",
  "SSEKMSKeyId",
  "SSEKMSEncryptionContext",
  "BucketKeyEnabled",
  "SSECustomerAlgorithm",
  "SSECustomerKey",
  "SSECustomerKeyMD5",
] as const satisfies readonly (keyof PutObjectCommandInput)[];

/** The original's fields, overridden by those that the caller states. */
export function newFields(
  { original, destination }: Pick<MigrateRequest, "original" | "destination">,
  output: CopiedOutput & { readonly encryptionContext?: EncryptionContext | undefined },
  Tagging: string | undefined,
): WriteInput {
  const isSameBucket = destination.Bucket === original.Bucket;
  const { RequestPayer, ExpectedBucketOwner } = original;
  const { encryptionContext = output.encryptionContext ?? {}, ...stated } = destination;
  const statesEncryption = encryptionNames.some((name) => Object.hasOwn(destination, name));
  return {
    ...carriedFields(output),
    ...(statesEncryption ? {} : carriedEncryption(output, original)),
    Tagging,
    ...(isSameBucket && { RequestPayer, ExpectedBucketOwner }),
    ...stated,
    encryptionContext,
  };
}

/** Fields that would make a staged object unreadable, undeletable or costly. */
const lastingNames = [
  "StorageClass",
  "WebsiteRedirectLocation",
  "ObjectLockMode",
  "ObjectLockRetainUntilDate",
  "ObjectLockLegalHoldStatus",
] as const satisfies readonly (keyof WriteInput)[];

/** The fields of a staged object, which exists only for a moment. */
export function stagingFields(input: WriteInput): WriteInput {
  return { ...input, ...Object.fromEntries(lastingNames.map((name) => [name, undefined])) };
}

/** Whether objects of this storage class must be restored before they can be read. */
export function isArchive(storageClass: WriteInput["StorageClass"]): boolean {
  return storageClass === "GLACIER" || storageClass === "DEEP_ARCHIVE";
}

/** Reads the tags of the original if they are to be carried over. */
export async function newTagging({ config, request, head, call }: Migration): Promise<string | undefined> {
  const { original, copiesTags, destination } = request;
  if (!copiesTags || Object.hasOwn(destination, "Tagging")) return undefined;
  const { VersionId } = head;
  return carriedTags(
    config,
    { ...original, Bucket: original.Bucket, Key: original.Key, VersionId },
    call.signal,
  ).catch((error: unknown) => {
    throw withTagAdvice(error);
  });
}

function withTagAdvice(error: unknown): unknown {
  if (!(error instanceof EnvelopeError) || error.retryable || error.code === "S3_NOT_FOUND") return error;
  const advice =
    "reading its tags takes s3:GetObjectTagging, and s3:GetObjectVersionTagging in a bucket with versioning; to migrate " +
    'without them, set tags: "skip"';
  return withDetails(error, {}, `${error.message}; ${advice}`);
}
