/** What of the original the new object has, beside its content. */
import { GetObjectTaggingCommand, type PutObjectCommandInput } from "@aws-sdk/client-s3";
import { EnvelopeError, withDetails } from "../../base/errors.js";
import type { ClientConfig } from "../../objects/encrypted/config.js";
import type { GetOutput } from "../../objects/get/get-input.js";
import type { WriteInput } from "../../objects/put/write-arguments.js";
import { type RequestTarget, s3Request } from "../../s3/errors.js";
import { customerKeyOf } from "../../s3/fields.js";
import { guarded } from "../../service/response-guard.js";
import type { MigrateRequest } from "./input.js";

const keptNames = [
  "Metadata",
  "ContentType",
  "CacheControl",
  "ContentDisposition",
  "ContentLanguage",
  "WebsiteRedirectLocation",
  "StorageClass",
  "ObjectLockLegalHoldStatus",
] as const satisfies readonly (keyof GetOutput & keyof WriteInput)[];

/** Encryption by S3 itself: these belong together, so stating one of them states all. */
const encryptionNames = [
  "ServerSideEncryption",
  "SSEKMSKeyId",
  "SSEKMSEncryptionContext",
  "BucketKeyEnabled",
  "SSECustomerAlgorithm",
  "SSECustomerKey",
  "SSECustomerKeyMD5",
] as const satisfies readonly (keyof PutObjectCommandInput)[];

/** What the new object is written with: the original's, and over it what the caller states. */
export function writtenFields(
  { original, target }: MigrateRequest,
  output: GetOutput,
  Tagging: string | undefined,
): WriteInput {
  const isSameBucket = target.Bucket === original.Bucket;
  const { RequestPayer, ExpectedBucketOwner } = original;
  const { encryptionContext = output.encryptionContext ?? {}, ...stated } = target;
  return {
    ...Object.fromEntries(keptNames.map((name) => [name, output[name]])),
    ...lockOf(output),
    ...(encryptionNames.some((name) => Object.hasOwn(target, name)) ? {} : encryptionOf(output, original)),
    ContentEncoding: contentEncodingOf(output),
    Expires: expiresOf(output),
    Tagging,
    ...(isSameBucket && { RequestPayer, ExpectedBucketOwner }),
    ...stated,
    encryptionContext,
  };
}

function encryptionOf(output: GetOutput, original: MigrateRequest["original"]): Partial<WriteInput> {
  if (output.SSECustomerAlgorithm !== undefined) {
    return customerKeyOf(original);
  }
  const { ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled } = output;
  return { ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled };
}

/** S3 refuses a retention that is over. */
function lockOf({ ObjectLockMode, ObjectLockRetainUntilDate }: GetOutput): Partial<WriteInput> {
  if (!ObjectLockRetainUntilDate || ObjectLockRetainUntilDate.getTime() <= Date.now()) return {};
  return { ObjectLockMode, ObjectLockRetainUntilDate };
}

/** Some stores keep the framing of the upload among the encodings: sent again, it would be taken for that of this one. */
function contentEncodingOf({ ContentEncoding }: GetOutput): string | undefined {
  const encodings = ContentEncoding?.split(",").map((one) => one.trim());
  return encodings?.filter((one) => one !== "" && one !== "aws-chunked").join(",") || undefined;
}

/** What is no date, such as the common "0", means a time in the past (RFC 9111 5.3). */
function expiresOf({ ExpiresString }: GetOutput): Date | undefined {
  if (ExpiresString === undefined) return undefined;
  const time = / GMT$/.test(ExpiresString) ? Date.parse(ExpiresString) : Number.NaN;
  return new Date(Number.isNaN(time) ? 0 : time);
}

/** What would make an object unreadable, undeletable or costly that is there for a moment only. */
const lastingNames = [
  "StorageClass",
  "WebsiteRedirectLocation",
  "ObjectLockMode",
  "ObjectLockRetainUntilDate",
  "ObjectLockLegalHoldStatus",
] as const satisfies readonly (keyof WriteInput)[];

/** The fields of an object that is there for a moment only. */
export function passingFields(input: WriteInput): WriteInput {
  return { ...input, ...Object.fromEntries(lastingNames.map((name) => [name, undefined])) };
}

/** Whether objects of this storage class cannot be read at once. */
export function isArchive(storageClass: WriteInput["StorageClass"]): boolean {
  return storageClass === "GLACIER" || storageClass === "DEEP_ARCHIVE";
}

/**
 * The tags of the original as PutObject takes them. S3 tells their number only to those who may read them, so they are
 * always asked for.
 */
export async function taggingOf(
  { s3 }: ClientConfig,
  { original, attempt, copiesTags, target }: MigrateRequest,
  VersionId: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!copiesTags || Object.hasOwn(target, "Tagging")) return undefined;
  const { Bucket, Key, RequestPayer, ExpectedBucketOwner } = original;
  const command = new GetObjectTaggingCommand({ Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner });
  const asked: RequestTarget = { ...attempt, operation: "GetObjectTagging" };
  const { TagSet = [] } = await s3Request(asked, signal, (options) =>
    s3.send(guarded(command), options),
  ).catch((error: unknown) => {
    throw withAdvice(error);
  });
  const pairs = TagSet.filter(({ Key: name = "" }) => !name.startsWith("aws:")).map(
    ({ Key: name = "", Value = "" }) => `${encodeURIComponent(name)}=${encodeURIComponent(Value)}`,
  );
  return pairs.length === 0 ? undefined : pairs.join("&");
}

function withAdvice(error: unknown): unknown {
  if (!(error instanceof EnvelopeError) || error.retryable || error.code === "S3_NOT_FOUND") return error;
  const advice =
    'its tags take s3:GetObjectTagging, with versions s3:GetObjectVersionTagging; to leave them behind, say tags: "skip"';
  return withDetails(error, {}, `${error.message}; ${advice}`);
}
