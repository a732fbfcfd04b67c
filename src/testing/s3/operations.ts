/** The operations of the in-process S3 on buckets and objects. */
import type { ServiceRequest, ServiceResponse } from "../service.js";
import { requestedRange, requireReadConditions, requireWriteConditions } from "./conditions.js";
import { answerHeaders, objectHeaders } from "./object-headers.js";
import { type ObjectStore, slicePieces } from "./object-store.js";
import { readPayload } from "./payload.js";
import { s3Fault } from "./s3-fault.js";
import { element, group, xmlDocument } from "./xml.js";

/** What an operation works with. */
export interface Call {
  readonly store: ObjectStore;
  readonly request: ServiceRequest;
  readonly bucket: string;
  readonly key: string;
  readonly minPartBytes: number;
  readonly discardBodies: boolean;
}

/** One operation. */
export type Operation = (call: Call) => ServiceResponse | Promise<ServiceResponse>;

export const xml = { "content-type": "application/xml" };
const maxListed = 1000;

/** The number that a parameter writes in digits; NaN for anything else. */
export function wholeNumber(text: string | undefined): number {
  return /^\d+$/.test(text ?? "") ? Number(text) : Number.NaN;
}

export const objectOperations: Readonly<Record<string, Operation>> = {
  CreateBucket({ store, bucket }) {
    store.create(bucket);
    return { status: 200, headers: { location: `/${bucket}` } };
  },

  HeadBucket({ store, bucket }) {
    store.bucket(bucket);
    return { status: 200 };
  },

  async PutObject({ store, request, bucket, key, discardBodies }) {
    const { objects } = store.bucket(bucket);
    const headers = objectHeaders(request);
    requireWriteConditions(request.headers, objects.get(key));
    const { pieces, size, md5, checksum } = await readPayload(request, discardBodies);
    requireWriteConditions(request.headers, objects.get(key));
    const etag = `"${md5.toString("hex")}"`;
    objects.set(key, { pieces, size, etag, headers, checksum, modified: new Date() });
    const echoed = checksum ? { [`x-amz-checksum-${checksum.algorithm}`]: checksum.value } : {};
    return { status: 200, headers: { etag, ...encryptionHeaders(headers), ...echoed } };
  },

  GetObject: (call) => readObject(call, true),
  HeadObject: (call) => readObject(call, false),

  DeleteObject({ store, bucket, key }) {
    store.bucket(bucket).objects.delete(key);
    return { status: 204 };
  },

  ListObjectsV2({ store, request: { query }, bucket }) {
    const prefix = query.get("prefix") ?? "";
    const delimiter = query.get("delimiter") ?? "";
    const after = query.get("continuation-token") ?? query.get("start-after") ?? "";
    const limit = pageSize(query, "max-keys");
    const { objects } = store.bucket(bucket);
    const keys = [...objects.keys()]
      .filter((key) => key.startsWith(prefix) && byBytes(key, after) > 0)
      .sort(byBytes);
    const shown = new Map<string, string>();
    let last = "";
    let truncated = false;
    for (const key of keys) {
      const cut = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
      const common = cut < 0 ? undefined : key.slice(0, cut + delimiter.length);
      const entry = common ?? key;
      if (!shown.has(entry) && common !== after) {
        if (shown.size === limit) {
          truncated = limit > 0;
          break;
        }
        shown.set(entry, common === undefined ? listedObject(key, objects.get(key)) : commonPrefix(common));
      }
      last = key;
    }
    const listing = [
      element("Name", bucket),
      element("Prefix", prefix),
      element("KeyCount", shown.size),
      element("MaxKeys", limit),
      element("IsTruncated", truncated),
      ...(truncated ? [element("NextContinuationToken", last)] : []),
      ...shown.values(),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListBucketResult", listing)] };
  },
};

/** How many entries one answer of a listing has at most. */
export function pageSize(query: ReadonlyMap<string, string>, parameter: string): number {
  const stated = wholeNumber(query.get(parameter) ?? String(maxListed));
  if (Number.isNaN(stated)) throw s3Fault("InvalidArgument", `${parameter} must be a whole number`);
  return Math.min(stated, maxListed);
}

/** The headers that tell how S3 itself encrypts an object. */
export function encryptionHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.startsWith("x-amz-server-side-encryption")),
  );
}

function readObject(
  { store, request, bucket, key, discardBodies }: Call,
  withBody: boolean,
): ServiceResponse {
  const object = store.object(bucket, key);
  requireReadConditions(request.headers, object);
  const range = requestedRange(request.headers, object.size);
  const { start, end } = range ?? { start: 0, end: object.size };
  if (withBody && discardBodies)
    throw s3Fault("NotImplemented", "bodies are discarded, so there are none to read");
  const headers = {
    ...answerHeaders(object, request, range === undefined),
    "content-length": String(end - start),
    ...(range && { "content-range": `bytes ${start}-${end - 1}/${object.size}` }),
  };
  return { status: range ? 206 : 200, headers, body: withBody ? slicePieces(object, start, end) : [] };
}

function listedObject(
  key: string,
  object: { etag: string; size: number; modified: Date } | undefined,
): string {
  return group("Contents", [
    element("Key", key),
    element("LastModified", object?.modified.toISOString()),
    element("ETag", object?.etag),
    element("Size", object?.size),
    element("StorageClass", "STANDARD"),
  ]);
}

function commonPrefix(prefix: string): string {
  return group("CommonPrefixes", [element("Prefix", prefix)]);
}

/** The order of keys in S3. */
export function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
