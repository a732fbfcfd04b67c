/** The settings of a client that every request and every transfer needs. */
import type { S3Client } from "@aws-sdk/client-s3";
import type { MemoryBudget } from "../../transfer/memory-budget.js";

/** The settings of a client that its requests need. */
export interface RequestConfig {
  readonly s3: S3Client;
  /** How long a body may go without a byte, in milliseconds; 0 for no limit. */
  readonly idleTimeoutMs: number;
}

/** The settings of a client that its transfers need. */
export interface TransferConfig extends RequestConfig {
  readonly partSizeBytes: number | undefined;
  readonly maxConcurrentParts: number;
  /** Shares out `maxBufferedBytes`. */
  readonly budget: MemoryBudget;
}
