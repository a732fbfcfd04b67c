/** The operations of the in-process S3 on single objects. */
import type { ServiceResponse } from "../../service.js";
import {
  requestedPart,
  requestedRange,
  requireReadConditions,
  requireWriteConditions,
} from "../request/conditions.js";
import { etagOf, requireCustomerKey, writerEncryptionHeaders } from "../request/encryption.js";
import { objectHeaders, requireReadable, responseHeaders } from "../request/object-headers.js";
import { type Call, type Operations, partNumber } from "../request/operation.js";
import { readPayload } from "../request/payload.js";
import { taggedBy, versionHeader } from "../request/tagging.js";
import type { StoredObject } from "../storage/versions.js";
import { checksumHeaders, type StoredChecksum } from "../wire/checksums.js";
import { s3Fault } from "../wire/s3-fault.js";

export const objectOperations: Operations = {
  async PutObject(call) {
    const { store, request, bucket, key } = call;
    const headers = objectHeaders(request);
    const tags = taggedBy(request.headers["x-amz-tagging"]);
    requireWriteConditions(request.headers, store.current(bucket, key));
    const { extent, md5, checksum, stated } = await readPayload(request, store.bytes);
    const etag = etagOf(md5, headers);
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
        ...writerEncryptionHeaders(headers, request),
        ...checksumHeaders(stored),
      },
    };
  },

  GetObject: (call) => readObject(call, true),
  HeadObject: (call) => readObject(call, false),
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
  const number = part === undefined ? undefined : partNumber(part);
  if (withBody) requireReadable(object);
  const range = number === undefined ? requestedRange(given, object.size) : requestedPart(object, number);
  const { start, end } = range ?? { start: 0, end: object.size };
  const partial = range !== undefined && start < end;
  const whole = partial ? undefined : object.checksum;
  const headers = {
    ...responseHeaders(object, request, number === undefined ? whole : partChecksum(object, number)),
    ...versionHeader(call, object),
    "content-length": String(end - start),
    ...(partial && { "content-range": `bytes ${start}-${end - 1}/${object.size}` }),
    ...(number !== undefined && object.parts && { "x-amz-mp-parts-count": String(object.parts.length) }),
  };
  const status = partial ? 206 : 200;
  if (!withBody) return { status, headers };
  return { status, headers, stream: store.bytes.open(object.extents, start, end) };
}

/** The checksum of one part; an object that was put whole is its only part. */
function partChecksum({ parts, checksum }: StoredObject, number: number): StoredChecksum | undefined {
  if (!parts) return checksum;
  const value = parts[number - 1]?.checksum;
  return value === undefined ? undefined : { ...checksum, value };
}
