/** An RSA private key that unwraps data keys: the bare operation, then constant time. decisions.md 32 */
import {
  constants,
  createHash,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  privateDecrypt,
} from "node:crypto";
import { decryptionFailed } from "../../cobblestone/derivation.js";
import { choose, type Decoded, decodeOaep, decodePkcs1, isEqual } from "../../keys/rsa/decode.js";
import { hkdf } from "../commitment.js";
import { dataKeyLengths } from "../suites.js";

const maxDataKeyBytes = 32;
const rejectionLabel = Buffer.from("s3-envelope/v1/rsa-pkcs1-rejection");

/** Unwraps data keys under one key pair. */
export class RsaPrivateKey {
  readonly publicKey: KeyObject;
  readonly #key: KeyObject;
  /** What the answers to broken ciphertexts are made from. */
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
   * RSAES-PKCS1-v1_5, of data keys alone. **Whatever was wrapped, there is a data key in answer**: where the
   * padding or the length is wrong, one that looks random but is always the same for the same ciphertext, so
   * that nobody learns which ciphertexts are well padded (Bleichenbacher 1998), and the content fails as it
   * does under any wrong key.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED` when it is no number that RSA takes, which anybody can see
   */
  unwrapPkcs1(wrapped: Uint8Array): Buffer {
    const encoded = rawDecrypt(this.#key, wrapped);
    const decoded = decodePkcs1(encoded, dataKeyLengths);
    encoded.fill(0);
    const synthetic = this.#syntheticKey(wrapped);
    const { isValid, bytes } = decoded;
    for (let index = 0; index < maxDataKeyBytes; index++) {
      bytes[index] = choose(isValid, bytes[index] ?? 0, synthetic.bytes[index] ?? 0);
    }
    synthetic.bytes.fill(0);
    return cut(bytes, 0, choose(isValid, decoded.length, synthetic.length));
  }

  /**
   * RSA-OAEP-SHA1: the length of the data key, the data key, and the name of the content algorithm.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED` whatever is wrong
   */
  unwrapOaepSha1(wrapped: Uint8Array, contentName: string): Buffer {
    const name = Buffer.from(contentName);
    const encoded = rawDecrypt(this.#key, wrapped);
    const lengths = dataKeyLengths.map((length) => 1 + length + name.length);
    const { isValid, length, bytes } = decodeOaep(encoded, { label: "sha1", mask: "sha1" }, lengths);
    encoded.fill(0);
    let isRight = 0;
    for (const dataKeyLength of dataKeyLengths) {
      let isThis = isEqual(length, 1 + dataKeyLength + name.length) & isEqual(bytes[0] ?? 0, dataKeyLength);
      for (const [index, byte] of name.entries()) {
        isThis &= isEqual(bytes[1 + dataKeyLength + index] ?? 0, byte);
      }
      isRight |= isThis;
    }
    return accepted({ isValid: isValid & isRight, length: length - 1 - name.length, bytes }, 1);
  }

  /**
   * "RSA/ECB/OAEPWithSHA-256AndMGF1Padding": the data key alone. The providers of Java do not agree on the
   * hash of its masks: most take SHA-1, some SHA-256.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED` whatever is wrong
   */
  unwrapOaepSha256(wrapped: Uint8Array): Buffer {
    const encoded = rawDecrypt(this.#key, wrapped);
    const usual = decodeOaep(encoded, { label: "sha256", mask: "sha1" }, dataKeyLengths);
    const other = decodeOaep(encoded, { label: "sha256", mask: "sha256" }, dataKeyLengths);
    encoded.fill(0);
    const { isValid, bytes } = usual;
    for (let index = 0; index < maxDataKeyBytes; index++) {
      bytes[index] = choose(isValid, bytes[index] ?? 0, other.bytes[index] ?? 0);
    }
    other.bytes.fill(0);
    const length = choose(isValid, usual.length, other.length);
    return accepted({ isValid: isValid | other.isValid, length, bytes }, 0);
  }

  #syntheticKey(wrapped: Uint8Array): { bytes: Buffer; length: number } {
    const bytes = hkdf(this.#rejectionKey, wrapped, rejectionLabel, maxDataKeyBytes + 1);
    const pick = ((bytes[maxDataKeyBytes] ?? 0) * dataKeyLengths.length) >> 8;
    let length = 0;
    for (const [index, candidate] of dataKeyLengths.entries()) length |= candidate & isEqual(pick, index);
    return { bytes, length };
  }
}

/**
 * The bare operation: as many bytes as the modulus has, padding and all.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED` when the ciphertext has another length or is no number below
 *   the modulus
 */
export function rawDecrypt(key: KeyObject, wrapped: Uint8Array): Buffer {
  if (wrapped.length !== Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)) {
    throw decryptionFailed();
  }
  try {
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, wrapped);
  } catch {
    throw decryptionFailed();
  }
}

/** The one place where a wrong padding makes a difference. */
function accepted({ isValid, length, bytes }: Decoded, start: number): Buffer {
  if (isValid === 0) {
    bytes.fill(0);
    throw decryptionFailed();
  }
  return cut(bytes, start, start + length);
}

/** A part of bytes that are not needed any more, by itself. */
function cut(bytes: Buffer, start: number, end: number): Buffer {
  const part = Buffer.from(bytes.subarray(start, end));
  bytes.fill(0);
  return part;
}
