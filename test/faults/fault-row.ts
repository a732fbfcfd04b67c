/** What a row of the fault table is. */
import type { ErrorCode } from "../../src/base/errors.js";
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
  /** The clock of the KMS client is so far off. */
  readonly kmsClockOffsetMs?: number;
  /** The clients give up on a connection that is silent for so long; never by default, as the SDK's own for S3. */
  readonly socketTimeoutMs?: number;
  /** Writes only if there is no object; the key of the row then has none. */
  readonly onlyNew?: boolean;
  /** The code that the call or its body fails with; without one the call must succeed with the exact bytes. */
  readonly code?: ErrorCode;
  readonly retryable?: boolean;
  readonly details?: Readonly<Record<string, unknown>>;
  /** The operation that the fault is about, and how often it must have been asked for. */
  readonly requests?: readonly [operation: string, count: number];
  /** The abort was made to fail, too: the upload stays and the error names it. */
  readonly orphan?: boolean;
  /** The object may be there for all that is known, so its sidecar stays and the error names it. */
  readonly spareSidecar?: boolean;
}

export const always = Number.POSITIVE_INFINITY;
/** What a call fails with that may succeed later. */
export const unavailable = { code: "S3_UNAVAILABLE", retryable: true } as const;
/** An answer that is not the service's, and says that all is well. */
export const html = { status: 200, body: "<html><body>log in</body></html>" } as const;
/** What a client is told to put up with, and a request that is never answered. */
export const impatient = { socketTimeoutMs: 1000, maxAttempts: 2 };
export const silent = { delayMs: 2 ** 31 - 1, times: always };
/** What is done, and the operation of S3 that the fault is about. */
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
