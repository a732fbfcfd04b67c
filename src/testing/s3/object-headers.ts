/** Headers that an object keeps, and those it is answered with. */
import type { ServiceRequest } from "../service.js";
import type { StoredObject } from "./object-store.js";
import { s3Fault } from "./s3-fault.js";

const maxMetadataBytes = 2048;
const metadataPrefix = "x-amz-meta-";
const kept = new Set([
  "content-type",
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "expires",
  "x-amz-storage-class",
  "x-amz-server-side-encryption",
  "x-amz-server-side-encryption-aws-kms-key-id",
  "x-amz-server-side-encryption-bucket-key-enabled",
  "x-amz-website-redirect-location",
]);

/** The headers of a PutObject or CreateMultipartUpload that the object keeps. */
export function objectHeaders({ headers }: ServiceRequest): Record<string, string> {
  const stored: Record<string, string> = { "content-type": "binary/octet-stream" };
  let metadataBytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(metadataPrefix)) {
      metadataBytes += Buffer.byteLength(name) - metadataPrefix.length + Buffer.byteLength(value);
      stored[name] = value;
    } else if (kept.has(name)) {
      stored[name] = value;
    }
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
  if (object.checksum && whole && request.headers["x-amz-checksum-mode"] === "ENABLED") {
    headers[`x-amz-checksum-${object.checksum.algorithm}`] = object.checksum.value;
    headers["x-amz-checksum-type"] = object.checksum.value.includes("-") ? "COMPOSITE" : "FULL_OBJECT";
  }
  for (const [name, value] of request.query) {
    if (name.startsWith("response-")) headers[name.slice("response-".length)] = value;
  }
  return headers;
}
