/** Derives the keys of the content of one object from its data key. */
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

/** The keys of the content of one object. */
export interface ContentKeys {
  readonly suite: ContentSuite;
  /** The AES key of the content: the data key, or a key that is derived from it. */
  readonly key: KeyObject;
  /** The IV of the cipher, never the message id. */
  readonly iv: Buffer;
  /** The additional data that GCM authenticates, if any. */
  readonly aad: Buffer | undefined;
}

/** Keys for one new object, and the fields of its metadata. */
export interface NewContentKeys {
  readonly keys: ContentKeys;
  /** The IV of the metadata; the message id of the suite that commits. */
  readonly iv: Buffer;
  readonly commitment: Buffer | undefined;
}

/**
 * Derives the keys of the content of an existing object. The commitment is compared, in constant time, before the content
 * key is derived.
 *
 * @param dataKey the unwrapped data key; the caller zeroes it
 * @param contentAad the additional data that a writer of V2 authenticated with the content, of which the object has no
 *   trace; ignored for other formats
 * @throws EnvelopeError `DECRYPTION_FAILED` when the data key has a wrong length, or is not the committed one
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

/** Keys made by {@link sealContentKeys} that have not been used yet. */
const unused = new WeakSet<ContentKeys>();

/**
 * Derives keys for the content of one new object. They seal once: a second attempt with other plaintext needs other keys.
 *
 * @param dataKey 32 bytes generated for this object only; the caller zeroes them
 * @param iv `suite.ivBytes` random bytes; stated by tests only
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

/** Marks keys as used. Throws if they have been used: a second plaintext under the same keys would reveal both. */
export function useToSeal(keys: ContentKeys): void {
  if (!unused.delete(keys))
    throw new Error("these keys have been used to seal an object, or were not made for sealing");
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
