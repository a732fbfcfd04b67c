/** The listings of the in-process S3: objects, and versions of objects. */

import { storageClassOf } from "../request/object-headers.js";
import { type Call, type Operations, pageSize, xml } from "../request/operation.js";
import {
  continuationToken,
  continuedKey,
  encoderOf,
  pageEntries,
  pageTerms,
  takePage,
} from "../request/pages.js";
import { byBytes, stampedNumber } from "../storage/order.js";
import type { StoredObject, Version } from "../storage/versions.js";
import { s3Fault } from "../wire/s3-fault.js";
import { element, group, xmlDocument } from "../wire/xml.js";
import { ownerElement } from "./buckets.js";

export const listingOperations: Operations = {
  ListObjects({ store, request: { query }, bucket }) {
    const encode = encoderOf(query);
    const marker = query.get("marker") ?? "";
    const limit = pageSize(query, "max-keys");
    const page = takePage(objectsBehind(store.versions(bucket), marker), query, limit, marker);
    const last = page.truncated ? page.entries.at(-1) : undefined;
    // Without a delimiter, the next page begins after the last key.
    const next = (query.get("delimiter") ?? "") === "" ? undefined : last;
    const listing = [
      element("Name", bucket),
      ...pageTerms(query),
      element("Marker", encode(marker)),
      ...(next === undefined
        ? []
        : [element("NextMarker", encode(typeof next === "string" ? next : next.key))]),
      element("MaxKeys", limit),
      element("IsTruncated", page.truncated),
      ...pageEntries(page, query, (object) => contents(object, encode, true)),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListBucketResult", listing)] };
  },

  ListObjectsV2({ store, request: { query }, bucket }) {
    const encode = encoderOf(query);
    const token = query.get("continuation-token");
    const startAfter = query.get("start-after");
    const after = token === undefined ? (startAfter ?? "") : continuedKey(token);
    const withOwner = query.get("fetch-owner") === "true";
    const limit = pageSize(query, "max-keys");
    const page = takePage(objectsBehind(store.versions(bucket), after), query, limit, after);
    const next = page.truncated && page.last ? continuationToken(page.last.key) : undefined;
    const listing = [
      element("Name", bucket),
      ...pageTerms(query),
      element("StartAfter", startAfter === undefined ? undefined : encode(startAfter)),
      element("ContinuationToken", token),
      element("KeyCount", page.entries.length),
      element("MaxKeys", limit),
      element("IsTruncated", page.truncated),
      element("NextContinuationToken", next),
      ...pageEntries(page, query, (object) => contents(object, encode, withOwner)),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListBucketResult", listing)] };
  },

  ListObjectVersions(call) {
    const { store, request, bucket } = call;
    const { query } = request;
    const encode = encoderOf(query);
    const keyMarker = query.get("key-marker") ?? "";
    const passed = passedSequence(call, keyMarker);
    const all = store.versions(bucket);
    const latest = new Set(newest(all));
    const rest = all.filter(({ key, sequence }) => {
      const order = byBytes(key, keyMarker);
      return order > 0 || (order === 0 && sequence < passed);
    });
    const limit = pageSize(query, "max-keys");
    const page = takePage(rest, query, limit, keyMarker);
    const last = page.truncated ? page.last : undefined;
    const listing = [
      element("Name", bucket),
      ...pageTerms(query),
      element("KeyMarker", encode(keyMarker)),
      element("VersionIdMarker", query.get("version-id-marker") ?? ""),
      ...(last
        ? [element("NextKeyMarker", encode(last.key)), element("NextVersionIdMarker", last.versionId)]
        : []),
      element("MaxKeys", limit),
      element("IsTruncated", page.truncated),
      ...pageEntries(page, query, (version) =>
        group(version.deleteMarker ? "DeleteMarker" : "Version", [
          element("Key", encode(version.key)),
          element("VersionId", version.versionId),
          element("IsLatest", latest.has(version)),
          ...(version.deleteMarker
            ? [element("LastModified", version.modified.toISOString())]
            : objectElements(version)),
        ]),
      ),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListVersionsResult", listing)] };
  },
};

/** The older versions of the key that the markers name. */
function passedSequence({ store, request: { query }, bucket }: Call, keyMarker: string): number {
  const id = query.get("version-id-marker");
  if (id === undefined) return 0;
  if (keyMarker === "") {
    const message = "A version-id marker cannot be specified without a key marker.";
    throw s3Fault("InvalidArgument", message);
  }
  if (id === "") throw s3Fault("InvalidArgument", "A version-id marker cannot be empty.");
  const version = store.version(bucket, keyMarker, id);
  if (version) return version.sequence;
  // The version is gone, but its ID shows its age; "null" does not, so the key begins again.
  return id === "null" ? Number.POSITIVE_INFINITY : stampedNumber(id);
}

/** The objects of a listing after a key. */
function objectsBehind(versions: readonly Version[], key: string): readonly StoredObject[] {
  return newest(versions).filter(
    (version): version is StoredObject => !version.deleteMarker && byBytes(version.key, key) > 0,
  );
}

/** The first of each key. */
function newest(versions: readonly Version[]): readonly Version[] {
  return versions.filter(({ key }, index) => key !== versions[index - 1]?.key);
}

function contents(object: StoredObject, encode: (text: string) => string, withOwner: boolean): string {
  return group("Contents", [
    element("Key", encode(object.key)),
    ...objectElements(object),
    withOwner ? ownerElement : "",
  ]);
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
