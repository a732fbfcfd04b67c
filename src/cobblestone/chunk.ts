/** Seals and opens one chunk, without any buffering. format.md 5 specifies it. */

import { createCipheriv, createDecipheriv } from "node:crypto";
import { decryptionFailed } from "../base/errors.js";
import type { MessageKeys } from "./derivation.js";
import { maxChunks, tagBytes } from "./layout.js";

const suite = "aes-256-gcm";
const tagLength = { authTagLength: tagBytes };
/** Scratch memory for the nonce of the current call: a cipher copies its nonce at once, and no call is asynchronous. */
const nonce = Buffer.allocUnsafeSlow(12);
const nonceView = new DataView(nonce.buffer);

/** The keys of a message that its chunks need. */
export type ChunkKeys = Pick<MessageKeys, "key" | "baseNonce">;

/** An encrypted chunk: in the message, the tag follows the ciphertext. */
export interface SealedChunk {
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/**
 * Encrypts one chunk. Returns ciphertext and tag apart, because joining them would copy 16 KiB for each chunk.
 *
 * @throws RangeError when the message would have more than 2^38 chunks
 */
export function sealChunk(keys: ChunkKeys, index: number, plaintext: Uint8Array): SealedChunk {
  const cipher = createCipheriv(suite, keys.key, chunkNonce(keys.baseNonce, index));
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return { ciphertext, tag: cipher.getAuthTag() };
}

/**
 * Decrypts one chunk and returns its plaintext once its tag has verified.
 *
 * @param sealed the ciphertext and its 16-byte tag
 * @throws EnvelopeError `DECRYPTION_FAILED` when the tag does not verify
 */
export function openChunk(keys: ChunkKeys, index: number, sealed: Uint8Array): Buffer {
  const end = sealed.length - tagBytes;
  const decipher = createDecipheriv(suite, keys.key, chunkNonce(keys.baseNonce, index), tagLength);
  decipher.setAuthTag(sealed.subarray(end));
  const plaintext = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
  } catch {
    plaintext.fill(0);
    throw decryptionFailed();
  }
  return plaintext;
}

/** The nonce of a chunk: the base nonce XOR the index as a 96-bit big-endian number. */
function chunkNonce(baseNonce: Buffer, index: number): Buffer {
  if (!(index < maxChunks)) throw new RangeError(`index: expected a chunk index below 2^38, got ${index}`);
  nonce.set(baseNonce);
  nonceView.setUint8(7, nonceView.getUint8(7) ^ Math.floor(index / 2 ** 32));
  nonceView.setUint32(8, nonceView.getUint32(8) ^ index);
  return nonce;
}
