/** Responses that are errors, false or not from S3. */
import type { ErrorCode } from "../../src/base/errors.js";
import type { Fault } from "../../src/testing/index.js";
import { type Act, always, type FaultRow, html, requests, unavailable } from "./fault-row.js";

const errorResponses: readonly (readonly [number, string])[] = [
  [500, "InternalError"],
  [503, "ServiceUnavailable"],
  [503, "SlowDown"],
  [429, "TooManyRequests"],
];

function* refusals(): Generator<FaultRow> {
  for (const [act, operation] of requests) {
    for (const [status, code] of errorResponses) {
      const fault: Fault = { service: "s3", operation, status, code };
      yield { name: `${operation} responds ${status} ${code} once`, act, fault };
      const details = { httpStatusCode: status };
      yield {
        name: `${operation} always responds ${status} ${code}`,
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

/** An intermediary responds in place of S3, with status 200. */
function* impostors(): Generator<FaultRow> {
  const on = (act: Act, operation: string, rest: Partial<FaultRow> = unusable) => {
    const fault: Fault = { service: "s3", operation, ...html };
    return { name: `an intermediary responds 200 to ${operation}`, act, fault, ...rest } as FaultRow;
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
    name: "an intermediary responds 200 to PutObject of the object",
    act: "put sidecar",
    fault: { service: "s3", operation: "PutObject", skip: 1, ...html },
    spareSidecar: true,
    ...unusable,
  };
}

/** The request takes effect, and the response reports a failure. */
function* falseFailures(): Generator<FaultRow> {
  for (const [act, operation] of [
    ["put", "PutObject"],
    ["put sidecar", "PutObject"],
    ["multipart", "CompleteMultipartUpload"],
  ] as const) {
    const fault: Fault = { service: "s3", operation, handled: true, status: 503, code: "SlowDown" };
    yield { name: `${operation} takes effect and responds 503 once`, act, fault };
    yield {
      name: `${operation} with If-None-Match takes effect and responds 503 once`,
      act,
      fault,
      onlyNew: true,
    };
    if (act === "put sidecar") continue;
    const forGood = { ...fault, times: always };
    yield { name: `${operation} takes effect and always responds 503`, act, fault: forGood, maxAttempts: 1 };
    yield {
      name: `${operation} with If-None-Match takes effect and always responds 503`,
      act,
      fault: forGood,
      onlyNew: true,
    };
    yield {
      name: `${operation} takes effect and an intermediary responds 200`,
      act,
      fault: { ...fault, ...html },
    };
  }
}

const transientRefusals: readonly (readonly [number, string])[] = [
  [400, "BadDigest"],
  [400, "XAmzContentSHA256Mismatch"],
  [400, "IncompleteBody"],
  [408, "RequestTimeout"],
  [409, "OperationAborted"],
  [409, "ConditionalRequestConflict"],
];
const permanentRefusals: readonly (readonly [number, string, ErrorCode])[] = [
  [301, "PermanentRedirect", "S3_REQUEST_FAILED"],
  [307, "TemporaryRedirect", "S3_REQUEST_FAILED"],
  [400, "ExpiredToken", "S3_ACCESS_DENIED"],
  [403, "AccessDenied", "S3_ACCESS_DENIED"],
  [404, "NoSuchBucket", "S3_NOT_FOUND"],
];

/** Writes that are refused: by a transient fault, or permanently. */
function* refusedWrites(): Generator<FaultRow> {
  for (const [act, operation] of [
    ["put", "PutObject"],
    ["multipart", "UploadPart"],
    ["multipart", "CompleteMultipartUpload"],
  ] as const) {
    for (const [status, code, expected] of [
      ...transientRefusals.map((refusal) => [...refusal, "S3_UNAVAILABLE"] as const),
      ...permanentRefusals,
    ]) {
      yield {
        name: `${operation} is refused with ${status} ${code}`,
        act,
        fault: { service: "s3", operation, status, code, times: always },
        maxAttempts: 1,
        code: expected,
        retryable: expected === "S3_UNAVAILABLE",
      };
    }
  }
}

export const responseFaults: readonly FaultRow[] = [
  ...refusals(),
  ...impostors(),
  ...falseFailures(),
  ...refusedWrites(),
];
