/** The operations of the in-process S3 on multipart uploads. */
import { createHash } from "node:crypto";
import { readSmallBody } from "../service.js";
import { compositeChecksum } from "./checksums.js";
import { requireWriteConditions } from "./conditions.js";
import { objectHeaders } from "./object-headers.js";
import type { StoredPart, StoredUpload } from "./object-store.js";
import { byBytes, encryptionHeaders, type Operation, pageSize, wholeNumber, xml } from "./operations.js";
import { readPayload } from "./payload.js";
import { s3Fault } from "./s3-fault.js";
import { element, group, parseItems, xmlDocument } from "./xml.js";

const maxPartNumber = 10_000;
const maxXmlBytes = 4 * 1024 * 1024;

export const multipartOperations: Readonly<Record<string, Operation>> = {
  CreateMultipartUpload({ store, request, bucket, key }) {
    const headers = objectHeaders(request);
    const { id } = store.startUpload(bucket, key, headers);
    const result = [element("Bucket", bucket), element("Key", key), element("UploadId", id)];
    return {
      status: 200,
      headers: { ...xml, ...encryptionHeaders(headers) },
      body: [xmlDocument("InitiateMultipartUploadResult", result)],
    };
  },

  async UploadPart({ store, request, bucket, key, discardBodies }) {
    const id = request.query.get("uploadId");
    store.upload(bucket, key, id);
    const number = wholeNumber(request.query.get("partNumber"));
    if (!(number >= 1 && number <= maxPartNumber)) {
      throw s3Fault(
        "InvalidArgument",
        `Part number must be an integer between 1 and ${maxPartNumber}, inclusive`,
      );
    }
    const { pieces, size, md5, checksum } = await readPayload(request, discardBodies);
    const etag = `"${md5.toString("hex")}"`;
    store
      .upload(bucket, key, id)
      .parts.set(number, { pieces, size, md5, etag, checksum, modified: new Date() });
    const echoed = checksum ? { [`x-amz-checksum-${checksum.algorithm}`]: checksum.value } : {};
    return { status: 200, headers: { etag, ...echoed } };
  },

  async CompleteMultipartUpload({ store, request, bucket, key, minPartBytes }) {
    const text = (await readSmallBody(request.body, maxXmlBytes)).toString("utf8");
    const upload = store.upload(bucket, key, request.query.get("uploadId"));
    const parts = completedParts(text, upload);
    if (parts.slice(0, -1).some(({ size }) => size < minPartBytes)) {
      throw s3Fault("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size");
    }
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    const stated = request.headers["x-amz-mp-object-size"];
    if (stated !== undefined && Number(stated) !== size) {
      throw s3Fault("InvalidRequest", `x-amz-mp-object-size is ${stated}, the parts have ${size} bytes`);
    }
    const { objects, uploads } = store.bucket(bucket);
    requireWriteConditions(request.headers, objects.get(key));
    const md5 = parts.reduce((hash, part) => hash.update(part.md5), createHash("md5"));
    const etag = `"${md5.digest("hex")}-${parts.length}"`;
    const checksum = compositeChecksum(parts.map((part) => part.checksum));
    const { headers } = upload;
    const pieces = parts.flatMap((part) => part.pieces);
    objects.set(key, { pieces, size, etag, headers, checksum, modified: new Date() });
    uploads.delete(upload.id);
    const result = [
      element("Location", `/${bucket}/${key}`),
      element("Bucket", bucket),
      element("Key", key),
      element("ETag", etag),
      checksum ? element(`Checksum${checksum.algorithm.toUpperCase()}`, checksum.value) : "",
    ];
    return {
      status: 200,
      headers: { ...xml, ...encryptionHeaders(headers) },
      body: [xmlDocument("CompleteMultipartUploadResult", result)],
    };
  },

  AbortMultipartUpload({ store, request, bucket, key }) {
    const { id } = store.upload(bucket, key, request.query.get("uploadId"));
    store.bucket(bucket).uploads.delete(id);
    return { status: 204 };
  },

  ListParts({ store, request: { query }, bucket, key }) {
    const { id, parts } = store.upload(bucket, key, query.get("uploadId"));
    const limit = pageSize(query, "max-parts");
    const marker = wholeNumber(query.get("part-number-marker") ?? "0");
    if (Number.isNaN(marker)) throw s3Fault("InvalidArgument", "part-number-marker must be a whole number");
    const rest = [...parts].filter(([number]) => number > marker).sort(([left], [right]) => left - right);
    const { page, truncated } = firstPage(rest, limit);
    const result = [
      element("Bucket", bucket),
      element("Key", key),
      element("UploadId", id),
      element("PartNumberMarker", marker),
      ...(truncated ? [element("NextPartNumberMarker", page.at(-1)?.[0])] : []),
      element("MaxParts", limit),
      element("IsTruncated", truncated),
      ...page.map(([number, part]) => listedPart(number, part)),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListPartsResult", result)] };
  },

  ListMultipartUploads({ store, request: { query }, bucket }) {
    const prefix = query.get("prefix") ?? "";
    const keyMarker = query.get("key-marker") ?? "";
    const idMarker = query.get("upload-id-marker");
    const limit = pageSize(query, "max-uploads");
    const rest = [...store.bucket(bucket).uploads.values()]
      .filter(({ key, id }) => {
        const order = byBytes(key, keyMarker);
        return (
          key.startsWith(prefix) && (order > 0 || (order === 0 && idMarker !== undefined && id > idMarker))
        );
      })
      .sort((left, right) => byBytes(left.key, right.key) || byBytes(left.id, right.id));
    const { page, truncated } = firstPage(rest, limit);
    const last = truncated ? page.at(-1) : undefined;
    const result = [
      element("Bucket", bucket),
      element("KeyMarker", keyMarker),
      element("UploadIdMarker", idMarker ?? ""),
      ...(last ? [element("NextKeyMarker", last.key), element("NextUploadIdMarker", last.id)] : []),
      element("MaxUploads", limit),
      element("IsTruncated", truncated),
      ...page.map(listedUpload),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListMultipartUploadsResult", result)] };
  },
};

function completedParts(text: string, upload: StoredUpload): StoredPart[] {
  const items = parseItems(text, "CompleteMultipartUpload", "Part");
  if (!items?.length || items.some((item) => Number.isNaN(wholeNumber(item.PartNumber)))) {
    throw s3Fault("MalformedXML", "The XML you provided was not well-formed");
  }
  let previous = 0;
  return items.map((item) => {
    const number = Number(item.PartNumber);
    if (!(number > previous))
      throw s3Fault("InvalidPartOrder", "The list of parts was not in ascending order");
    previous = number;
    const part = upload.parts.get(number);
    if (!part || (item.ETag !== part.etag && `"${item.ETag}"` !== part.etag)) {
      throw s3Fault("InvalidPart", "One or more of the specified parts could not be found");
    }
    const { checksum } = part;
    const stated = checksum && item[`Checksum${checksum.algorithm.toUpperCase()}`];
    if (stated !== undefined && stated !== checksum?.value)
      throw s3Fault("InvalidPart", "a part's checksum differs");
    return part;
  });
}

function listedPart(number: number, { etag, size, modified }: StoredPart): string {
  return group("Part", [
    element("PartNumber", number),
    element("LastModified", modified.toISOString()),
    element("ETag", etag),
    element("Size", size),
  ]);
}

function listedUpload({ id, key, started }: StoredUpload): string {
  return group("Upload", [
    element("Key", key),
    element("UploadId", id),
    element("Initiated", started.toISOString()),
  ]);
}

function firstPage<T>(rest: readonly T[], limit: number): { page: readonly T[]; truncated: boolean } {
  return { page: rest.slice(0, limit), truncated: rest.length > limit && limit > 0 };
}
