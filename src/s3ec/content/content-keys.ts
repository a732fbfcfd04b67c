/** From a data key to what opens or seals the content of one object. */

import { createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import { decryptionFailed } from "../../base/errors.js";
import {
  commitmentOf,
  committedContentKey,
  committingNonce,
  committingSuiteId,
  legacyCommitmentBytes,
} from "../commitment.js";
import type { LegacyEnvelope } from "../envelope.js";
import type { ContentSuite } from "../suites.js";

/** What opens or seals the content of one object. */
export interface ContentKeys {
  readonly suite: ContentSuite;
  /** The AES key of the content: the data key, or what is derived from it. */
  readonly key: KeyObject;
  /** The IV of the cipher, never the message id. */
  readonly iv: Buffer;
  /** What GCM authenticates beside the content, if anything. */
  readonly aad: Buffer | undefined;
}

/** Keys for one new object, and what its metadata says of them. */
export interface NewContentKeys {
  readonly keys: ContentKeys;
  /** The IV of the metadata; the message id of the suite that commits. */
  readonly iv: Buffer;
  readonly commitment: Buffer | undefined;
}

/**
 * The keys of an object's content. The commitment is compared, in constant time, before the key of the
 * content is derived.
 *
 * @param dataKey as it was unwrapped; stays the caller's, who zeroes it
 * @param contentAad what a writer of V2 authenticated beside the content without a trace of it; other
 *   formats have no use for it
 * @throws EnvelopeError `DECRYPTION_FAILED` when the data key has another length, or is not the one that
 *   was committed to
 */
export function openContentKeys(
  envelope: LegacyEnvelope,
  dataKey: Uint8Array,
  contentAad?: Uint8Array,
): ContentKeys {
  const { suite, iv, commitment } = envelope;
  if (!suite.dataKeyBytes.includes(dataKey.length) || iv.length !== suite.ivBytes) throw decryptionFailed();
  const key = createSecretKey(dataKey);
  if (!suite.commits) return { suite, key, iv: Buffer.from(iv), aad: aadOf(suite, contentAad) };
  if (isZero(iv) || commitment?.length !== legacyCommitmentBytes) throw decryptionFailed();
  if (!timingSafeEqual(commitmentOf(key, iv), commitment)) throw decryptionFailed();
  return committedKeys(suite, key, iv);
}

/** Objects made by {@link sealContentKeys} that nothing has been sealed under. */
const unused = new WeakSet<ContentKeys>();

/**
 * Keys for the content of one new object. They seal once: another try with other plaintext takes other keys.
 *
 * @param dataKey 32 bytes made for this object alone; stays the caller's, who zeroes it
 * @param iv random, of `suite.ivBytes`; given by tests alone
 */
export function sealContentKeys(
  suite: ContentSuite,
  dataKey: Uint8Array,
  iv: Buffer = randomBytes(suite.ivBytes),
): NewContentKeys {
  if (suite.mode !== "gcm") throw new RangeError("suite: expected one that authenticates, got AES/CBC");
  if (dataKey.length !== 32) throw new RangeError(`dataKey: expected 32 bytes, got ${dataKey.length}`);
  if (iv.length !== suite.ivBytes || isZero(iv)) throw new RangeError("iv: expected fresh random bytes");
  const dataKeyObject = createSecretKey(dataKey);
  const keys = suite.commits
    ? committedKeys(suite, dataKeyObject, iv)
    : { suite, key: dataKeyObject, iv, aad: undefined };
  unused.add(keys);
  return { keys, iv, commitment: suite.commits ? commitmentOf(dataKeyObject, iv) : undefined };
}

/** Takes keys for sealing, once: a second plaintext under them would reveal both. */
export function useToSeal(keys: ContentKeys): void {
  if (!unused.delete(keys)) throw new Error("these keys have sealed an object, or were not made to seal one");
}

function committedKeys(suite: ContentSuite, dataKey: KeyObject, messageId: Uint8Array): ContentKeys {
  const key = committedContentKey(dataKey, messageId);
  return { suite, key, iv: committingNonce, aad: committingSuiteId };
}

function aadOf(suite: ContentSuite, contentAad: Uint8Array | undefined): Buffer | undefined {
  if (suite.mode !== "gcm" || contentAad === undefined || contentAad.length === 0) return undefined;
  return Buffer.from(contentAad);
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
