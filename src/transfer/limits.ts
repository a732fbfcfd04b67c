/** The smallest sizes that the options of a client may state. */

const mebibyte = 1024 * 1024;

/** Bytes. */
export interface TransferLimits {
  /** The smallest part that S3 accepts, except for the last one. */
  readonly minPartBytes: number;
  /** One part of the default size, and what is read ahead for it. */
  readonly minBufferedBytes: number;
}

let limits: TransferLimits = { minPartBytes: 5 * mebibyte, minBufferedBytes: 16 * mebibyte };

/** The limits that options are checked against. */
export function transferLimits(): TransferLimits {
  return limits;
}

/**
 * Lowers limits for the clients that are created afterwards, so that the tests of this project can upload small parts
 * to an S3 that takes them. No entry point exports this.
 */
export function lowerTransferLimits(lower: Partial<TransferLimits>): void {
  limits = { ...limits, ...lower };
}
