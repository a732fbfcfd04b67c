/** The operations of the in-process S3 for multipart uploads. */
import { createHash } from "node:crypto";
import type { ServiceRequest } from "../../service.js";
import { requireWriteConditions } from "../request/conditions.js";
import { malformedXml, readDocument } from "../request/documents.js";
import {
  encryptionHeaders,
  etagOf,
  requireUploadKey,
  writerEncryptionHeaders,
} from "../request/encryption.js";
import { objectHeaders } from "../request/object-headers.js";
import { type Operations, partNumber, requestedAlgorithm, wholeNumber, xml } from "../request/operation.js";
import { declaredChecksum, readPayload } from "../request/payload.js";
import { taggedBy, versionHeader } from "../request/tagging.js";
import type { StoredPart, StoredUpload, UploadTerms } from "../storage/upload-store.js";
import {
  checksumElement,
  checksumHeaders,
  checksumTypes,
  combineChecksums,
  defaultAlgorithm,
  type StoredChecksum,
} from "../wire/checksums.js";
import { s3Fault } from "../wire/s3-fault.js";
import { childrenOf, childText, element, type XmlElement, xmlDocument } from "../wire/xml.js";

const maxObjectBytes = 50 * 1024 ** 4;

export const multipartOperations: Operations = {
  CreateMultipartUpload({ uploads, request, bucket, key }) {
    const headers = objectHeaders(request);
    const tags = taggedBy(request.headers["x-amz-tagging"]);
    const terms = { headers, tags, ...checksumTerms(request) };
    const { id } = uploads.start(bucket, key, terms);
    const result = [element("Bucket", bucket), element("Key", key), element("UploadId", id)];
    const checksumHeader = {
      "x-amz-checksum-algorithm": terms.algorithm.toUpperCase(),
      "x-amz-checksum-type": terms.type,
    };
    return {
      status: 200,
      headers: {
        ...xml,
        ...writerEncryptionHeaders(headers, request),
        ...(terms.declared && checksumHeader),
      },
      body: [xmlDocument("InitiateMultipartUploadResult", result)],
    };
  },

  async UploadPart({ store, uploads, request, bucket, key }) {
    const upload = uploads.find(bucket, key, request.query.get("uploadId"));
    const number = partNumber(request.query.get("partNumber"));
    requireUploadKey(upload.headers, request.headers);
    requireAlgorithm(upload, request);
    const { extent, md5, checksum, stated } = await readPayload(request, store.bytes, upload.algorithm);
    const etag = etagOf(md5, upload.headers);
    const current = () => uploads.find(bucket, key, upload.id);
    try {
      uploads.addPart(current(), { number, extent, etag, checksum, stated, modified: new Date() });
    } catch (error) {
      store.bytes.remove([extent]);
      throw error;
    }
    const echoed = stated ? { [`x-amz-checksum-${stated.algorithm}`]: stated.value } : {};
    return { status: 200, headers: { etag, ...encryptionHeaders(upload.headers), ...echoed } };
  },

  async CompleteMultipartUpload(call) {
    const { store, uploads, request, bucket, key, minPartBytes } = call;
    const document = await readDocument(request, "CompleteMultipartUpload", { verifyChecksums: false });
    const upload = uploads.find(bucket, key, request.query.get("uploadId"));
    const parts = completedParts(document, upload);
    if (parts.slice(0, -1).some(({ extent }) => extent.size < minPartBytes)) {
      throw s3Fault("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size");
    }
    requireConsecutive(upload, parts);
    const size = parts.reduce((sum, { extent }) => sum + extent.size, 0);
    requireSize(request, size);
    requireWriteConditions(request.headers, store.current(bucket, key));
    const md5s = parts.map(({ etag }) => Buffer.from(etag.slice(1, -1), "hex"));
    const etag = `"${createHash("md5").update(Buffer.concat(md5s)).digest("hex")}-${parts.length}"`;
    const { algorithm, type, headers, tags } = upload;
    const sums = parts.map(({ extent, checksum }) => ({ size: extent.size, value: checksum }));
    const checksum = combineChecksums(algorithm, type, sums);
    requireChecksum(request, checksum);
    const object = uploads.complete(upload, {
      size,
      extents: parts.map(({ extent }) => extent),
      etag,
      headers,
      tags,
      checksum,
      parts: sums.map((part) => ({ size: part.size, checksum: part.value })),
    });
    const result = [
      element("Location", request.url),
      element("Bucket", bucket),
      element("Key", key),
      element("ETag", etag),
      element(checksumElement(algorithm), checksum.value),
      element("ChecksumType", type),
    ];
    return {
      status: 200,
      headers: { ...xml, ...versionHeader(call, object), ...encryptionHeaders(headers) },
      body: [xmlDocument("CompleteMultipartUploadResult", result)],
    };
  },

  AbortMultipartUpload({ uploads, request, bucket, key }) {
    uploads.abort(uploads.find(bucket, key, request.query.get("uploadId")));
    return { status: 204 };
  },
};

