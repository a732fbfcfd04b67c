/** S3, or something in its place, answers what it should not. */
import type { ErrorCode } from "../../src/base/errors.js";
import type { Fault } from "../../src/testing/index.js";
import { type Act, always, type FaultRow, html, requests, unavailable } from "./fault-row.js";

const answers: readonly (readonly [number, string])[] = [
  [500, "InternalError"],
  [503, "ServiceUnavailable"],
  [503, "SlowDown"],
  [429, "TooManyRequests"],
];

function* refusals(): Generator<FaultRow> {
  for (const [act, operation] of requests) {
    for (const [status, code] of answers) {
      const fault: Fault = { service: "s3", operation, status, code };
      yield { name: `${act}: ${status} ${code} on ${operation}, once`, act, fault };
      const details = { httpStatusCode: status };
      yield {
        name: `${act}: ${status} ${code} on ${operation}, always`,
        act,
        fault: { ...fault, times: always },
        maxAttempts: 1,
        details,
        ...unavailable,
      };
    }
  }
}

const unusable = { code: "S3_REQUEST_FAILED", retryable: false } as const;

/** Something between client and S3 answers in its place, and it says 200. */
function* impostors(): Generator<FaultRow> {
  const on = (act: Act, operation: string, rest: Partial<FaultRow> = unusable) => {
    const fault: Fault = { service: "s3", operation, ...html };
    return { name: `${act}: 200 of somebody else's on ${operation}`, act, fault, ...rest } as FaultRow;
  };
  yield on("put", "PutObject");
  yield on("stream", "PutObject");
  yield on("put sidecar", "PutObject", { ...unusable, details: { operation: "PutObject" } });
  yield on("multipart", "CreateMultipartUpload");
  yield on("multipart", "UploadPart");
  yield on("multipart", "CompleteMultipartUpload");
  yield on("delete", "DeleteObject");
  yield on("get", "GetObject", { code: "ENVELOPE_MISSING", retryable: false });
  yield on("range", "GetObject", { code: "ENVELOPE_MISSING", retryable: false });
  yield {
    name: "put sidecar: 200 of somebody else's on the body",
    act: "put sidecar",
    fault: { service: "s3", operation: "PutObject", skip: 1, ...html },
    spareSidecar: true,
    ...unusable,
  };
}

/** The request takes effect, and the answer says that it did not. */
function* lies(): Generator<FaultRow> {
  for (const [act, operation] of [
    ["put", "PutObject"],
    ["put sidecar", "PutObject"],
    ["multipart", "CompleteMultipartUpload"],
  ] as const) {
    const fault: Fault = { service: "s3", operation, handled: true, status: 503, code: "SlowDown" };
    yield { name: `${act}: ${operation} takes effect, and 503 once`, act, fault };
    yield { name: `${act}: ${operation} takes effect, and 503 once, only if new`, act, fault, onlyNew: true };
    if (act === "put sidecar") continue;
    const forGood = { ...fault, times: always };
    yield { name: `${act}: ${operation} takes effect, and 503 always`, act, fault: forGood, maxAttempts: 1 };
    yield {
      name: `${act}: ${operation} takes effect, and 503 always, only if new`,
      act,
      fault: forGood,
      onlyNew: true,
    };
    yield {
      name: `${act}: ${operation} takes effect, and 200 of somebody else's`,
      act,
      fault: { ...fault, ...html },
    };
  }
}

const mishaps: readonly (readonly [number, string])[] = [
  [400, "BadDigest"],
  [400, "XAmzContentSHA256Mismatch"],
  [400, "IncompleteBody"],
  [408, "RequestTimeout"],
  [409, "OperationAborted"],
  [409, "ConditionalRequestConflict"],
];
const refused: readonly (readonly [number, string, ErrorCode])[] = [
  [301, "PermanentRedirect", "S3_REQUEST_FAILED"],
  [307, "TemporaryRedirect", "S3_REQUEST_FAILED"],
  [400, "ExpiredToken", "S3_ACCESS_DENIED"],
  [403, "AccessDenied", "S3_ACCESS_DENIED"],
  [404, "NoSuchBucket", "S3_NOT_FOUND"],
];

/** Refusals of writes: of chance, or for good. */
function* refusedWrites(): Generator<FaultRow> {
  for (const [act, operation] of [
    ["put", "PutObject"],
    ["multipart", "UploadPart"],
    ["multipart", "CompleteMultipartUpload"],
  ] as const) {
    for (const [status, code, given] of [
      ...mishaps.map((mishap) => [...mishap, "S3_UNAVAILABLE"] as const),
      ...refused,
    ]) {
      yield {
        name: `${act}: ${status} ${code} on ${operation}`,
        act,
        fault: { service: "s3", operation, status, code, times: always },
        maxAttempts: 1,
        code: given,
        retryable: given === "S3_UNAVAILABLE",
      };
    }
  }
}

export const answerFaults: readonly FaultRow[] = [
  ...refusals(),
  ...impostors(),
  ...lies(),
  ...refusedWrites(),
];
