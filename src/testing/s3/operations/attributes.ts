/** GetObjectAttributes of the in-process S3. */

import { requireCustomerKey } from "../request/encryption.js";
import { storageClassOf } from "../request/object-headers.js";
import { firstPage, type Operations, wholeNumber, xml } from "../request/operation.js";
import { versionHeader } from "../request/tagging.js";
import type { StoredObject } from "../storage/versions.js";
import { checksumElement } from "../wire/checksums.js";
import { s3Fault } from "../wire/s3-fault.js";
import { element, group, xmlDocument } from "../wire/xml.js";

type Headers = Readonly<Record<string, string>>;

const maxParts = 1000;

/** The XML of each attribute. */
const attributes: Readonly<Record<string, (object: StoredObject, headers: Headers) => string>> = {
  ETag: ({ etag }) => element("ETag", etag.replaceAll('"', "")),
  Checksum: ({ checksum: { algorithm, value, type } }) =>
    group("Checksum", [
      element(checksumElement(algorithm), value.replace(/-\d+$/, "")),
      element("ChecksumType", type),
    ]),
  ObjectParts: (object, headers) => (object.parts ? objectParts(object, headers) : ""),
  StorageClass: (object) => element("StorageClass", storageClassOf(object)),
  ObjectSize: ({ size }) => element("ObjectSize", size),
};

export const attributeOperations: Operations = {
  GetObjectAttributes(call) {
    const { store, request, bucket, key } = call;
    const wanted = (request.headers["x-amz-object-attributes"] ?? "").split(",").map((name) => name.trim());
    if (!wanted.every((name) => Object.hasOwn(attributes, name))) {
      throw s3Fault("InvalidArgument", "Invalid attribute name specified");
    }
    const object = store.object(bucket, key, request.query.get("versionId"));
    requireCustomerKey(object.headers, request.headers);
    const elements = Object.entries(attributes).map(([name, toElement]) =>
      wanted.includes(name) ? toElement(object, request.headers) : "",
    );
    return {
      status: 200,
      headers: { ...xml, "last-modified": object.modified.toUTCString(), ...versionHeader(call, object) },
      body: [xmlDocument("GetObjectAttributesResponse", elements)],
    };
  },
};

/** Lists the parts only of a composite, where each part has a checksum of its own. */
function objectParts({ parts = [], checksum }: StoredObject, headers: Headers): string {
  const count = element("PartsCount", parts.length);
  if (checksum.type !== "COMPOSITE") return group("ObjectParts", [count]);
  const marker = wholeNumber(headers["x-amz-part-number-marker"] ?? "0");
  const limit = wholeNumber(headers["x-amz-max-parts"] ?? String(maxParts));
  if (Number.isNaN(marker) || Number.isNaN(limit)) {
    throw s3Fault("InvalidArgument", "max-parts and part-number-marker must be whole numbers");
  }
  const numbered = parts.map((part, index) => ({ ...part, number: index + 1 }));
  const { page, truncated } = firstPage(numbered.slice(marker), Math.min(limit, maxParts));
  return group("ObjectParts", [
    count,
    element("PartNumberMarker", marker),
    element("NextPartNumberMarker", page.at(-1)?.number ?? 0),
    element("MaxParts", limit),
    element("IsTruncated", truncated),
    ...page.map((part) =>
      group("Part", [
        element("PartNumber", part.number),
        element("Size", part.size),
        element(checksumElement(checksum.algorithm), part.checksum),
      ]),
    ),
  ]);
}
