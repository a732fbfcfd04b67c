/** Puts a confirmed object in its place: copied there by S3, in one step, and only if nothing has changed there meanwhile. */
import {
  HeadObjectCommand,
  type HeadObjectCommandInput,
  type HeadObjectCommandOutput,
  type PutObjectCommandInput,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { forEachConcurrently } from "../../base/concurrency.js";
import { EnvelopeError } from "../../base/errors.js";
import { decodeEnvelope, type StoredEnvelope } from "../../envelope/metadata.js";
import { names } from "../../envelope/names.js";
import { encodeSidecar } from "../../envelope/sidecar.js";
import type { ClientConfig } from "../../objects/encrypted/config.js";
import { getSidecar, newSidecarLocation, sidecarLocation } from "../../objects/encrypted/sidecar.js";
import { withSidecar } from "../../objects/put/sidecar-write.js";
import type { WriteInput } from "../../objects/put/write-arguments.js";
import { withinTime } from "../../s3/clean-up.js";
import { type ConfirmedWrite, type ConfirmedWriteOutput, findWritten } from "../../s3/confirmed-write.js";
import { type RequestTarget, requireETag, s3Request, unusableResponse } from "../../s3/errors.js";
import { checksumsOf, customerKeyOf, objectFields } from "../../s3/fields.js";
import { headRequest } from "../../s3/head-request.js";
import {
  commitUpload,
  createUpload,
  discardUpload,
  type MultipartInput,
  type StoredPart,
} from "../../s3/multipart.js";
import { conditionOf, isSameETag } from "../../s3/responses.js";
import { guarded } from "../../service/response-guard.js";
import type { CallSignal } from "../../transfer/call-signal.js";
import { maxParts } from "../../transfer/part-sizes.js";
import type { WrittenObject } from "./remove.js";

/** S3 copies up to 5 GiB at a time; less lets several copies run side by side. */
const copiedBytes = 1024 ** 3;

/** What is to be put where. */
export interface Replacement {
  readonly staged: WrittenObject;
  /** The PutObject that the place would be written with, but for the envelope. */
  readonly fields: WriteInput & { readonly Bucket: string; readonly Key: string };
  /** What the place must hold, if anything. */
  readonly replaced: { readonly object: ExistingObject; readonly seen: SeenObject } | undefined;
}

/** What tells an object from a later one: with other metadata alone, that has the same ETag. */
type SeenObject = Pick<HeadObjectCommandOutput, "ETag" | "LastModified">;

/** Fields of a request about an object that is there. */
type ExistingObject = Pick<
  HeadObjectCommandInput,
  | "Bucket"
  | "Key"
  | "RequestPayer"
  | "ExpectedBucketOwner"
  | "SSECustomerAlgorithm"
  | "SSECustomerKey"
  | "SSECustomerKeyMD5"
>;

/**
 * Copies an object to its place and looks whether it is there. When this rejects, `commit` tells whether the object may
 * be in its place.
 *
 * @throws EnvelopeError `S3_PRECONDITION_FAILED` when the place does not hold what it must, `MIGRATION_UNCONFIRMED` when
 *   it holds something else than the copy afterwards
 */
export async function replaceObject(
  config: ClientConfig,
  placing: Replacement,
  transfer: CallSignal,
  commit: ConfirmedWrite,
): Promise<ConfirmedWriteOutput> {
  const { staged, fields, replaced } = placing;
  const { s3 } = config;
  const { signal } = transfer;
  const attempt: RequestTarget = { operation: "PutObject", bucket: fields.Bucket, key: fields.Key };
  const { Metadata, bytes, stored } = await describe(config, staged, signal);
  const { encryptionContext: _context, envelopeStorage: _storage, IfMatch, ...others } = fields;
  const condition = conditionOf(replaced?.seen.ETag) ?? IfMatch;
  const put: PutObjectCommandInput = {
    ...others,
    Metadata,
    ...(condition === undefined ? { IfNoneMatch: "*" } : { IfMatch: condition }),
  };
  const sidecar =
    stored.storage === "sidecar"
      ? {
          location: newSidecarLocation(put, stored.header),
          text: encodeSidecar(
            await getSidecar(
              config,
              sidecarLocation({ ...put, Key: staged.Key }, stored.header),
              stored.header,
              signal,
            ),
          ),
        }
      : undefined;
  const input: MultipartInput = { ...config, put, target: attempt, transfer, commit };
  return withSidecar(config, { put, sidecar }, transfer, commit, async () => {
    const output = await copy(input, staged, bytes, async () => {
      if (replaced) await requireUnchanged(config, replaced.object, replaced.seen, signal);
    });
    // It is done: no signal ends this any more, which takes its bounded time, and is tried again.
    const { signal: unheard } = new AbortController();
    const look = () => findWritten({ s3, put, signal: unheard }, bytes);
    const found = await look().catch(look);
    if (found) return output;
    throw new EnvelopeError(
      "MIGRATION_UNCONFIRMED",
      `"${fields.Key}" was put in its place, and something else is there: another writer has overwritten it, or the store lies`,
      { details: { bucket: fields.Bucket, key: fields.Key } },
    );
  });
}

interface Described {
  readonly Metadata: Record<string, string>;
  readonly bytes: number;
  readonly stored: StoredEnvelope;
}

async function describe(
  config: ClientConfig,
  { fields, Key, VersionId, ETag }: WrittenObject,
  signal: AbortSignal,
): Promise<Described> {
  const attempt = { operation: "HeadObject", bucket: fields.Bucket ?? "", key: Key };
  const where = { ...objectFields(fields as PutObjectCommandInput), Key, VersionId, IfMatch: ETag };
  const { Metadata = {}, ContentLength } = await headRequest(
    config,
    { ...where, ...customerKeyOf(fields) },
    signal,
  );
  const stored = decodeEnvelope(Metadata);
  if (ContentLength && stored) return { Metadata, bytes: ContentLength, stored };
  throw unusableResponse(attempt, "its answer lacks what was just written");
}

/** Some stores pass conditions over: then this finds at least what has happened in all the time before the last request. */
export async function requireUnchanged(
  config: ClientConfig,
  object: ExistingObject,
  { ETag, LastModified }: SeenObject,
  signal: AbortSignal,
  VersionId?: string,
): Promise<void> {
  const attempt = { operation: "HeadObject", bucket: object.Bucket ?? "", key: object.Key ?? "" };
  const { Bucket, Key, RequestPayer, ExpectedBucketOwner } = object;
  const where = { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner, IfMatch: ETag };
  const head = await headRequest(config, { ...where, ...customerKeyOf(object) }, signal);
  // A store that gives none at all is known by the date alone.
  const isSame =
    (head.ETag ?? ETag) === undefined ||
    isSameETag(requireETag(head, attempt), requireETag({ ETag }, attempt));
  if (isSame && head.LastModified?.getTime() === LastModified?.getTime()) return;
  throw new EnvelopeError(
    "S3_PRECONDITION_FAILED",
    `"${attempt.key}" was overwritten while it was being migrated; the newer object was left as it is`,
    { details: { ...attempt } },
  );
}

/** In parts whatever the size: one way, whose last request takes conditions in more stores than CopyObject does. */
async function copy(
  input: MultipartInput,
  staged: WrittenObject,
  bytes: number,
  beforeCommit: () => Promise<void>,
): Promise<ConfirmedWriteOutput> {
  const uploadId = await createUpload(input);
  try {
    const parts = await copyParts(input, uploadId, staged, bytes);
    await beforeCommit();
    return await commitUpload(input, uploadId, parts);
  } catch (error) {
    throw await discardUpload(input, uploadId, error);
  }
}

async function copyParts(
  input: MultipartInput,
  uploadId: string,
  staged: WrittenObject,
  bytes: number,
): Promise<StoredPart[]> {
  const { transfer, maxConcurrentParts } = input;
  const partBytes = Math.max(copiedBytes, Math.ceil(bytes / maxParts));
  const count = Math.ceil(bytes / partBytes);
  const parts: StoredPart[] = [];
  await forEachConcurrently(new Array(count).keys(), maxConcurrentParts, transfer, async (index) => {
    const start = index * partBytes;
    const end = Math.min(bytes, start + partBytes);
    // S3 copies no range of an object of up to 5 MB.
    const range = count === 1 ? undefined : `bytes=${start}-${end - 1}`;
    const part = await copyPart(input, uploadId, staged, index + 1, range);
    parts.push({ ...part, size: end - start });
  });
  return parts;
}

async function copyPart(
  { s3, put, target, transfer }: MultipartInput,
  UploadId: string,
  { fields, Key, ETag, VersionId }: WrittenObject,
  PartNumber: number,
  CopySourceRange: string | undefined,
): Promise<Omit<StoredPart, "size">> {
  // An access point that is named by its ARN.
  const prefix = fields.Bucket?.startsWith("arn:") ? `${fields.Bucket}/object` : fields.Bucket;
  const source = `${prefix}/${encodeURIComponent(Key)}`;
  const { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 } = fields;
  const command = guarded(
    new UploadPartCopyCommand({
      ...objectFields(put),
      ...customerKeyOf(put),
      ExpectedSourceBucketOwner: put.ExpectedBucketOwner,
      CopySource: VersionId === undefined ? source : `${source}?versionId=${VersionId}`,
      CopySourceIfMatch: conditionOf(ETag),
      CopySourceRange,
      CopySourceSSECustomerAlgorithm: SSECustomerAlgorithm,
      CopySourceSSECustomerKey: SSECustomerKey,
      CopySourceSSECustomerKeyMD5: SSECustomerKeyMD5,
      UploadId,
      PartNumber,
    }),
    { hasDates: true },
  );
  const asked = { ...target, operation: "UploadPartCopy" };
  const { CopyPartResult = {} } = await s3Request(asked, transfer.signal, (options) =>
    s3.send(command, options),
  );
  return {
    PartNumber,
    ETag: conditionOf(requireETag(CopyPartResult, asked)),
    checksums: checksumsOf(CopyPartResult as never),
  };
}

/** Whether a place holds the copy or still what it held: then nothing needs the staged object any more. */
export async function isSettled(
  { s3 }: ClientConfig,
  { fields, staged, replaced }: Replacement,
): Promise<boolean> {
  const read = (object: {
    Key: string;
    VersionId?: string | undefined;
  }): Promise<HeadObjectCommandOutput> => {
    const { Bucket, RequestPayer, ExpectedBucketOwner } = fields;
    const where = { Bucket, RequestPayer, ExpectedBucketOwner, ...object, ...customerKeyOf(fields) };
    return withinTime((options) => s3.send(guarded(new HeadObjectCommand(where)), options));
  };
  try {
    const here = await read({ Key: fields.Key });
    if (
      replaced?.seen.ETag !== undefined &&
      here.ETag !== undefined &&
      isSameETag(here.ETag, replaced.seen.ETag)
    )
      return true;
    const { Metadata } = await read({ Key: staged.Key, VersionId: staged.VersionId });
    const salt = here.Metadata?.[names.salt];
    return salt !== undefined && salt === Metadata?.[names.salt];
  } catch {
    return false;
  }
}
