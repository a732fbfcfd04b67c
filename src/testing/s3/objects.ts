/** The operations of the in-process S3 on single objects, and on many at once. */
import { createHash } from "node:crypto";
import { readSmallBody, ServiceError, type ServiceResponse } from "../service.js";
import { checksumHeaders, startChecksum } from "./checksums.js";
import {
  requestedPart,
  requestedRange,
  requireReadConditions,
  requireWriteConditions,
} from "./conditions.js";
import { answerHeaders, encryptionHeaders, objectHeaders, requireCustomerKey } from "./object-headers.js";
import type { Version } from "./object-store.js";
import { type Call, malformedXml, type Operations, parseDocument, wholeNumber, xml } from "./operation.js";
import { declaredChecksum, readPayload } from "./payload.js";
import { s3Fault } from "./s3-fault.js";
import { taggedBy, versionHeader } from "./tagging.js";
import { childrenOf, childText, element, group, type XmlElement, xmlDocument } from "./xml.js";

const maxDeleted = 1000;
const maxDeleteBytes = 4 * 1024 * 1024;

export const objectOperations: Operations = {
  async PutObject(call) {
    const { store, request, bucket, key } = call;
    const headers = objectHeaders(request);
    const tags = taggedBy(request.headers["x-amz-tagging"]);
    requireWriteConditions(request.headers, store.current(bucket, key));
    const { extent, md5, checksum, stated } = await readPayload(request, store.bytes);
    const etag = `"${md5}"`;
    const stored = {
      algorithm: stated?.algorithm ?? "crc64nvme",
      value: checksum,
      type: "FULL_OBJECT",
    } as const;
    try {
      requireWriteConditions(request.headers, store.current(bucket, key));
    } catch (error) {
      store.bytes.remove([extent]);
      throw error;
    }
    const content = { size: extent.size, extents: [extent], etag, headers, tags, checksum: stored };
    const object = store.put(bucket, key, content);
    return {
      status: 200,
      headers: {
        etag,
        ...versionHeader(call, object),
        ...encryptionHeaders(headers),
        ...checksumHeaders(stored),
      },
    };
  },

  GetObject: (call) => readObject(call, true),
  HeadObject: (call) => readObject(call, false),

  DeleteObject({ store, request, bucket, key }) {
    if (request.headers["if-match"] !== undefined) {
      requireWriteConditions(request.headers, store.current(bucket, key));
    }
    const versionId = request.query.get("versionId");
    const version = store.delete(bucket, key, versionId);
    const named = version?.versionId ?? versionId;
    return {
      status: 204,
      headers: {
        ...(named !== undefined && { "x-amz-version-id": named }),
        ...(version?.deleteMarker && { "x-amz-delete-marker": "true" }),
      },
    };
  },

  async DeleteObjects({ store, request, bucket }) {
    store.requireBucket(bucket);
    const bytes = await readSmallBody(request.body, maxDeleteBytes);
    requireDigest(request.headers, bytes);
    const document = parseDocument(bytes, "Delete");
    const targets = childrenOf(document, "Object");
    if (targets.length === 0 || targets.length > maxDeleted) throw malformedXml();
    const quiet = childText(document, "Quiet") === "true";
    const results = targets.map((target) =>
      deleteOne(target, (key, id) => store.delete(bucket, key, id), quiet),
    );
    return { status: 200, headers: xml, body: [xmlDocument("DeleteResult", results)] };
  },
};

function readObject(call: Call, withBody: boolean): ServiceResponse {
  const { store, request, bucket, key } = call;
  const { query, headers: given } = request;
  const object = store.object(bucket, key, query.get("versionId"));
  requireCustomerKey(object.headers, given);
  requireReadConditions(given, object);
  const part = query.get("partNumber");
  if (part !== undefined && given.range !== undefined) {
    throw s3Fault("InvalidRequest", "Cannot specify both Range header and partNumber query parameter");
  }
  const range =
    part === undefined ? requestedRange(given, object.size) : requestedPart(object, partNumber(part));
  const { start, end } = range ?? { start: 0, end: object.size };
  const shownRange = range && !(part !== undefined && !object.parts);
  const headers = {
    ...answerHeaders(object, request, !shownRange),
    ...versionHeader(call, object),
    "content-length": String(end - start),
    ...(shownRange && end > start && { "content-range": `bytes ${start}-${end - 1}/${object.size}` }),
    ...(part !== undefined && object.parts && { "x-amz-mp-parts-count": String(object.parts.length) }),
  };
  const status = shownRange ? 206 : 200;
  if (!withBody) return { status, headers };
  return { status, headers, stream: store.bytes.open(object.extents, start, end) };
}

/** The number that a request gives a part. */
export function partNumber(text: string | undefined): number {
  const number = wholeNumber(text);
  if (number >= 1 && number <= 10_000) return number;
  throw s3Fault("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive");
}

/** DeleteObjects must say what its body is, or S3 refuses it. */
function requireDigest(headers: Readonly<Record<string, string>>, bytes: Buffer): void {
  const declared = declaredChecksum(headers);
  const md5 = headers["content-md5"];
  if (!declared && md5 === undefined) {
    throw s3Fault("InvalidRequest", "Missing required header for this request: Content-MD5");
  }
  if (md5 !== undefined && createHash("md5").update(bytes).digest("base64") !== md5) {
    throw s3Fault("BadDigest", "Content-MD5");
  }
  const hash = headers["x-amz-content-sha256"] ?? "";
  if (/^[0-9a-f]{64}$/.test(hash) && createHash("sha256").update(bytes).digest("hex") !== hash) {
    throw s3Fault("XAmzContentSHA256Mismatch");
  }
  if (!declared) return;
  const running = startChecksum(declared.algorithm);
  running.update(bytes);
  if (running.digest().toString("base64") !== headers[declared.header])
    throw s3Fault("BadDigest", declared.header);
}

function deleteOne(
  target: XmlElement,
  remove: (key: string, versionId?: string) => Version | undefined,
  quiet: boolean,
): string {
  const key = childText(target, "Key");
  const versionId = childText(target, "VersionId");
  if (key === undefined) throw malformedXml();
  const named = [element("Key", key), element("VersionId", versionId)];
  try {
    const version = remove(key, versionId);
    if (quiet) return "";
    const marker = version?.deleteMarker
      ? [element("DeleteMarker", true), element("DeleteMarkerVersionId", version.versionId)]
      : [];
    return group("Deleted", [...named, ...marker]);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return group("Error", [...named, element("Code", error.code), element("Message", error.message)]);
  }
}
