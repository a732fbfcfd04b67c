/** The listings of the in-process S3: objects, and versions of objects. */
import { uriEncode } from "../sigv4.js";
import { storageClassOf } from "./object-headers.js";
import { byBytes, type StoredObject, type Version } from "./object-store.js";
import { type Operations, pageSize, xml } from "./operation.js";
import { s3Fault } from "./s3-fault.js";
import { element, group, xmlDocument } from "./xml.js";

type Query = ReadonlyMap<string, string>;

export const listingOperations: Operations = {
  ListObjectsV2({ store, request: { query }, bucket }) {
    const encode = encoderOf(query);
    const after = query.get("continuation-token") ?? query.get("start-after") ?? "";
    const objects = newest(store.versions(bucket)).filter(
      (version): version is StoredObject => !version.deleteMarker && byBytes(version.key, after) > 0,
    );
    const limit = pageSize(query, "max-keys");
    const { entries, truncated, last } = page(objects, query, limit, after);
    const listing = [
      element("Name", bucket),
      element("Prefix", encode(query.get("prefix") ?? "")),
      element("Delimiter", query.has("delimiter") ? encode(query.get("delimiter") ?? "") : undefined),
      element("EncodingType", query.get("encoding-type")),
      element("StartAfter", query.has("start-after") ? encode(query.get("start-after") ?? "") : undefined),
      element("ContinuationToken", query.get("continuation-token")),
      element("KeyCount", entries.length),
      element("MaxKeys", limit),
      element("IsTruncated", truncated),
      element("NextContinuationToken", truncated ? last?.key : undefined),
      ...entries.map((entry) =>
        typeof entry === "string"
          ? commonPrefix(encode(entry))
          : group("Contents", [element("Key", encode(entry.key)), ...objectElements(entry)]),
      ),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListBucketResult", listing)] };
  },

  ListObjectVersions({ store, request: { query }, bucket }) {
    const encode = encoderOf(query);
    const keyMarker = query.get("key-marker") ?? "";
    const idMarker = query.get("version-id-marker");
    const all = store.versions(bucket);
    const latest = new Set(newest(all));
    const passed = all.findIndex(({ key, versionId }) => key === keyMarker && versionId === idMarker);
    const rest = passed < 0 ? all.filter(({ key }) => byBytes(key, keyMarker) > 0) : all.slice(passed + 1);
    const limit = pageSize(query, "max-keys");
    const { entries, truncated, last } = page(rest, query, limit, keyMarker);
    const listing = [
      element("Name", bucket),
      element("Prefix", encode(query.get("prefix") ?? "")),
      element("EncodingType", query.get("encoding-type")),
      element("KeyMarker", encode(keyMarker)),
      element("VersionIdMarker", idMarker ?? ""),
      ...(truncated && last
        ? [element("NextKeyMarker", encode(last.key)), element("NextVersionIdMarker", last.versionId)]
        : []),
      element("MaxKeys", limit),
      element("IsTruncated", truncated),
      ...entries.map((entry) =>
        typeof entry === "string"
          ? commonPrefix(encode(entry))
          : group(entry.deleteMarker ? "DeleteMarker" : "Version", [
              element("Key", encode(entry.key)),
              element("VersionId", entry.versionId),
              element("IsLatest", latest.has(entry)),
              ...(entry.deleteMarker
                ? [element("LastModified", entry.modified.toISOString())]
                : objectElements(entry)),
            ]),
      ),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListVersionsResult", listing)] };
  },
};

/** Encodes keys for XML as a reader wants them. */
export function encoderOf(query: Query): (text: string) => string {
  const type = query.get("encoding-type");
  if (type === undefined) return (text) => text;
  if (type !== "url") throw s3Fault("InvalidArgument", "Invalid Encoding Method specified in Request");
  return (text) => text.split("/").map(uriEncode).join("/");
}

/** The first of each key. */
function newest(versions: readonly Version[]): readonly Version[] {
  return versions.filter(({ key }, index) => key !== versions[index - 1]?.key);
}

/** What one answer lists: entries, and in place of those behind a delimiter their common prefix. */
function page<T extends Version>(
  rest: readonly T[],
  query: Query,
  limit: number,
  after: string,
): { entries: readonly (T | string)[]; truncated: boolean; last: T | undefined } {
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const entries: (T | string)[] = [];
  const prefixes = new Set<string>();
  let last: T | undefined;
  for (const entry of rest) {
    if (!entry.key.startsWith(prefix)) continue;
    const cut = delimiter === "" ? -1 : entry.key.indexOf(delimiter, prefix.length);
    const common = cut < 0 ? undefined : entry.key.slice(0, cut + delimiter.length);
    const shown = common !== undefined && (prefixes.has(common) || common === after || passed(common, after));
    if (!shown) {
      if (entries.length === limit) return { entries, truncated: limit > 0, last };
      entries.push(common ?? entry);
      if (common !== undefined) prefixes.add(common);
    }
    last = entry;
  }
  return { entries, truncated: false, last };
}

/** Whether a page before ended inside this prefix. */
function passed(common: string, after: string): boolean {
  return after.startsWith(common);
}

function objectElements(object: StoredObject): string[] {
  return [
    element("LastModified", object.modified.toISOString()),
    element("ETag", object.etag),
    element("Size", object.size),
    element("ChecksumAlgorithm", object.checksum.algorithm.toUpperCase()),
    element("ChecksumType", object.checksum.type),
    element("StorageClass", storageClassOf(object)),
  ];
}

function commonPrefix(prefix: string): string {
  return group("CommonPrefixes", [element("Prefix", prefix)]);
}
