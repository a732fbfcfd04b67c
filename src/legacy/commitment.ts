/** The suite that commits to its data key: what an object commits with, and the key of its content, by HKDF-SHA512. */
import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

/** Bytes of a commitment. */
export const commitmentBytes = 28;
/** The id of the suite, which is bound to the content as well. */
export const committingSuiteId = Buffer.of(0x00, 0x73);
/** Its content has a key of its own, so the nonce is a constant. It is ones, not the zeros of older texts. */
export const committingNonce = Buffer.alloc(12, 0x01);

const contentKeyBytes = 32;

/** What an object with this message id and data key commits with. */
export function commitmentOf(dataKey: KeyObject, messageId: Uint8Array): Buffer {
  return expand(dataKey, messageId, "COMMITKEY", commitmentBytes);
}

/** The key of the content of the object with this message id and data key. */
export function committedContentKey(dataKey: KeyObject, messageId: Uint8Array): KeyObject {
  const bytes = expand(dataKey, messageId, "DERIVEKEY", contentKeyBytes);
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

function expand(dataKey: KeyObject, messageId: Uint8Array, label: string, length: number): Buffer {
  const info = Buffer.concat([committingSuiteId, Buffer.from(label)]);
  return Buffer.from(hkdfSync("sha512", dataKey, messageId, info, length));
}
