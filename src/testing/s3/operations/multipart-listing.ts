/** The listings of unfinished uploads and their parts of the in-process S3. */

import { storageClassOf } from "../request/object-headers.js";
import { firstPage, type Operations, pageSize, wholeNumber, xml } from "../request/operation.js";
import { encoderOf, pageEntries, pageTerms, takePage } from "../request/pages.js";
import { byBytes } from "../storage/order.js";
import type { StoredPart, StoredUpload } from "../storage/upload-store.js";
import { checksumElement } from "../wire/checksums.js";
import { s3Fault } from "../wire/s3-fault.js";
import { element, group, xmlDocument } from "../wire/xml.js";

export const multipartListingOperations: Operations = {
  ListParts({ uploads, request: { query }, bucket, key }) {
    const upload = uploads.find(bucket, key, query.get("uploadId"));
    const limit = pageSize(query, "max-parts");
    const marker = wholeNumber(query.get("part-number-marker") ?? "0");
    if (Number.isNaN(marker)) throw s3Fault("InvalidArgument", "part-number-marker must be a whole number");
    const rest = [...upload.parts.values()]
      .filter(({ number }) => number > marker)
      .sort((left, right) => left.number - right.number);
    const { page, truncated } = firstPage(rest, limit);
    const result = [
      element("Bucket", bucket),
      element("Key", encoderOf(query)(key)),
      element("UploadId", upload.id),
      element("PartNumberMarker", marker),
      ...(truncated ? [element("NextPartNumberMarker", page.at(-1)?.number)] : []),
      element("MaxParts", limit),
      element("IsTruncated", truncated),
      element("StorageClass", storageClassOf(upload)),
      ...declaredTerms(upload),
      ...page.map((part) => listedPart(part, upload)),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListPartsResult", result)] };
  },

  ListMultipartUploads({ uploads, request: { query }, bucket }) {
    const encode = encoderOf(query);
    const keyMarker = query.get("key-marker") ?? "";
    const idMarker = query.get("upload-id-marker");
    const rest = uploads
      .inBucket(bucket)
      .filter(({ key, id }) => {
        const order = byBytes(key, keyMarker);
        return order > 0 || (order === 0 && idMarker !== undefined && id > idMarker);
      })
      .sort((left, right) => byBytes(left.key, right.key) || byBytes(left.id, right.id));
    const limit = pageSize(query, "max-uploads");
    const page = takePage(rest, query, limit, keyMarker);
    const last = page.truncated ? page.last : undefined;
    const result = [
      element("Bucket", bucket),
      element("KeyMarker", encode(keyMarker)),
      element("UploadIdMarker", idMarker ?? ""),
      ...(last ? [element("NextKeyMarker", encode(last.key)), element("NextUploadIdMarker", last.id)] : []),
      ...pageTerms(query),
      element("MaxUploads", limit),
      element("IsTruncated", page.truncated),
      ...pageEntries(page, query, (upload) =>
        group("Upload", [
          element("Key", encode(upload.key)),
          element("UploadId", upload.id),
          element("Initiated", upload.started.toISOString()),
          element("StorageClass", storageClassOf(upload)),
          ...declaredTerms(upload),
        ]),
      ),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListMultipartUploadsResult", result)] };
  },
};

/** The checksum that parts must have, if the writer named one. */
function declaredTerms({ declared, algorithm, type }: StoredUpload): string[] {
  if (!declared) return [];
  return [element("ChecksumAlgorithm", algorithm.toUpperCase()), element("ChecksumType", type)];
}

function listedPart(part: StoredPart, { algorithm, declared }: StoredUpload): string {
  return group("Part", [
    element("PartNumber", part.number),
    element("LastModified", part.modified.toISOString()),
    element("ETag", part.etag),
    element("Size", part.extent.size),
    declared ? element(checksumElement(algorithm), part.checksum) : "",
  ]);
}