/** The checksum of the object that an upload will create. */
function checksumTerms(request: ServiceRequest): Pick<UploadTerms, "algorithm" | "type" | "declared"> {
  const named = requestedAlgorithm(request);
  const algorithm = named ?? defaultAlgorithm;
  const types = checksumTypes(algorithm);
  const stated = request.headers["x-amz-checksum-type"];
  if (stated !== undefined && named === undefined) {
    throw s3Fault(
      "InvalidRequest",
      "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
    );
  }
  const type = stated === undefined ? types[0] : types.find((one) => one === stated);
  if (type) return { algorithm, type, declared: named !== undefined };
  throw s3Fault(
    "InvalidRequest",
    `The ${stated} checksum type cannot be used with the ${algorithm} checksum algorithm.`,
  );
}

/**
 * An upload that named its algorithm accepts parts with that one only; a composite requires it of each part.
 */
function requireAlgorithm(upload: StoredUpload, { headers }: ServiceRequest): void {
  const actual = declaredChecksum(headers)?.algorithm;
  if (!upload.declared || actual === upload.algorithm) return;
  if (actual === undefined && upload.type === "FULL_OBJECT") return;
  throw s3Fault(
    "InvalidRequest",
    `Checksum Type mismatch occurred, expected checksum Type: ${upload.algorithm}, actual checksum Type: ${actual ?? "null"}`,
  );
}

function completedParts(document: XmlElement, upload: StoredUpload): StoredPart[] {
  const items = childrenOf(document, "Part");
  if (items.length === 0) throw malformedXml();
  let previous = 0;
  return items.map((item) => {
    const number = wholeNumber(childText(item, "PartNumber"));
    if (Number.isNaN(number)) throw malformedXml();
    if (!(number > previous))
      throw s3Fault("InvalidPartOrder", "The list of parts was not in ascending order");
    previous = number;
    const part = upload.parts.get(number);
    const etag = childText(item, "ETag");
    if (!part || (etag !== part.etag && `"${etag}"` !== part.etag) || !sumsAgree(item, part, upload)) {
      throw s3Fault(
        "InvalidPart",
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
      );
    }
    const demanded = upload.declared && upload.type === "COMPOSITE";
    if (demanded && childText(item, checksumElement(upload.algorithm)) === undefined) {
      throw s3Fault(
        "InvalidRequest",
        `The upload was created using a ${upload.algorithm} checksum. The complete request must include the checksum for each part. It was missing for part ${number} in the request.`,
      );
    }
    return part;
  });
}

/** Whether the stated checksums of a part match the stored ones; others are unknown. */
function sumsAgree(item: XmlElement, { checksum, stated }: StoredPart, { algorithm }: StoredUpload): boolean {
  const known = [{ algorithm, value: checksum }, ...(stated ? [stated] : [])];
  return item.children
    .filter(({ name }) => name.startsWith("Checksum"))
    .every(({ name, text }) =>
      known.some((one) => checksumElement(one.algorithm) === name && one.value === text),
    );
}

function requireSize({ headers }: ServiceRequest, size: number): void {
  const stated = headers["x-amz-mp-object-size"];
  if (stated !== undefined && Number(stated) !== size) {
    throw s3Fault("InvalidRequest", `x-amz-mp-object-size is ${stated}, the parts have ${size} bytes`);
  }
  if (size > maxObjectBytes) throw s3Fault("EntityTooLarge", "Your proposed upload exceeds the maximum size");
}

/** Parts of a composite must be numbered 1, 2, 3 and so on; S3 documents no better error. */
function requireConsecutive({ type }: StoredUpload, parts: readonly StoredPart[]): void {
  if (type === "FULL_OBJECT" || parts.every(({ number }, index) => number === index + 1)) return;
  throw s3Fault("InternalError", "We encountered an internal error. Please try again.");
}

/** A completion may state the checksum of the object, and its type. */
function requireChecksum({ headers }: ServiceRequest, checksum: StoredChecksum): void {
  const type = headers["x-amz-checksum-type"];
  if (type !== undefined && type !== checksum.type) {
    const message = `The upload was created using the ${checksum.type} checksum mode. The complete request must use the same checksum mode.`;
    throw s3Fault("BadDigest", message);
  }
  const [name = ""] = Object.keys(checksumHeaders(checksum));
  const stated = headers[name];
  if (stated !== undefined && stated !== checksum.value) {
    throw s3Fault("BadDigest", `The ${name} you specified did not match the calculated checksum.`);
  }
}
