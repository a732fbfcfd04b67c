/** Scripted faults of the in-process S3 and KMS, each with what the SDK promises about it: rows of data. */
import type { ErrorCode } from "../../src/errors.js";
import type { Fault } from "../../src/testing/index.js";

/** What is done while the fault strikes. */
export type Act =
  | "put"
  | "stream"
  | "multipart"
  | "put sidecar"
  | "get"
  | "range"
  | "get sidecar"
  | "head"
  | "delete";

/** One fault and the promise about it. */
export interface FaultRow {
  readonly name: string;
  readonly act: Act;
  readonly fault: Fault;
  /** More faults that strike in the same call. */
  readonly also?: readonly Fault[];
  readonly maxAttempts?: number;
  /** The clock of the S3 client is so far off. */
  readonly clockOffsetMs?: number;
  /** The code that the call or its body fails with; without one the call must succeed with the exact bytes. */
  readonly code?: ErrorCode;
  readonly retryable?: boolean;
  readonly details?: Readonly<Record<string, unknown>>;
  /** The operation that the fault is about, and how often it must have been asked for. */
  readonly requests?: readonly [operation: string, count: number];
  /** The abort was made to fail, too: the upload stays and the error names it. */
  readonly orphan?: boolean;
}

const always = Number.POSITIVE_INFINITY;
const chunkBytes = 16_384 + 16;
const headerBytes = 56;

const requests: readonly (readonly [Act, string])[] = [
  ["put", "PutObject"],
  ["stream", "PutObject"],
  ["put sidecar", "PutObject"],
  ["multipart", "CreateMultipartUpload"],
  ["multipart", "CompleteMultipartUpload"],
  ["get", "GetObject"],
  ["range", "GetObject"],
  ["get sidecar", "GetObject"],
  ["head", "HeadObject"],
  ["delete", "DeleteObject"],
];
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
      const failed = { code: "S3_UNAVAILABLE", retryable: true, details } as const;
      yield {
        name: `${act}: ${status} ${code} on ${operation}, always`,
        act,
        fault: { ...fault, times: always },
        maxAttempts: 1,
        ...failed,
      };
    }
  }
}

function* resets(): Generator<FaultRow> {
  for (const [act, operation] of [...requests, ["multipart", "UploadPart"]] as const) {
    for (const reset of ["before", "after"] as const) {
      // Left out, as the promise does not hold: the SDK's retry opens a second upload, and nobody knows the first.
      if (reset === "after" && operation === "CreateMultipartUpload") continue;
      yield { name: `${act}: reset ${reset} ${operation}`, act, fault: { service: "s3", operation, reset } };
    }
  }
}

function* bodies(): Generator<FaultRow> {
  const get = { service: "s3", operation: "GetObject" } as const;
  const cuts = [
    0,
    headerBytes,
    headerBytes + chunkBytes,
    headerBytes + 2 * chunkBytes,
    headerBytes + 3 * chunkBytes + 115,
  ];
  for (const bytes of cuts) {
    const truncated = { ...get, truncateBodyBytes: bytes };
    yield {
      name: `get: truncated at ${bytes}`,
      act: "get",
      fault: truncated,
      code: "BODY_INTERRUPTED",
      retryable: true,
    };
    const stalled = { ...get, stallBodyBytes: bytes };
    yield {
      name: `get: stalled at ${bytes}`,
      act: "get",
      fault: stalled,
      code: "BODY_STALLED",
      retryable: true,
    };
  }
}

const kmsFaults: readonly (readonly [number, string, ErrorCode, boolean])[] = [
  [400, "ThrottlingException", "KMS_UNAVAILABLE", true],
  [500, "KMSInternalException", "KMS_UNAVAILABLE", true],
  [400, "DisabledException", "KMS_KEY_UNUSABLE", false],
  [400, "KMSInvalidStateException", "KMS_KEY_UNUSABLE", false],
  [400, "NotFoundException", "KMS_KEY_NOT_FOUND", false],
  [400, "AccessDeniedException", "KMS_ACCESS_DENIED", false],
];

function* kms(): Generator<FaultRow> {
  for (const [act, operation] of [
    ["put", "GenerateDataKey"],
    ["get", "Decrypt"],
  ] as const) {
    const on = { service: "kms", operation } as const;
    yield {
      name: `KMS ${operation}: throttled once`,
      act,
      fault: { ...on, status: 400, code: "ThrottlingException" },
      requests: [operation, 2],
    };
    yield {
      name: `KMS ${operation}: reset once`,
      act,
      fault: { ...on, reset: "before" },
      requests: [operation, 2],
    };
    for (const [status, serviceError, code, retryable] of kmsFaults) {
      const fault = { ...on, status, code: serviceError, times: always };
      yield {
        name: `KMS ${operation}: ${serviceError}, always`,
        act,
        fault,
        maxAttempts: 1,
        code,
        retryable,
        details: { operation, serviceError },
      };
    }
  }
}

const part = { service: "s3", operation: "UploadPart" } as const;
const abort = { service: "s3", operation: "AbortMultipartUpload", status: 500, times: always } as const;
const unavailable = { code: "S3_UNAVAILABLE", retryable: true } as const;

/** All rows. */
export const faultRows: readonly FaultRow[] = [
  ...refusals(),
  ...resets(),
  ...bodies(),
  ...kms(),
  {
    name: "multipart: one part refused once",
    act: "multipart",
    fault: { ...part, status: 503, code: "SlowDown", skip: 1 },
    requests: ["UploadPart", 4],
  },
  {
    name: "multipart: second part refused for good",
    act: "multipart",
    fault: { ...part, status: 503, code: "SlowDown", skip: 1, times: always },
    maxAttempts: 1,
    ...unavailable,
  },
  {
    name: "multipart: completion answered 200 with an error, once",
    act: "multipart",
    fault: { service: "s3", operation: "CompleteMultipartUpload", status: 200, code: "InternalError" },
    requests: ["CompleteMultipartUpload", 2],
  },
  {
    name: "multipart: completion answered 200 with an error, always",
    act: "multipart",
    fault: {
      service: "s3",
      operation: "CompleteMultipartUpload",
      status: 200,
      code: "InternalError",
      times: always,
    },
    maxAttempts: 1,
    ...unavailable,
  },
  {
    name: "multipart: refused, and the abort, too",
    act: "multipart",
    fault: { ...part, status: 500, times: always },
    also: [abort],
    maxAttempts: 1,
    orphan: true,
    ...unavailable,
  },
  {
    name: "get: a flipped byte",
    act: "get",
    fault: {
      service: "s3",
      operation: "GetObject",
      corrupt: { offset: headerBytes + chunkBytes + 5, xor: 1 },
    },
    code: "BODY_INTERRUPTED",
    retryable: true,
  },
  {
    name: "range: a flipped byte",
    act: "range",
    fault: { service: "s3", operation: "GetObject", corrupt: { offset: 5, xor: 1 } },
    code: "DECRYPTION_FAILED",
    retryable: false,
  },
  {
    name: "put: clock off by an hour, one attempt",
    act: "put",
    fault: { operation: "none" },
    clockOffsetMs: 3_600_000,
    maxAttempts: 1,
    code: "S3_ACCESS_DENIED",
    retryable: false,
    details: { serviceError: "RequestTimeTooSkewed" },
  },
];
