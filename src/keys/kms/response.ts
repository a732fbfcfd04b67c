/** Makes sure that an answer of KMS is one: what is broken here would be found when the object is read, if ever. */
import { printable } from "../../base/bytes.js";
import { dataKeyFault, type GeneratedDataKey, type Recipient, recipientFault } from "../keyring.js";

/** A data key that KMS has made, and the one wrapped copy that it gives. */
export interface KmsDataKey extends GeneratedDataKey {
  readonly recipients: readonly [Recipient];
}

/** The provider of recipients that KMS has wrapped. */
export const provider = "aws-kms";

/**
 * The data key in an answer; its bytes are zeroed when the answer is refused.
 *
 * @param configured the key that was asked for: one under another key would never be opened
 * @returns what is wrong with the answer, if anything
 */
export function generatedDataKey(
  answer: { readonly Plaintext?: unknown; readonly KeyId?: unknown; readonly CiphertextBlob?: unknown },
  configured: string,
): KmsDataKey | string {
  const { Plaintext: plaintext, KeyId: keyId, CiphertextBlob: ciphertext } = answer;
  if (!(plaintext instanceof Uint8Array)) return "has no Plaintext";
  const refused = (fault: string) => {
    plaintext.fill(0);
    return fault;
  };
  const plaintextFault = dataKeyFault(plaintext);
  if (plaintextFault !== undefined) return refused(`has a Plaintext that is no data key: ${plaintextFault}`);
  if (typeof keyId !== "string") return refused("has no KeyId");
  if (!(ciphertext instanceof Uint8Array)) return refused("has no CiphertextBlob");
  const recipient = { provider, keyId, ciphertext };
  const fault = recipientFault(recipient);
  if (fault !== undefined) return refused(`cannot be a recipient: ${fault}`);
  if (!mayBe(configured, keyId)) return refused(`is under another key: ${printable(keyId)}`);
  return { plaintext, recipients: [recipient] };
}

const handedOut = new WeakSet<Uint8Array>();

/**
 * Whether the Plaintext of an answer is that of an earlier one, zeroed since: KMS makes a new one each time, but a mock
 * may give the same array again and again. Remembers it.
 */
export function isZeroedEarlier(plaintext: unknown): boolean {
  if (!(plaintext instanceof Uint8Array)) return false;
  if (handedOut.has(plaintext)) return plaintext.every((byte) => byte === 0);
  handedOut.add(plaintext);
  return false;
}

/**
 * The data key in an answer to Decrypt; its bytes are zeroed when the answer is refused.
 *
 * @param configured the key that was asked for: a service that passes it over would decrypt under any. Undefined for any key
 * @returns what is wrong with the answer, if anything
 */
export function decryptedDataKey(
  answer: { readonly Plaintext?: unknown; readonly KeyId?: unknown },
  configured: string | undefined,
): Uint8Array | string {
  const { Plaintext: plaintext, KeyId: keyId } = answer;
  if (!(plaintext instanceof Uint8Array)) return "has no Plaintext";
  // KMS always names the key; a stand-in that names none has decrypted under the key that it was asked for, as far as anybody can tell.
  if (configured === undefined || keyId === undefined) return plaintext;
  if (typeof keyId === "string" && mayBe(configured, keyId)) return plaintext;
  plaintext.fill(0);
  return typeof keyId === "string"
    ? `is under another key: ${printable(keyId)}`
    : "has a KeyId that is no text";
}

/** Whether a configured key can be the one with this ARN. An alias can be any: KMS decides, as Decrypt is pinned to it. */
export function mayBe(configured: string, arn: string): boolean {
  if (configured.startsWith("alias/") || configured.includes(":alias/")) return true;
  return configured.startsWith("arn:") ? configured === arn : arn.endsWith(`:key/${configured}`);
}
