/** Maps failures of S3 to coded errors, which say what the caller can do. */

import { quoted } from "../base/bytes.js";
import { EnvelopeError, type ErrorCode } from "../base/errors.js";
import { isTransient, type ServiceFailure, serviceFailure, unexplained } from "../base/service-failure.js";
import { type SetUpFault, setUpFault } from "../service/set-up-fault.js";
import type { ObjectTarget } from "../transfer/call.js";

/** An S3 operation and the object that it is for. */
export interface RequestTarget extends ObjectTarget {
  readonly operation: string;
}

/** The coded error for a failure of an S3 call. */
export function s3Error(cause: unknown, target: RequestTarget): EnvelopeError {
  const failure = serviceFailure(cause);
  const fault = setUpFault("S3", cause, failure);
  const [code, advice] = fault ? setUpMeaning(fault) : meaning(failure);
  return new EnvelopeError(code, `${titleOf(target)} failed: ${advice}`, {
    cause,
    details: { ...target, ...failure, ...fault?.details },
  });
}

function setUpMeaning({ isDenied, advice }: SetUpFault): readonly [ErrorCode, string] {
  return [isDenied ? "S3_ACCESS_DENIED" : "S3_REQUEST_FAILED", advice];
}

function titleOf({ operation, bucket, key }: RequestTarget): string {
  return `S3 ${operation} of ${quoted(key)} in ${quoted(bucket)}`;
}

/** The error for a response with a success status that cannot be used. */
export function unusableResponse(target: RequestTarget, fault: string): EnvelopeError {
  return new EnvelopeError("S3_REQUEST_FAILED", `${titleOf(target)} failed: ${fault}`, {
    details: { ...target },
  });
}

/**
 * Requires the ETag of what S3 has stored. A proxy may respond with status 200 in place of S3; it gives no ETag.
 *
 * @throws EnvelopeError `S3_REQUEST_FAILED`
 */
export function requireETag({ ETag }: { readonly ETag?: string | undefined }, target: RequestTarget): string {
  if (ETag) return ETag;
  throw unusableResponse(target, "its response has no ETag");
}

/**
 * Requires a Content-Length to be possible: a broken store could state anything.
 *
 * @throws EnvelopeError `S3_REQUEST_FAILED`
 */
export function requireSize(bytes: number | undefined, target: RequestTarget): void {
  if (bytes === undefined || (Number.isSafeInteger(bytes) && bytes >= 0)) return;
  throw unusableResponse(target, "its response has an impossible Content-Length");
}

/** The error for a response with another range than the requested one. */
export function otherRange(target: RequestTarget): EnvelopeError {
  return unusableResponse(target, "its response does not have the requested range");
}

/** Whether a request failed because its multipart upload does not exist: it was completed, or aborted, as by a lifecycle rule. */
export function isUploadGone(error: unknown): error is EnvelopeError {
  return error instanceof EnvelopeError && error.details.serviceError === "NoSuchUpload";
}

/** Refusals after which the same call may succeed, and their reasons. */
const passingFaults: Readonly<Record<string, string>> = {
  BadDigest: "the bytes were damaged on the way",
  IncompleteBody: "the bytes were damaged on the way",
  XAmzContentSHA256Mismatch: "the bytes were damaged on the way",
  ConditionalRequestConflict: "another write of the object was in progress",
  OperationAborted: "another request about the object was in progress",
  NoSuchUpload: "its multipart upload does not exist any more; a lifecycle rule or another client ended it",
};

/** Faults of credentials that S3 reports with status 400. */
const credentialFaults = new Set(["ExpiredToken", "InvalidToken", "TokenRefreshRequired"]);

function meaning(failure: ServiceFailure): readonly [ErrorCode, string] {
  const { serviceError, httpStatusCode } = failure;
  if (serviceError === "MetadataTooLarge") {
    return [
      "ENVELOPE_TOO_LARGE",
      "this store allows less user metadata than S3: shorten it or use a sidecar",
    ];
  }
  if (credentialFaults.has(serviceError)) {
    return [
      "S3_ACCESS_DENIED",
      `the credentials of the S3 client were refused (${serviceError}): get new ones`,
    ];
  }
  if (serviceError === "InvalidObjectState") {
    return ["S3_REQUEST_FAILED", "the object is archived: restore it first (RestoreObject)"];
  }
  if (serviceError === "ResponseTooLarge" && (httpStatusCode ?? 0) < 300)
    return [
      "S3_REQUEST_FAILED",
      "the body of its response is larger than any response of S3, and was not read",
    ];
  if (serviceError === "DamagedResponse" || serviceError.startsWith("HPE_")) {
    return serviceError.endsWith("_OVERFLOW")
      ? ["S3_REQUEST_FAILED", `the headers of its response are larger than Node accepts (${serviceError})`]
      : [
          "S3_UNAVAILABLE",
          `its response was damaged on the way, or is not HTTP (${serviceError}): try again`,
        ];
  }
  const passing = Object.hasOwn(passingFaults, serviceError) ? passingFaults[serviceError] : undefined;
  if (passing) return ["S3_UNAVAILABLE", `${passing} (${serviceError}): try again`];
  if (isTransient(failure))
    return ["S3_UNAVAILABLE", `the service is not available (${serviceError}): try again later`];
  switch (httpStatusCode) {
    case 304:
      return ["S3_NOT_MODIFIED", "the object has not changed"];
    case 401:
    case 403:
      return [
        "S3_ACCESS_DENIED",
        `access was refused (${serviceError}): check credentials, IAM and bucket policy`,
      ];
    case 404:
      return ["S3_NOT_FOUND", `it does not exist (${serviceError})`];
    case 409:
    case 412:
      return ["S3_PRECONDITION_FAILED", `a condition of the request does not hold (${serviceError})`];
    case 416:
      return ["S3_RANGE_NOT_SATISFIABLE", "the range lies outside the object"];
    default:
      if (httpStatusCode !== undefined && httpStatusCode < 300)
        return [
          "S3_REQUEST_FAILED",
          `its response has a success status and cannot be parsed (${serviceError}); see the cause`,
        ];
      return ["S3_REQUEST_FAILED", unexplained(failure)];
  }
}
