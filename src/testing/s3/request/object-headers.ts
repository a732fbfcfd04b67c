/** Headers that are stored with an object, and response headers. */
import type { ServiceRequest } from "../../service.js";
import type { StoredObject } from "../storage/versions.js";
import { checksumHeaders, type StoredChecksum } from "../wire/checksums.js";
import { s3Fault } from "../wire/s3-fault.js";
import { encryptionNames, requestedEncryption } from "./encryption.js";
import { pickHeaders } from "./operation.js";

type Headers = Readonly<Record<string, string>>;

const maxMetadataBytes = 2048;
const metadataPrefix = "x-amz-meta-";
const storageClass = "x-amz-storage-class";
const redirect = "x-amz-website-redirect-location";
/** Headers that a copy takes from its source, and that a reader can override. */
export const contentNames = [
  "content-type",
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "expires",
];
/** Headers that a copy takes from its own request. */
const placementNames = [...encryptionNames, storageClass, redirect];
/** Storage classes whose objects cannot be read directly. */
const archives = ["GLACIER", "DEEP_ARCHIVE"];
/** The storage classes of a general-purpose bucket. */
const storageClasses = [
  "STANDARD",
  "REDUCED_REDUNDANCY",
  "STANDARD_IA",
  "ONEZONE_IA",
  "INTELLIGENT_TIERING",
  "GLACIER_IR",
  ...archives,
];

/** The headers of a PutObject or CreateMultipartUpload request that are stored with the object. */
export function objectHeaders({ headers }: ServiceRequest): Record<string, string> {
  return { ...contentHeaders(headers), ...placementHeaders(headers) };
}

/** The headers stored with a copy: those of the content come from the source unless they are replaced. */
export function copiedHeaders(source: StoredObject, { headers }: ServiceRequest): Record<string, string> {
  const replace = directive(headers, "x-amz-metadata-directive") === "REPLACE";
  return { ...contentHeaders(replace ? headers : source.headers), ...placementHeaders(headers) };
}

/** Whether a copy changes anything of its source. */
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

/** Throws if an object must be restored before it can be read. */
export function requireReadable(object: StoredObject): void {
  if (!archives.includes(storageClassOf(object))) return;
  throw s3Fault("InvalidObjectState", "The operation is not valid for the object's storage class");
}

/**
 * The headers of a response with an object or its metadata.
 *
 * @param checksum the checksum of the bytes in the response, if it is known
 */
export function responseHeaders(
  object: StoredObject,
  request: ServiceRequest,
  checksum: StoredChecksum | undefined,
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
  if (checksum && request.headers["x-amz-checksum-mode"] === "ENABLED") {
    Object.assign(headers, checksumHeaders(checksum));
  }
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(metadataPrefix)) headers[name] = encodedWord(value);
  }
  return { ...headers, ...overridingHeaders(request) };
}

/** The storage class of an object, or of the object that an upload will create. */
export function storageClassOf({ headers }: { readonly headers: Headers }): string {
  return headers[storageClass] ?? "STANDARD";
}

/** The headers that a reader overrides. */
function overridingHeaders({ query }: ServiceRequest): Record<string, string> {
  const overriding: Record<string, string> = {};
  for (const name of contentNames) {
    const value = query.get(`response-${name}`);
    if (value === undefined) continue;
    if (/[\p{Cc}\u{100}-\u{10ffff}]/u.test(value)) {
      throw s3Fault("InvalidArgument", "Header value cannot be represented using ISO-8859-1.");
    }
    overriding[name] = value;
  }
  return overriding;
}

/**
 * A value as S3 returns it: an encoded word of RFC 2047 unless it is ASCII. Each received byte counts as a
 * character.
 */
function encodedWord(value: string): string {
  return /[^\t -~]/.test(value) ? `=?UTF-8?B?${Buffer.from(value).toString("base64")}?=` : value;
}

function contentHeaders(headers: Headers): Record<string, string> {
  const stored: Record<string, string> = {
    "content-type": "binary/octet-stream",
    ...pickHeaders(headers, contentNames),
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
  const placed = pickHeaders(headers, [storageClass, redirect]);
  const stated = placed[storageClass];
  if (stated !== undefined && !storageClasses.includes(stated)) {
    throw s3Fault("InvalidStorageClass", "The storage class you specified is not valid");
  }
  return { ...placed, ...requestedEncryption(headers) };
}
