/** Faults of KMS, of an intermediary, and of the connection to KMS. */
import type { ErrorCode } from "../../src/base/errors.js";
import { always, type FaultRow, html, impatient, silent } from "./fault-row.js";

const exceptions: readonly (readonly [number, string, ErrorCode, boolean])[] = [
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
      name: `KMS ${operation} is throttled once`,
      act,
      fault: { ...on, status: 400, code: "ThrottlingException" },
      requests: [operation, 2],
    };
    yield {
      name: `the connection of KMS ${operation} is reset once`,
      act,
      fault: { ...on, reset: "before" },
      requests: [operation, 2],
    };
    for (const [status, serviceError, code, retryable] of exceptions) {
      const fault = { ...on, status, code: serviceError, times: always };
      yield {
        name: `KMS ${operation} always responds ${serviceError}`,
        act,
        fault,
        maxAttempts: 1,
        code,
        retryable,
        details: { operation, serviceError },
      };
    }
    yield {
      name: `an intermediary responds 200 to KMS ${operation}`,
      act,
      fault: { ...on, ...html },
      code: "KMS_REQUEST_FAILED",
      retryable: false,
    };
    const unavailable = { code: "KMS_UNAVAILABLE", retryable: true, requests: [operation, 2] } as const;
    yield {
      name: `an intermediary always responds 503 to KMS ${operation}`,
      act,
      fault: { ...on, ...html, status: 503, times: always },
      maxAttempts: 2,
      ...unavailable,
    };
    yield {
      name: `KMS ${operation} gets no response`,
      act,
      fault: { ...on, ...silent },
      ...impatient,
      ...unavailable,
    };
    yield {
      name: `the clock is an hour ahead and KMS ${operation} corrects it`,
      act,
      fault: { operation: "none" },
      kmsClockOffsetMs: 3_600_000,
      requests: [operation, 2],
    };
    yield {
      name: `the clock is an hour behind at KMS ${operation}`,
      act,
      fault: { operation: "none" },
      kmsClockOffsetMs: -3_600_000,
      maxAttempts: 1,
      code: "KMS_ACCESS_DENIED",
      retryable: false,
    };
  }
}

export const kmsFaults: readonly FaultRow[] = [...kms()];
