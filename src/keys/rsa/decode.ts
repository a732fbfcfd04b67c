/**
 * Decodes the two paddings of RSA in constant time (RFC 8017, 7.1.2 and 7.2.2): no branch, index or length depends on the
 * bytes, so that the time taken does not reveal what was wrong with them.
 */
import { createHash } from "node:crypto";

/**
 * A decoded message. Choices are masks, -1 for yes and 0 for no: `a & mask | b & ~mask` is a choice without a branch.
 */
export interface Decoded {
  /** -1 when the padding is right and the length is one of those allowed, or else 0. */
  readonly isValid: number;
  /** The length of the message; 0 when it is not valid. */
  readonly length: number;
  /** The message, followed by zeros up to the longest allowed length. */
  readonly bytes: Buffer;
}

/** The hash functions of OAEP. */
export interface OaepHashes {
  /** The hash function of the label. Its output is as long as the seed. */
  readonly label: "sha1" | "sha256";
  /** The hash function of the masks. */
  readonly mask: "sha1" | "sha256";
}

/** -1 when two integers from 0 to 2^31 - 1 are equal, or else 0. */
export function isEqual(left: number, right: number): number {
  const difference = left ^ right;
  return (~difference & (difference - 1)) >> 31;
}

/** The first of two integers when the mask is -1, the second when it is 0. */
export function choose(mask: number, first: number, second: number): number {
  return (first & mask) | (second & ~mask);
}

/**
 * Decodes RSAES-PKCS1-v1_5: 00 02, eight or more bytes that are not 0, 00, message.
 *
 * @param encoded as many bytes as the modulus has
 * @param lengths the lengths that the message may have, each at least 11 less than that
 */
export function decodePkcs1(encoded: Uint8Array, lengths: readonly number[]): Decoded {
  const startsRight = isEqual(byteAt(encoded, 0), 0) & isEqual(byteAt(encoded, 1), 2);
  return messageAtEnd(encoded, lengths, (separator) => {
    let isPadding = startsRight & isEqual(byteAt(encoded, separator), 0);
    for (let index = 2; index < separator; index++) isPadding &= ~isEqual(byteAt(encoded, index), 0);
    return isPadding;
  });
}

/**
 * Decodes RSAES-OAEP.
 *
 * @param encoded as many bytes as the modulus has
 * @param lengths the lengths that the message may have, each shorter than that by at least twice the hash and 2
 * @param label empty by default
 */
export function decodeOaep(
  encoded: Uint8Array,
  hashes: OaepHashes,
  lengths: readonly number[],
  label: Uint8Array = new Uint8Array(0),
): Decoded {
  const labelHash = createHash(hashes.label).update(label).digest();
  const hashBytes = labelHash.length;
  const maskedSeed = encoded.subarray(1, 1 + hashBytes);
  const maskedBlock = encoded.subarray(1 + hashBytes);
  const seed = xor(maskedSeed, maskOf(maskedBlock, hashBytes, hashes.mask));
  const block = xor(maskedBlock, maskOf(seed, maskedBlock.length, hashes.mask));
  let startsRight = isEqual(byteAt(encoded, 0), 0);
  for (const [index, byte] of labelHash.entries()) startsRight &= isEqual(byteAt(block, index), byte);
  const decoded = messageAtEnd(block, lengths, (separator) => {
    let isPadding = startsRight & isEqual(byteAt(block, separator), 1);
    for (let index = hashBytes; index < separator; index++) isPadding &= isEqual(byteAt(block, index), 0);
    return isPadding;
  });
  seed.fill(0);
  block.fill(0);
  return decoded;
}

/** Tries all lengths. At most one has a separator before the message and the right padding before that. */
function messageAtEnd(
  block: Uint8Array,
  lengths: readonly number[],
  isPaddedUpTo: (separator: number) => number,
): Decoded {
  const bytes = Buffer.alloc(Math.max(...lengths));
  let isValid = 0;
  let found = 0;
  for (const length of lengths) {
    const start = block.length - length;
    const isThis = isPaddedUpTo(start - 1);
    isValid |= isThis;
    found |= length & isThis;
    for (let index = 0; index < length; index++) {
      bytes[index] = byteAt(bytes, index) | (byteAt(block, start + index) & isThis);
    }
  }
  return { isValid, length: found, bytes };
}

/** MGF1 (RFC 8017, B.2.1). */
function maskOf(seed: Uint8Array, length: number, hash: OaepHashes["mask"]): Buffer {
  const blocks: Buffer[] = [];
  const counter = Buffer.alloc(4);
  for (let bytes = 0; bytes < length; bytes += blocks[0]?.length ?? length) {
    counter.writeUInt32BE(blocks.length);
    blocks.push(createHash(hash).update(seed).update(counter).digest());
  }
  const mask = Buffer.concat(blocks, length);
  for (const block of blocks) block.fill(0);
  return mask;
}

/** Overwrites the mask with the unmasked bytes. */
function xor(masked: Uint8Array, mask: Buffer): Buffer {
  for (let index = 0; index < mask.length; index++) mask[index] = byteAt(mask, index) ^ byteAt(masked, index);
  return mask;
}

/** The byte at an index within the bytes: `??` is for the compiler, and its right side is never used. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
