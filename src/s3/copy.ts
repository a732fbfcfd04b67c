/**
 * Copies an object within S3, onto itself or elsewhere, without reading it: what a copy carries over, the copy itself, and
 * the checks that neither the source nor the object at the destination has changed.
 */
import type {
  GetObjectTaggingCommandInput,
  HeadObjectCommandInput,
  HeadObjectCommandOutput,
  PutObjectCommandInput,
} from "@aws-sdk/client-s3";
import { quoted } from "../base/bytes.js";
import { forEachConcurrently } from "../base/concurrency.js";
import { EnvelopeError } from "../base/errors.js";
import { partSizes } from "../transfer/part-sizes.js";
import type { ConfirmedWriteOutput } from "./confirmed-write.js";
import { requireETag } from "./errors.js";
import { checksumsOf, createFields, customerKeyOf, objectFields } from "./fields.js";
import {
  commitUpload,
  createUpload,
  discardUpload,
  type MultipartInput,
  type StoredPart,
} from "./multipart.js";
import { copyObject, getObjectTagging, headObject, targetOf, uploadPartCopy } from "./requests.js";
import { conditionOf, isSameETag } from "./responses.js";

/** The names of fields that a copy carries over as they are. */
const carriedNames = [
  "Metadata",
  "ContentType",
  "CacheControl",
  "ContentDisposition",
  "ContentLanguage",
  "WebsiteRedirectLocation",
  "StorageClass",
  "ObjectLockLegalHoldStatus",
] as const satisfies readonly (keyof HeadObjectCommandOutput & keyof PutObjectCommandInput)[];

/** The part of a response to HeadObject or GetObject that a copy needs. */
export type CopiedOutput = Pick<
  HeadObjectCommandOutput,
  | (typeof carriedNames)[number]
  | "ContentEncoding"
  | "ExpiresString"
  | "ObjectLockMode"
  | "ObjectLockRetainUntilDate"
  | "ServerSideEncryption"
  | "SSEKMSKeyId"
  | "BucketKeyEnabled"
  | "SSECustomerAlgorithm"
>;

/** The fields of PutObject that give a new object the metadata, headers, storage class and lock of a stored one. */
export function carriedFields(output: CopiedOutput): Partial<PutObjectCommandInput> {
  return {
    ...Object.fromEntries(carriedNames.map((name) => [name, output[name]])),
    ...lockOf(output),
    ContentEncoding: contentEncodingOf(output),
    Expires: expiresOf(output),
  };
}

type CustomerKeyFields = Parameters<typeof customerKeyOf>[0];

/**
 * The fields of PutObject that encrypt a new object as S3 encrypted a stored one.
 *
 * @param request the fields by which the stored object was requested: the response does not repeat a customer-provided key
 */
export function carriedEncryption(
  output: CopiedOutput,
  request: CustomerKeyFields,
): Partial<PutObjectCommandInput> {
  if (output.SSECustomerAlgorithm !== undefined) return customerKeyOf(request);
  const { ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled } = output;
  return { ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled };
}

/** S3 refuses a retention period that has ended. */
function lockOf({ ObjectLockMode, ObjectLockRetainUntilDate }: CopiedOutput): Partial<PutObjectCommandInput> {
  if (!ObjectLockRetainUntilDate || ObjectLockRetainUntilDate.getTime() <= Date.now()) return {};
  return { ObjectLockMode, ObjectLockRetainUntilDate };
}

/** Some stores keep the framing of the upload among the encodings. Sent again, it would be taken for that of the new upload. */
function contentEncodingOf({ ContentEncoding }: CopiedOutput): string | undefined {
  const encodings = ContentEncoding?.split(",").map((one) => one.trim());
  return encodings?.filter((one) => one !== "" && one !== "aws-chunked").join(",") || undefined;
}

/** A value that is not a date, such as the common "0", means a time in the past (RFC 9111 5.3). */
function expiresOf({ ExpiresString }: CopiedOutput): Date | undefined {
  if (ExpiresString === undefined) return undefined;
  const time = / GMT$/.test(ExpiresString) ? Date.parse(ExpiresString) : Number.NaN;
  return new Date(Number.isNaN(time) ? 0 : time);
}

/**
 * Reads the tags of an object, in the form of the `Tagging` of PutObject. S3 states their number only to those who may read
 * them, so they are always requested.
 *
 * @returns undefined when it has none that a copy may carry over
 */
export async function carriedTags(
  { s3 }: Pick<MultipartInput, "s3">,
  { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner }: GetObjectTaggingCommandInput,
  signal: AbortSignal,
): Promise<string | undefined> {
  const object = { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner };
  const { TagSet = [] } = await getObjectTagging(s3, object, { signal });
  const pairs = TagSet.filter(({ Key: name = "" }) => !name.startsWith("aws:")).map(
    ({ Key: name = "", Value = "" }) => `${encodeURIComponent(name)}=${encodeURIComponent(Value)}`,
  );
  return pairs.length === 0 ? undefined : pairs.join("&");
}

/** The object to copy. */
export interface CopySource extends CustomerKeyFields {
  readonly Bucket: string | undefined;
  readonly Key: string;
  readonly VersionId: string | undefined;
  readonly ExpectedBucketOwner: string | undefined;
  /** The ETag that the source must have, if it is known. */
  readonly ETag: string | undefined;
  /** The size of the object in bytes. */
  readonly bytes: number;
}

/** Options of {@link copyWithin}. */
export interface CopyOptions {
  /**
   * Whether objects of up to 5 GiB are copied by parts as well: more stores evaluate the conditions of
   * CompleteMultipartUpload than those of CopyObject.
   */
  readonly isAlwaysByParts?: boolean | undefined;
  /** Called right before the request that makes the copy appear. If it rejects, nothing is replaced. */
  readonly beforeCommit?: (() => Promise<void>) | undefined;
}

