/** The rows of the tables of faults. */
import type { ErrorCode } from "../../src/base/errors.js";
import type { Fault } from "../../src/testing/index.js";

/** The call that is made while the fault occurs. */
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

/** One fault, and what the call must do. */
export interface FaultRow {
  /** The fault, as a clause that follows "while". */
  readonly name: string;
  readonly act: Act;
  readonly fault: Fault;
  /** Further faults of the same call. */
  readonly also?: readonly Fault[];
  readonly maxAttempts?: number;
  /** The error of the clock of the S3 client. */
  readonly clockOffsetMs?: number;
  /** The error of the clock of the KMS client. */
  readonly kmsClockOffsetMs?: number;
  /** The `socketTimeout` of the clients; none by default, as in the SDK for S3. */
  readonly socketTimeoutMs?: number;
  /** Writes with If-None-Match; no object has the key of the row then. */
  readonly onlyNew?: boolean;
  /** The code with which the call or its body fails; without one the call must succeed with the exact bytes. */
  readonly code?: ErrorCode;
  readonly retryable?: boolean;
  readonly details?: Readonly<Record<string, unknown>>;
  /** An operation, and how many requests it must have received. */
  readonly requests?: readonly [operation: string, count: number];
  /** The abort fails as well: the upload is left behind and the error names it. */
  readonly orphan?: boolean;
  /** The object may exist, so its sidecar is kept and the error names it. */
  readonly spareSidecar?: boolean;
}

export const always = Number.POSITIVE_INFINITY;
/** The failure of a call that may succeed later. */
export const unavailable = { code: "S3_UNAVAILABLE", retryable: true } as const;
/** A successful response of an intermediary. */
export const html = { status: 200, body: "<html><body>log in</body></html>" } as const;
/** The settings of a client that gives up on a silent connection. */
export const impatient = { socketTimeoutMs: 1000, maxAttempts: 2 };
/** A request that never gets a response. */
export const silent = { delayMs: 2 ** 31 - 1, times: always };
/** The calls, and the operation of S3 that the fault concerns. */
export const requests: readonly (readonly [Act, string])[] = [
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
