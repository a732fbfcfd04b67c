/** The fields of the AWS SDK's inputs that belong to each request of a write, and fields of outputs that would mislead. */
import type {
  AbortMultipartUploadCommandInput,
  CompletedPart,
  CompleteMultipartUploadCommandInput,
  HeadObjectCommandInput,
  PutObjectCommandInput,
  UploadPartCommandInput,
  UploadPartCommandOutput,
} from "@aws-sdk/client-s3";
import { objectArgument, textArgument } from "../base/arguments.js";
import type { sentBytesNames } from "../fields/sdk-names.js";
import { sidecarFieldNames } from "../fields/sdk-names.js";
import type { RequestTarget } from "./errors.js";

/** Fields of PutObject that describe the bytes sent, which are not the caller's. */
export type RefusedPutField = (typeof sentBytesNames)[number];

/** Throws when an input has a field that this call does not support. */
export function refuseFields(input: object, fields: readonly string[], why: string): void {
  for (const field of fields) {
    if ((input as Record<string, unknown>)[field] !== undefined) throw new TypeError(`${field}: ${why}`);
  }
}

/** Checks Bucket and Key of an input. */
export function targetArgument(operation: string, input: unknown): RequestTarget {
  const { Bucket, Key } = objectArgument("input", input);
  return { operation, bucket: textArgument("Bucket", Bucket), key: textArgument("Key", Key) };
}

type PutFields = Omit<PutObjectCommandInput, "Body" | "ContentLength" | "IfMatch" | "IfNoneMatch">;

/** The fields of a PutObject for CreateMultipartUpload: all but the conditions, which belong to the completion. */
export function createFields(input: PutObjectCommandInput): PutFields {
  const { Body: _body, ContentLength: _length, IfMatch: _match, IfNoneMatch: _noneMatch, ...fields } = input;
  return fields;
}

type ObjectFields = Pick<
  AbortMultipartUploadCommandInput,
  "Bucket" | "Key" | "RequestPayer" | "ExpectedBucketOwner"
>;

/** The fields of a PutObject for every other request about the object. */
export function objectFields(input: PutObjectCommandInput): ObjectFields {
  return {
    Bucket: input.Bucket,
    Key: input.Key,
    RequestPayer: input.RequestPayer,
    ExpectedBucketOwner: input.ExpectedBucketOwner,
  };
}

/** The fields that GetObject and HeadObject of the same object share, without conditions. */
export type ReadFields = Pick<
  HeadObjectCommandInput,
  | "Bucket"
  | "Key"
  | "VersionId"
  | "RequestPayer"
  | "ExpectedBucketOwner"
  | "SSECustomerAlgorithm"
  | "SSECustomerKey"
  | "SSECustomerKeyMD5"
>;

export type SidecarField = (typeof sidecarFieldNames)[number];

/**
 * The fields of an object's PutObject for that of its sidecar. Not the storage class, as readers need a sidecar at once; not
 * a customer-provided key, as a sidecar has no secret and `head` has no such key.
 */
export function sidecarFields(input: PutObjectCommandInput): Pick<PutObjectCommandInput, SidecarField> {
  return Object.fromEntries(sidecarFieldNames.map((name) => [name, input[name]]));
}

type CustomerKey = Pick<
  PutObjectCommandInput,
  "SSECustomerAlgorithm" | "SSECustomerKey" | "SSECustomerKeyMD5"
>;

/** The customer-provided key (SSE-C), which every request about the content of the object needs. */
export function customerKeyOf(fields: CustomerKey): CustomerKey {
  const { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 } = fields;
  return { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 };
}

type PartFields = Omit<UploadPartCommandInput, "Body" | "PartNumber" | "UploadId">;

/** The fields of a PutObject for UploadPart. */
export function partFields(input: PutObjectCommandInput): PartFields {
  return {
    ...objectFields(input),
    ChecksumAlgorithm: input.ChecksumAlgorithm,
    ...customerKeyOf(input),
  };
}

type CompleteFields = Omit<
  CompleteMultipartUploadCommandInput,
  "MultipartUpload" | "MpuObjectSize" | "UploadId"
>;

/** The fields of a PutObject for CompleteMultipartUpload. */
export function completeFields(input: PutObjectCommandInput): CompleteFields {
  const { ChecksumAlgorithm: _algorithm, ...fields } = partFields(input);
  return { ...fields, IfMatch: input.IfMatch, IfNoneMatch: input.IfNoneMatch };
}

/** The checksums of a part, which CompleteMultipartUpload states again. */
export function checksumsOf(output: UploadPartCommandOutput): Omit<CompletedPart, "PartNumber" | "ETag"> {
  return Object.fromEntries(Object.entries(output).filter(([field]) => isChecksum(field)));
}

/** An output without the checksums, which are those of the ciphertext. */
export function withoutChecksums<T extends object>(output: T): Omit<T, `Checksum${string}`> {
  return Object.fromEntries(Object.entries(output).filter(([field]) => !isChecksum(field))) as Omit<
    T,
    `Checksum${string}`
  >;
}

function isChecksum(field: string): boolean {
  return field.startsWith("Checksum");
}
