/** The operations of the in-process S3 on single objects. */
import type { ServiceResponse } from "../service.js";
import { checksumHeaders } from "./checksums.js";
import {
  requestedPart,
  requestedRange,
  requireReadConditions,
  requireWriteConditions,
} from "./conditions.js";
import { deleteOperations } from "./deletion.js";
import { answerHeaders, encryptionHeaders, objectHeaders, requireCustomerKey } from "./object-headers.js";
import { type Call, type Operations, wholeNumber } from "./operation.js";
import { readPayload } from "./payload.js";
import { s3Fault } from "./s3-fault.js";
import { taggedBy, versionHeader } from "./tagging.js";

export const objectOperations: Operations = {
  async PutObject(call) {
    const { store, request, bucket, key } = call;
    const headers = objectHeaders(request);
    const tags = taggedBy(request.headers["x-amz-tagging"]);
    requireWriteConditions(request.headers, store.current(bucket, key));
    const { extent, md5, checksum, stated } = await readPayload(request, store.bytes);
    const etag = `"${md5}"`;
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
        ...encryptionHeaders(headers),
        ...checksumHeaders(stored),
      },
    };
  },

  GetObject: (call) => readObject(call, true),
  HeadObject: (call) => readObject(call, false),
  ...deleteOperations,
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
  const range =
    part === undefined ? requestedRange(given, object.size) : requestedPart(object, partNumber(part));
  const { start, end } = range ?? { start: 0, end: object.size };
  const shownRange = range && !(part !== undefined && !object.parts);
  const headers = {
    ...answerHeaders(object, request, !shownRange),
    ...versionHeader(call, object),
    "content-length": String(end - start),
    ...(shownRange && end > start && { "content-range": `bytes ${start}-${end - 1}/${object.size}` }),
    ...(part !== undefined && object.parts && { "x-amz-mp-parts-count": String(object.parts.length) }),
  };
  const status = shownRange ? 206 : 200;
  if (!withBody) return { status, headers };
  return { status, headers, stream: store.bytes.open(object.extents, start, end) };
}

/** The number that a request gives a part. */
export function partNumber(text: string | undefined): number {
  const number = wholeNumber(text);
  if (number >= 1 && number <= 10_000) return number;
  throw s3Fault("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive");
}
