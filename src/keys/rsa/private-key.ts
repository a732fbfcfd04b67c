/** Decrypts short messages, such as data keys, with an RSA private key: the raw operation, then padding in constant time. */

import {
  constants,
  createHash,
  createPublicKey,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  privateDecrypt,
} from "node:crypto";
import { decryptionFailed } from "../../base/errors.js";
import { choose, type Decoded, decodeOaep, decodePkcs1, isEqual, type OaepHashes } from "./decode.js";

const rejectionLabel = Buffer.from("s3-envelope/v1/rsa-pkcs1-rejection");

/** An RSA private key and its public key. */
export class RsaPrivateKey {
  readonly publicKey: KeyObject;
  readonly #key: KeyObject;
  /** The secret from which the results for badly padded ciphertexts are derived. */
  readonly #rejectionKey: KeyObject;

  constructor(key: KeyObject) {
    this.publicKey = createPublicKey(key);
    this.#key = key;
    const encoded = key.export({ type: "pkcs1", format: "der" });
    const digest = createHash("sha512").update(encoded).digest();
    this.#rejectionKey = createSecretKey(digest);
    encoded.fill(0);
    digest.fill(0);
  }

  /**
   * Decrypts by RSAES-PKCS1-v1_5. **Returns a message for every ciphertext**: if the padding or the length is wrong, the
   * message looks random but is always the same for the same ciphertext. So nobody learns which ciphertexts are well
   * padded (Bleichenbacher 1998), and the caller's own authentication fails as it does under any wrong key.
   *
   * @param lengths the lengths in bytes that the message may have, in ascending order, each less than 256
   * @throws EnvelopeError `DECRYPTION_FAILED` when the ciphertext is no number that RSA takes, which is public
   */
  decryptPkcs1(ciphertext: Uint8Array, lengths: readonly number[]): Buffer {
    const encoded = rawDecrypt(this.#key, ciphertext);
    const decoded = decodePkcs1(encoded, lengths);
    encoded.fill(0);
    const synthetic = this.#syntheticMessage(ciphertext, lengths);
    const { isValid, bytes } = decoded;
    for (let index = 0; index < bytes.length; index++) {
      bytes[index] = choose(isValid, bytes[index] ?? 0, synthetic.bytes[index] ?? 0);
    }
    synthetic.bytes.fill(0);
    return takeBytes(bytes, 0, choose(isValid, decoded.length, synthetic.length));
  }

  /**
   * Decrypts by RSAES-OAEP with an empty label. Pass the result to {@link requireValid}, after any further check of the
   * message, made without a branch, has been added to its `isValid`.
   *
   * @param hashes pairs of hash functions that are all tried; the first that fits is taken
   * @param lengths the lengths in bytes that the message may have
   * @throws EnvelopeError `DECRYPTION_FAILED` when the ciphertext is no number that RSA takes, which is public
   */
  decryptOaep(
    ciphertext: Uint8Array,
    hashes: readonly [OaepHashes, ...OaepHashes[]],
    lengths: readonly number[],
  ): Decoded {
    const encoded = rawDecrypt(this.#key, ciphertext);
    const [first, ...others] = hashes.map((pair) => decodeOaep(encoded, pair, lengths));
    encoded.fill(0);
    if (!first) throw new Error("unreachable: there is at least one pair of hashes");
    return others.reduce(firstValid, first);
  }

  /** The message for a ciphertext that is badly padded: its length is one of those allowed. */
  #syntheticMessage(ciphertext: Uint8Array, lengths: readonly number[]): { bytes: Buffer; length: number } {
    const maxBytes = Math.max(...lengths);
    const derived = hkdfSync("sha512", this.#rejectionKey, ciphertext, rejectionLabel, maxBytes + 1);
    const bytes = Buffer.from(derived);
    const pick = ((bytes[maxBytes] ?? 0) * lengths.length) >> 8;
    let length = 0;
    for (const [index, candidate] of lengths.entries()) length |= candidate & isEqual(pick, index);
    return { bytes, length };
  }
}

/** Chooses between two results without a branch, and clears the second. */
function firstValid(first: Decoded, second: Decoded): Decoded {
  const { isValid, bytes } = first;
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = choose(isValid, bytes[index] ?? 0, second.bytes[index] ?? 0);
  }
  second.bytes.fill(0);
  return {
    isValid: isValid | second.isValid,
    length: choose(isValid, first.length, second.length),
    bytes,
  };
}

/**
 * Returns a decoded message and clears the memory that it was in. The one place where a wrong padding makes a
 * difference.
 *
 * @param start the bytes of the message before this one are dropped
 * @param end the message ends before this byte
 * @throws EnvelopeError `DECRYPTION_FAILED` whatever is wrong
 */
export function requireValid({ isValid, bytes }: Decoded, start: number, end: number): Buffer {
  if (isValid === 0) {
    bytes.fill(0);
    throw decryptionFailed();
  }
  return takeBytes(bytes, start, end);
}

/**
 * The raw RSA operation. Returns as many bytes as the modulus has, with the padding.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED` when the ciphertext has another length or is no number below the modulus
 */
export function rawDecrypt(key: KeyObject, ciphertext: Uint8Array): Buffer {
  if (ciphertext.length !== Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)) {
    throw decryptionFailed();
  }
  try {
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, ciphertext);
  } catch {
    throw decryptionFailed();
  }
}

/** Copies a part of the bytes into memory of its own and clears the rest. */
function takeBytes(bytes: Buffer, start: number, end: number): Buffer {
  const part = Buffer.from(bytes.subarray(start, end));
  bytes.fill(0);
  return part;
}
