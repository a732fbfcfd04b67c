/** The limits of the sizes in the options of a client. */

const mebibyte = 1024 * 1024;
/** S3 accepts parts of up to 5 GiB, but Node hashes at most 2^31 - 1 bytes in one go, as the SDK does to sign a part. */
export const maxPartBytes = 2047 * mebibyte;

/** The smallest sizes, in bytes. */
export interface TransferLimits {
  /** The smallest part that S3 accepts, except for the last one. */
  readonly minPartBytes: number;
  /** Enough for one part of the default size and the bytes that are read ahead for it. */
  readonly minBufferedBytes: number;
}

let limits: TransferLimits = { minPartBytes: 5 * mebibyte, minBufferedBytes: 16 * mebibyte };

/** The smallest sizes that options may state. */
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
