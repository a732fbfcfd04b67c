/** A range of an object of Amazon's clients: what is wanted in plaintext, and which blocks of ciphertext it takes. */

import { type ByteRange, fitRange } from "../../objects/encrypted/range.js";
import { blockBytes, type ContentSuite } from "../../s3ec/suites.js";

/** Which bytes to ask for, and what to do with them. */
export interface LegacyRangePlan {
  /** First and last byte to ask S3 for. */
  readonly from: number;
  readonly to: number;
  readonly firstBlock: number;
  readonly holdsLastBlock: boolean;
  /** Bytes of plaintext before the wanted ones. */
  readonly skip: number;
  /** How many are wanted. */
  readonly length: number;
  readonly contentRange: string;
}

/** How long the plaintext is, if the size of the object tells: the padding of AES/CBC is in its last block. */
export function plainLengthOf({ mode, tagBytes }: ContentSuite, totalBytes: number): number | undefined {
  return mode === "gcm" ? totalBytes - tagBytes : undefined;
}

/** Whether a range ends before the last block, which alone has padding: then nothing else need be known. */
export function endsBeforePadding(range: ByteRange, totalBytes: number): boolean {
  return !("suffix" in range) && range.last !== undefined && range.last < totalBytes - blockBytes;
}

/**
 * Fits a range to an object of so many bytes.
 *
 * @param plainLength undefined for AES/CBC when the range {@link endsBeforePadding}
 * @throws EnvelopeError `S3_RANGE_NOT_SATISFIABLE`
 */
export function planLegacyRange(
  range: ByteRange,
  { mode }: ContentSuite,
  totalBytes: number,
  plainLength: number | undefined,
): LegacyRangePlan {
  const { start, last } = fitRange(range, plainLength ?? totalBytes - blockBytes);
  const firstBlock = Math.floor(start / blockBytes);
  const wanted = {
    firstBlock,
    skip: start - firstBlock * blockBytes,
    length: last + 1 - start,
    contentRange: `bytes ${start}-${last}/${plainLength ?? "*"}`,
  };
  // AES-CTR takes any bytes; AES/CBC takes whole blocks, and the one before them in place of an IV.
  if (mode === "gcm") return { ...wanted, from: firstBlock * blockBytes, to: last, holdsLastBlock: false };
  const lastBlock = Math.floor(last / blockBytes);
  return {
    ...wanted,
    from: Math.max(0, firstBlock - 1) * blockBytes,
    to: (lastBlock + 1) * blockBytes - 1,
    holdsLastBlock: (lastBlock + 1) * blockBytes === totalBytes,
  };
}
