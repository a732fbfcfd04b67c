/** The operations of the in-process S3 that delete objects, one or many at once. */
import { ServiceError, type ServiceRequest } from "../../service.js";
import { requireDeleteCondition } from "../request/conditions.js";
import { malformedXml, readDocument } from "../request/documents.js";
import { type Call, type Operations, xml } from "../request/operation.js";
import { declaredChecksum } from "../request/payload.js";
import type { Version } from "../storage/versions.js";
import { s3Fault } from "../wire/s3-fault.js";
import { childrenOf, childText, element, group, type XmlElement, xmlDocument } from "../wire/xml.js";

const maxDeleted = 1000;

/** One object to delete. */
interface Target {
  readonly key: string;
  readonly versionId: string | undefined;
  /** The ETag that the current version must have. */
  readonly etag: string | undefined;
}

export const deleteOperations: Operations = {
  DeleteObject(call) {
    const versionId = call.request.query.get("versionId");
    const version = remove(call, { key: call.key, versionId, etag: call.request.headers["if-match"] });
    const named = version?.versionId ?? versionId;
    return {
      status: 204,
      headers: {
        ...(named !== undefined && { "x-amz-version-id": named }),
        ...(version?.deleteMarker && { "x-amz-delete-marker": "true" }),
      },
    };
  },

  async DeleteObjects(call) {
    call.store.requireBucket(call.bucket);
    requireDigest(call.request);
    const document = await readDocument(call.request, "Delete");
    const targets = childrenOf(document, "Object").map(parseTarget);
    if (targets.length === 0 || targets.length > maxDeleted) throw malformedXml();
    const quiet = childText(document, "Quiet") === "true";
    const results = targets.map((target) => removeAndTell(call, target, quiet));
    return { status: 200, headers: xml, body: [xmlDocument("DeleteResult", results)] };
  },
};

function remove({ store, bucket }: Call, { key, versionId, etag }: Target): Version | undefined {
  if (etag !== undefined) requireDeleteCondition(etag, store.newest(bucket, key));
  return store.delete(bucket, key, versionId);
}

/** S3 refuses a DeleteObjects request without a checksum of its body. */
function requireDigest({ headers }: ServiceRequest): void {
  if (declaredChecksum(headers) || headers["content-md5"] !== undefined) return;
  throw s3Fault("InvalidRequest", "Missing required header for this request: Content-MD5");
}

function parseTarget(object: XmlElement): Target {
  for (const { name } of object.children) {
    if (name === "Size" || name === "LastModifiedTime")
      throw s3Fault("NotImplemented", `Object with ${name}`);
    if (!["Key", "VersionId", "ETag"].includes(name)) throw malformedXml();
  }
  const key = childText(object, "Key") ?? "";
  if (key === "") throw malformedXml();
  return { key, versionId: childText(object, "VersionId"), etag: childText(object, "ETag") };
}

function removeAndTell(call: Call, target: Target, quiet: boolean): string {
  const named = [element("Key", target.key), element("VersionId", target.versionId)];
  try {
    const version = remove(call, target);
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