/** CopyObject copies at most 5 GiB. */
const maxCopiedBytes = 5 * 1024 ** 3;
/** The size of a copied part. UploadPartCopy allows 5 GiB, but several smaller parts are copied side by side. */
const copiedPartBytes = 1024 ** 3;

/**
 * Copies an object in S3 to the destination that `input.put` states, with the fields, tags and conditions stated there. The
 * copy appears in one step: by CopyObject up to 5 GiB, else by a multipart upload of copied parts.
 */
export async function copyWithin(
  input: MultipartInput,
  source: CopySource,
  { isAlwaysByParts = false, beforeCommit }: CopyOptions = {},
): Promise<ConfirmedWriteOutput> {
  if (source.bytes > maxCopiedBytes || isAlwaysByParts) return copyByParts(input, source, beforeCommit);
  const { s3, put, call, commit } = input;
  await beforeCommit?.();
  const { signal } = call;
  return commit.write({ s3, put, signal }, source.bytes, (options) =>
    copyObject(
      s3,
      {
        ...createFields(put),
        IfMatch: put.IfMatch,
        IfNoneMatch: put.IfNoneMatch,
        MetadataDirective: "REPLACE",
        TaggingDirective: "REPLACE",
        ...sourceFields(source),
      },
      options,
    ),
  );
}

async function copyByParts(
  input: MultipartInput,
  source: CopySource,
  beforeCommit: CopyOptions["beforeCommit"],
): Promise<ConfirmedWriteOutput> {
  const uploadId = await createUpload(input);
  try {
    const parts = await copyParts(input, uploadId, source);
    await beforeCommit?.();
    return await commitUpload(input, uploadId, parts);
  } catch (error) {
    throw await discardUpload(input, uploadId, error);
  }
}

async function copyParts(input: MultipartInput, uploadId: string, source: CopySource): Promise<StoredPart[]> {
  const { call, maxConcurrentParts } = input;
  const { bytes } = source;
  const partBytes = partSizes(bytes, copiedPartBytes)(1);
  const count = Math.ceil(bytes / partBytes);
  const parts: StoredPart[] = [];
  await forEachConcurrently(new Array(count).keys(), maxConcurrentParts, call, async (index) => {
    const start = index * partBytes;
    const end = Math.min(bytes, start + partBytes);
    // S3 copies no range of an object of up to 5 MB.
    const range = count === 1 ? undefined : `bytes=${start}-${end - 1}`;
    const PartNumber = index + 1;
    const part = await copyPart(input, uploadId, source, PartNumber, range);
    const checksums = checksumsOf(part as never) as StoredPart["checksums"];
    parts.push({ PartNumber, ETag: conditionOf(part.ETag), checksums, size: end - start });
  });
  return parts;
}

function copyPart(
  { s3, put, call }: MultipartInput,
  UploadId: string,
  source: CopySource,
  PartNumber: number,
  CopySourceRange: string | undefined,
): ReturnType<typeof uploadPartCopy> {
  const part = { CopySourceRange, UploadId, PartNumber };
  const input = { ...objectFields(put), ...customerKeyOf(put), ...sourceFields(source), ...part };
  return uploadPartCopy(s3, input, { signal: call.signal });
}

/** The fields of CopyObject and UploadPartCopy that name the source, and its state. */
function sourceFields(source: CopySource) {
  const { Bucket, Key, VersionId, ETag } = source;
  // The Bucket may be the ARN of an access point.
  const prefix = Bucket?.startsWith("arn:") ? `${Bucket}/object` : Bucket;
  const path = `${prefix}/${encodeURIComponent(Key)}`;
  return {
    ExpectedSourceBucketOwner: source.ExpectedBucketOwner,
    CopySource: VersionId === undefined ? path : `${path}?versionId=${VersionId}`,
    CopySourceIfMatch: conditionOf(ETag),
    CopySourceSSECustomerAlgorithm: source.SSECustomerAlgorithm,
    CopySourceSSECustomerKey: source.SSECustomerKey,
    CopySourceSSECustomerKeyMD5: source.SSECustomerKeyMD5,
  };
}

/** The state of an object: an object with other metadata and the same content has the same ETag, but another date. */
export type ObjectSnapshot = Pick<HeadObjectCommandOutput, "ETag" | "LastModified">;

/**
 * Looks whether an object is still as it was. Some stores ignore conditions: there, this finds every change but one during
 * the last request.
 *
 * @param object the fields of a request about it
 * @throws EnvelopeError `S3_PRECONDITION_FAILED` when it has changed
 */
export async function requireUnchanged(
  { s3 }: Pick<MultipartInput, "s3">,
  object: HeadObjectCommandInput,
  { ETag, LastModified }: ObjectSnapshot,
  signal: AbortSignal,
): Promise<void> {
  const { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner } = object;
  const input = { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner, IfMatch: ETag };
  const head = await headObject(s3, { ...input, ...customerKeyOf(object) }, { signal });
  const target = targetOf("HeadObject", { Bucket, Key });
  // Of a store that gives no ETags only the date is compared.
  const hasSameETag =
    (head.ETag ?? ETag) === undefined || isSameETag(requireETag(head, target), requireETag({ ETag }, target));
  if (hasSameETag && head.LastModified?.getTime() === LastModified?.getTime()) return;
  throw new EnvelopeError(
    "S3_PRECONDITION_FAILED",
    `${quoted(target.key)} in ${quoted(target.bucket)} was overwritten in the meantime; the newer object was not changed`,
    { details: { ...target } },
  );
}
