/** Derives the keys of one message from a data key, by HKDF-Expand with SHA-512. format.md 4 specifies it. */
import { createHmac, createSecretKey, KeyObject, timingSafeEqual } from "node:crypto";
import { wrongType } from "../base/arguments.js";
import { decryptionFailed } from "../base/errors.js";
import { commitmentBytes, headerBytes, saltBytes } from "./layout.js";

/** Bytes of a data key. */
export const dataKeyBytes = 32;

const label = Buffer.from("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0", "latin1");
const keyBytes = 32;
const nonceBytes = 12;

/** The keys that seal and open the chunks of one message. */
export interface MessageKeys {
  /** The AES-256 key of this message. */
  readonly key: KeyObject;
  /** The nonce of chunk 0; the nonce of chunk k is this XOR k. */
  readonly baseNonce: Buffer;
  /** Salt and commitment: the first 56 bytes of the message. */
  readonly header: Buffer;
}

/**
 * Checks a data key given as bytes or as a KeyObject, and returns a KeyObject that is independent of the caller's bytes.
 *
 * @throws TypeError, RangeError when it is not 32 secret bytes
 */
export function dataKeyArgument(title: string, value: unknown): KeyObject {
  if (value instanceof Uint8Array) {
    if (value.length === dataKeyBytes) return createSecretKey(value);
    throw new RangeError(`${title}: expected ${dataKeyBytes} bytes, got ${value.length}`);
  }
  if (!(value instanceof KeyObject) || value.type !== "secret") {
    throw wrongType(title, "a Uint8Array or a secret KeyObject", value);
  }
  if (value.symmetricKeySize === dataKeyBytes) return value;
  throw new RangeError(`${title}: expected ${dataKeyBytes} bytes, got ${value.symmetricKeySize}`);
}

/**
 * Derives the keys of the message with this salt.
 *
 * @param dataKey 32 uniformly random bytes
 * @param salt 24 bytes, fresh for each message
 * @param context bytes that are bound into the message; a reader needs the same bytes
 */
export function deriveMessageKeys(dataKey: KeyObject, salt: Uint8Array, context: Uint8Array): MessageKeys {
  const info = Buffer.concat([label, salt, context]);
  const first = createHmac("sha512", dataKey).update(info).update(Uint8Array.of(1)).digest();
  const second = createHmac("sha512", dataKey).update(first).update(info).update(Uint8Array.of(2)).digest();
  const commitment = Buffer.concat([first.subarray(keyBytes + nonceBytes), second], commitmentBytes);
  const keys = {
    key: createSecretKey(first.subarray(0, keyBytes)),
    baseNonce: Buffer.from(first.subarray(keyBytes, keyBytes + nonceBytes)),
    header: Buffer.concat([salt, commitment]),
  };
  first.fill(0);
  second.fill(0);
  return keys;
}

/**
 * Derives the keys of the message that starts with `header`, and checks its key commitment in constant time.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED` when the commitment belongs to another key, salt or context
 */
export function openHeader(dataKey: KeyObject, header: Uint8Array, context: Uint8Array): MessageKeys {
  const keys = deriveMessageKeys(dataKey, header.subarray(0, saltBytes), context);
  requireHeader(keys, header);
  return keys;
}

/**
 * Compares the first bytes of a body, in constant time, with the header of the keys that are to open it.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED`
 */
export function requireHeader(keys: MessageKeys, header: Uint8Array): void {
  if (header.length !== headerBytes || !timingSafeEqual(keys.header, header)) throw decryptionFailed();
}
