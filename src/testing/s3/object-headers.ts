/** Headers that an object keeps, and those it is answered with. */
import type { ServiceRequest } from "../service.js";
import { checksumHeaders } from "./checksums.js";
import type { StoredObject } from "./object-store.js";
import { s3Fault } from "./s3-fault.js";

type Headers = Readonly<Record<string, string>>;

const maxMetadataBytes = 2048;
const metadataPrefix = "x-amz-meta-";
const encryption = "x-amz-server-side-encryption";
const customerAlgorithm = `${encryption}-customer-algorithm`;
const customerKeyMd5 = `${encryption}-customer-key-md5`;
const storageClass = "x-amz-storage-class";
const redirect = "x-amz-website-redirect-location";
/** What tells how S3 itself encrypts; the key of SSE-C is not among it. */
const encryptionNames = [
  encryption,
  `${encryption}-aws-kms-key-id`,
  `${encryption}-bucket-key-enabled`,
  `${encryption}-context`,
  customerAlgorithm,
  customerKeyMd5,
];
/** What a copy takes from its source. */
const contentNames = [
  "content-type",
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "expires",
];
/** What a copy takes from its own request. */
const placementNames = [...encryptionNames, storageClass, redirect];
const storageClasses = [
  "STANDARD",
  "REDUCED_REDUNDANCY",
  "STANDARD_IA",
  "ONEZONE_IA",
  "INTELLIGENT_TIERING",
  "GLACIER",
  "DEEP_ARCHIVE",
  "OUTPOSTS",
  "GLACIER_IR",
  "SNOW",
  "EXPRESS_ONEZONE",
];

/** The headers of a PutObject or CreateMultipartUpload that the object keeps. */
export function objectHeaders({ headers }: ServiceRequest): Record<string, string> {
  return { ...contentHeaders(headers), ...placementHeaders(headers) };
}

/** The headers that a copy keeps: its content's from the source unless they are to be replaced. */
export function copiedHeaders(source: StoredObject, { headers }: ServiceRequest): Record<string, string> {
  const replace = directive(headers, "x-amz-metadata-directive") === "REPLACE";
  return { ...contentHeaders(replace ? headers : source.headers), ...placementHeaders(headers) };
}

/** Whether a copy says that anything of its source shall change. */
export function changesObject({ headers }: ServiceRequest): boolean {
  const replace = directive(headers, "x-amz-metadata-directive") === "REPLACE";
  return replace || placementNames.some((name) => headers[name] !== undefined);
}

/** COPY or REPLACE. */
export function directive(headers: Headers, name: string): "COPY" | "REPLACE" {
  const value = headers[name] ?? "COPY";
  if (value === "COPY" || value === "REPLACE") return value;
  throw s3Fault("InvalidArgument", `Unknown ${name}`);
}

/** Throws unless a reader of an object under a key of the customer's names that key. */
export function requireCustomerKey(stored: Headers, headers: Headers, prefix = ""): void {
  const given = headers[`${prefix}${customerKeyMd5}`];
  if (stored[customerKeyMd5] === given) return;
  throw s3Fault(
    stored[customerKeyMd5] !== undefined && given !== undefined ? "AccessDenied" : "InvalidRequest",
    "The object was stored using a form of Server Side Encryption, or none, that the request does not state.",
  );
}

/** The headers that tell how S3 itself encrypts an object. */
export function encryptionHeaders(headers: Headers): Record<string, string> {
  return pick(headers, encryptionNames);
}

/** The headers of an answer that carries an object or tells of it. */
export function answerHeaders(
  object: StoredObject,
  request: ServiceRequest,
  whole: boolean,
): Record<string, string> {
  const headers: Record<string, string> = {
    ...object.headers,
    etag: object.etag,
    "last-modified": object.modified.toUTCString(),
    "accept-ranges": "bytes",
  };
  if (headers[storageClass] === "STANDARD") delete headers[storageClass];
  const tags = Object.keys(object.tags).length;
  if (tags > 0) headers["x-amz-tagging-count"] = String(tags);
  if (whole && request.headers["x-amz-checksum-mode"] === "ENABLED") {
    Object.assign(headers, checksumHeaders(object.checksum));
  }
  for (const [name, value] of request.query) {
    if (name.startsWith("response-")) headers[name.slice("response-".length)] = value;
  }
  return headers;
}

/** The storage class of an object. */
export function storageClassOf({ headers }: StoredObject): string {
  return headers[storageClass] ?? "STANDARD";
}

function contentHeaders(headers: Headers): Record<string, string> {
  const stored: Record<string, string> = {
    "content-type": "binary/octet-stream",
    ...pick(headers, contentNames),
  };
  let metadataBytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(metadataPrefix)) continue;
    metadataBytes += Buffer.byteLength(name) - metadataPrefix.length + Buffer.byteLength(value);
    stored[name] = value;
  }
  if (metadataBytes > maxMetadataBytes) {
    throw s3Fault("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size");
  }
  const encodings = (stored["content-encoding"] ?? "").split(",").map((one) => one.trim());
  const encoding = encodings.filter((one) => one !== "" && one !== "aws-chunked").join(", ");
  if (encoding !== "") stored["content-encoding"] = encoding;
  else delete stored["content-encoding"];
  return stored;
}

function placementHeaders(headers: Headers): Record<string, string> {
  const placed = pick(headers, placementNames);
  const stated = placed[storageClass];
  if (stated !== undefined && !storageClasses.includes(stated)) {
    throw s3Fault("InvalidStorageClass", "The storage class you specified is not valid");
  }
  const method = placed[encryption];
  if (method !== undefined && !["AES256", "aws:kms", "aws:kms:dsse"].includes(method)) {
    throw s3Fault("InvalidArgument", "The encryption method specified is not supported");
  }
  // S3 encrypts every object, under keys of its own unless told otherwise.
  if (method === undefined && placed[customerAlgorithm] === undefined) placed[encryption] = "AES256";
  return placed;
}

function pick(headers: Headers, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}
