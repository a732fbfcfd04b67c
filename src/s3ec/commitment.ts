/** The suite that commits to its data key: its commitment and the key of its content, by HKDF-SHA512. */
import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

/** Bytes of a commitment. */
export const legacyCommitmentBytes = 28;
/** The id of the suite, which is bound to the content as well. */
export const committingSuiteId = Buffer.of(0x00, 0x73);
/** Its content has a key of its own, so the nonce is a constant. It is ones, not the zeros of older texts. */
export const committingNonce = Buffer.alloc(12, 0x01);

const contentKeyBytes = 32;

/** What an object with this message id and data key commits with. */
export function commitmentOf(dataKey: KeyObject, messageId: Uint8Array): Buffer {
  return hkdfSha512(dataKey, messageId, infoOf("COMMITKEY"), legacyCommitmentBytes);
}

/** The key of the content of the object with this message id and data key. */
export function committedContentKey(dataKey: KeyObject, messageId: Uint8Array): KeyObject {
  const bytes = hkdfSha512(dataKey, messageId, infoOf("DERIVEKEY"), contentKeyBytes);
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

/** HKDF with SHA-512 (RFC 5869), both steps. */
export function hkdfSha512(secret: KeyObject, salt: Uint8Array, info: Uint8Array, length: number): Buffer {
  return Buffer.from(hkdfSync("sha512", secret, salt, info, length));
}

function infoOf(label: string): Buffer {
  return Buffer.concat([committingSuiteId, Buffer.from(label)]);
}
