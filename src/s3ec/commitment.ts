/** The key commitment and the content key of the committing suite (V3), derived by HKDF-SHA512. */
import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

/** The length of a key commitment in bytes. */
export const legacyCommitmentBytes = 28;
/** The id of the suite. It is additional data of the content, too. */
export const committingSuiteId = Buffer.of(0x00, 0x73);
/** The nonce is constant, as every object has its own content key. Its bytes are 1, not 0 as older specifications say. */
export const committingNonce = Buffer.alloc(12, 0x01);

const contentKeyBytes = 32;

/** The commitment of the object with this message id and data key. */
export function commitmentOf(dataKey: KeyObject, messageId: Uint8Array): Buffer {
  return hkdfSha512(dataKey, messageId, infoOf("COMMITKEY"), legacyCommitmentBytes);
}

/** The content key of the object with this message id and data key. */
export function committedContentKey(dataKey: KeyObject, messageId: Uint8Array): KeyObject {
  const bytes = hkdfSha512(dataKey, messageId, infoOf("DERIVEKEY"), contentKeyBytes);
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

/** HKDF with SHA-512 (RFC 5869): extract and expand. */
export function hkdfSha512(secret: KeyObject, salt: Uint8Array, info: Uint8Array, length: number): Buffer {
  return Buffer.from(hkdfSync("sha512", secret, salt, info, length));
}

function infoOf(label: string): Buffer {
  return Buffer.concat([committingSuiteId, Buffer.from(label)]);
}
