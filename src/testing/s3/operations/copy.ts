/** The operations of the in-process S3 that read one object and write another. */
import type { ServiceRequest } from "../../service.js";
import { requireCopyConditions, requireWriteConditions } from "../request/conditions.js";
import {
  encryptionHeaders,
  etagOf,
  requireCustomerKey,
  requireUploadKey,
  writerEncryptionHeaders,
} from "../request/encryption.js";
import { changesObject, copiedHeaders, directive, requireReadable } from "../request/object-headers.js";
import { type Call, type Operations, partNumber, requestedAlgorithm, xml } from "../request/operation.js";
import { storeBytes } from "../request/payload.js";
import { taggedBy, versionHeader } from "../request/tagging.js";
import type { StoredObject } from "../storage/versions.js";
import { type ChecksumAlgorithm, checksumElement } from "../wire/checksums.js";
import { s3Fault } from "../wire/s3-fault.js";
import { element, xmlDocument } from "../wire/xml.js";

const maxCopiedBytes = 5 * 1024 ** 3;

export const copyOperations: Operations = {
  async CopyObject(call) {
    const { store, request, bucket, key } = call;
    const { source, versionId } = copySource(call);
    const onItself = source.bucket === bucket && source.key === key && versionId === undefined;
    if (onItself && !changesObject(request)) {
      throw s3Fault(
        "InvalidRequest",
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
      );
    }
    if (source.size > maxCopiedBytes) {
      throw s3Fault("InvalidRequest", "The specified copy source is larger than 5368709120 bytes");
    }
    const headers = copiedHeaders(source, request);
    const retag = directive(request.headers, "x-amz-tagging-directive") === "REPLACE";
    const tags = retag ? taggedBy(request.headers["x-amz-tagging"]) : source.tags;
    requireWriteConditions(request.headers, store.current(bucket, key));
    const algorithm = requestedAlgorithm(request) ?? source.checksum.algorithm;
    const { extent, md5, checksums } = await copyBytes(call, source, 0, source.size, [algorithm]);
    try {
      requireWriteConditions(request.headers, store.current(bucket, key));
    } catch (error) {
      store.bytes.remove([extent]);
      throw error;
    }
    const checksum = { algorithm, value: checksums.get(algorithm) ?? "", type: "FULL_OBJECT" } as const;
    const etag = etagOf(md5, headers);
    const content = { size: extent.size, extents: [extent], etag, headers, tags, checksum };
    const object = store.put(bucket, key, content);
    const result = [
      element("LastModified", object.modified.toISOString()),
      element("ETag", object.etag),
      element(checksumElement(algorithm), checksum.value),
      element("ChecksumType", checksum.type),
    ];
    return {
      status: 200,
      headers: {
        ...xml,
        ...versionHeader(call, object),
        ...sourceVersionHeader(call, source),
        ...writerEncryptionHeaders(headers, request),
      },
      body: [xmlDocument("CopyObjectResult", result)],
    };
  },

  async UploadPartCopy(call) {
    const { store, uploads, request, bucket, key } = call;
    const upload = uploads.find(bucket, key, request.query.get("uploadId"));
    const number = partNumber(request.query.get("partNumber"));
    requireUploadKey(upload.headers, request.headers);
    const { source } = copySource(call);
    const { start, end } = copiedRange(request, source);
    const { extent, md5, checksums } = await copyBytes(call, source, start, end, [upload.algorithm]);
    const etag = etagOf(md5, upload.headers);
    const checksum = checksums.get(upload.algorithm) ?? "";
    const modified = new Date();
    const current = () => uploads.find(bucket, key, upload.id);
    try {
      uploads.addPart(current(), { number, extent, etag, checksum, stated: undefined, modified });
    } catch (error) {
      store.bytes.remove([extent]);
      throw error;
    }
    const result = [
      element("LastModified", modified.toISOString()),
      element("ETag", etag),
      upload.declared ? element(checksumElement(upload.algorithm), checksum) : "",
    ];
    return {
      status: 200,
      headers: { ...xml, ...sourceVersionHeader(call, source), ...encryptionHeaders(upload.headers) },
      body: [xmlDocument("CopyPartResult", result)],
    };
  },
};

function copySource({ store, request }: Call): { source: StoredObject; versionId: string | undefined } {
  const { bucket, key, versionId } = namedSource(request.headers["x-amz-copy-source"] ?? "");
  if (versionId !== undefined && store.version(bucket, key, versionId)?.deleteMarker) {
    throw s3Fault(
      "InvalidRequest",
      "The source of a copy request may not specifically refer to a delete marker by version id.",
    );
  }
  const source = store.object(bucket, key, versionId);
  requireCustomerKey(source.headers, request.headers, "x-amz-copy-source-");
  requireCopyConditions(request.headers, source);
  requireReadable(source);
  return { source, versionId };
}

/**
 * Parses the header that names the source: encoded as a whole or only its key, with or without a leading
 * slash.
 */
function namedSource(header: string): { bucket: string; key: string; versionId: string | undefined } {
  const [encoded = "", versionId] = header.split(/\?versionId=(.*)/s);
  let path: string;
  try {
    path = decodeURIComponent(encoded.replaceAll("+", " "));
  } catch {
    path = "";
  }
  const [bucket = "", key = ""] = path.replace(/^\//, "").split(/\/(.*)/s);
  if (bucket !== "" && key !== "") return { bucket, key, versionId };
  const message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
  throw s3Fault("InvalidArgument", message);
}

function copiedRange({ headers }: ServiceRequest, { size }: StoredObject): { start: number; end: number } {
  const header = headers["x-amz-copy-source-range"];
  if (header === undefined) return { start: 0, end: size };
  const match = /^bytes=(\d+)-(\d+)$/.exec(header);
  const [start, end] = [Number(match?.[1]), Number(match?.[2]) + 1];
  if (!match || end <= start) {
    const message = "The x-amz-copy-source-range value must be of the form bytes=first-last";
    throw s3Fault("InvalidArgument", message);
  }
  if (end > size) {
    throw s3Fault("InvalidArgument", `Range specified is not valid for source object of size: ${size}`);
  }
  return { start, end };
}

async function copyBytes(
  { store }: Call,
  source: StoredObject,
  start: number,
  end: number,
  algorithms: readonly ChecksumAlgorithm[],
): ReturnType<typeof storeBytes> {
  const { pieces, release } = store.bytes.open(source.extents, start, end);
  try {
    return await storeBytes(pieces, store.bytes, { algorithms });
  } finally {
    release();
  }
}

function sourceVersionHeader({ store }: Call, source: StoredObject): Record<string, string> {
  const versioned = store.versioning(source.bucket) !== undefined;
  return versioned ? { "x-amz-copy-source-version-id": source.versionId } : {};
}
