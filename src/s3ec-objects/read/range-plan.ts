/** The blocks of ciphertext that a range of an object of Amazon's clients takes. */
import { type ByteRange, fitRange } from "../../objects/encrypted/range.js";
import { blockBytes, type ContentSuite } from "../../s3ec/suites.js";

/** The blocks of ciphertext to request and decrypt. */
export interface BlocksToRead {
  /** First and last byte to request from S3. */
  readonly from: number;
  readonly to: number;
  /** Index of the first block of plaintext. */
  readonly firstBlock: number;
  /** Whether the last block of the object is among them: in AES/CBC it has the padding. */
  readonly holdsLastBlock: boolean;
}

/** The blocks that a range takes, and the plaintext in them that is wanted. */
export interface LegacyRangePlan extends BlocksToRead {
  /** Bytes of plaintext that come before the wanted ones. */
  readonly skip: number;
  /** How many are wanted. */
  readonly length: number;
  readonly contentRange: string;
}

/** The length of the plaintext, if the size of the object shows it: that of AES/CBC depends on the padding in its last block. */
export function plainLengthOf({ mode, tagBytes }: ContentSuite, totalBytes: number): number | undefined {
  return mode === "gcm" ? totalBytes - tagBytes : undefined;
}

/** Whether a range ends before the last block, the only one with padding: then the length of the plaintext is not needed. */
export function endsBeforePadding(range: ByteRange, totalBytes: number): boolean {
  return !("suffix" in range) && range.last !== undefined && range.last < totalBytes - blockBytes;
}

/** The last block of AES/CBC, with the block before it in place of an IV, and its offset in the object. */
export function lastBlock(totalBytes: number): { readonly start: number; readonly blocks: BlocksToRead } {
  const start = totalBytes - blockBytes;
  const from = Math.max(0, start - blockBytes);
  return {
    start,
    blocks: { from, to: totalBytes - 1, firstBlock: start / blockBytes, holdsLastBlock: true },
  };
}

/**
 * Fits a range to an object of `totalBytes`.
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
  const endBlock = Math.floor(last / blockBytes) + 1;
  return {
    ...wanted,
    from: Math.max(0, firstBlock - 1) * blockBytes,
    to: endBlock * blockBytes - 1,
    holdsLastBlock: endBlock * blockBytes === totalBytes,
  };
}
