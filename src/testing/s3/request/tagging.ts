/** The tags of objects, and the operations of the in-process S3 on them. */

import type { StoredObject } from "../storage/versions.js";
import { s3Fault } from "../wire/s3-fault.js";
import { childrenOf, childText, element, group, xmlDocument } from "../wire/xml.js";
import { malformedXml, readDocument } from "./documents.js";
import { type Call, type Operations, xml } from "./operation.js";

type Tags = Readonly<Record<string, string>>;

const maxTags = 10;
const allowed = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** The tags in a header, encoded as a query string. */
export function taggedBy(header: string | undefined): Tags {
  const pairs = [...new URLSearchParams(header ?? "")];
  if (new Set(pairs.map(([name]) => name)).size < pairs.length) {
    throw s3Fault(
      "InvalidArgument",
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
    );
  }
  return checkedTags(pairs);
}

export const taggingOperations: Operations = {
  async PutObjectTagging(call) {
    const document = await readDocument(call.request, "Tagging");
    const pairs = childrenOf(childrenOf(document, "TagSet")[0], "Tag").map((tag) => {
      const [name, value] = [childText(tag, "Key"), childText(tag, "Value")];
      if (name === undefined || value === undefined) throw malformedXml();
      return [name, value] as const;
    });
    const object = taggedObject(call);
    call.store.setTags(object, checkedTags(pairs));
    return { status: 200, headers: versionHeader(call, object) };
  },

  GetObjectTagging(call) {
    const object = taggedObject(call);
    const tags = Object.entries(object.tags).map(([name, value]) =>
      group("Tag", [element("Key", name), element("Value", value)]),
    );
    const body = [xmlDocument("Tagging", [group("TagSet", tags)])];
    return { status: 200, headers: { ...xml, ...versionHeader(call, object) }, body };
  },

  DeleteObjectTagging(call) {
    const object = taggedObject(call);
    call.store.setTags(object, {});
    return { status: 204, headers: versionHeader(call, object) };
  },
};

/** The header with the version ID, if the bucket has or had versions. */
export function versionHeader({ store, bucket }: Call, { versionId }: StoredObject): Record<string, string> {
  return store.versioning(bucket) === undefined ? {} : { "x-amz-version-id": versionId };
}

function taggedObject({ store, bucket, key, request }: Call): StoredObject {
  return store.object(bucket, key, request.query.get("versionId"));
}

function checkedTags(pairs: readonly (readonly [string, string])[]): Tags {
  if (pairs.length > maxTags) throw s3Fault("BadRequest", "Object tags cannot be greater than 10");
  const tags = new Map<string, string>();
  for (const [name, value] of pairs) {
    if (name.startsWith("aws:"))
      throw s3Fault("InvalidTag", "System tags cannot be added/updated by requester");
    if (name === "" || name.length > 128 || !allowed.test(name))
      throw s3Fault("InvalidTag", "The TagKey you have provided is invalid");
    if (value.length > 256 || !allowed.test(value))
      throw s3Fault("InvalidTag", "The TagValue you have provided is invalid");
    if (tags.has(name)) throw s3Fault("InvalidTag", "Cannot provide multiple Tags with the same key");
    tags.set(name, value);
  }
  return Object.fromEntries(tags);
}
