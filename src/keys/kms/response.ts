/** Checks the responses of KMS: a fault that is not found here would be found when the object is read, if ever. */
import { printable } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";
import { dataKeyFault, type GeneratedDataKey, type Recipient, recipientFault } from "../keyring.js";
import type { KmsTarget } from "./errors.js";

/** A data key made by KMS, with its one wrapped copy. */
export interface KmsDataKey extends GeneratedDataKey {
  readonly recipients: readonly [Recipient];
}

/** The provider of recipients that KMS has wrapped. */
export const kmsProvider = "aws-kms";

/**
 * Reads the data key from a response to GenerateDataKey.
 *
 * @param configured the configured key: a data key under another one could never be unwrapped
 * @throws EnvelopeError `KMS_REQUEST_FAILED`; the bytes of the data key are zeroed
 */
export function generatedDataKey(
  output: { readonly Plaintext?: unknown; readonly KeyId?: unknown; readonly CiphertextBlob?: unknown },
  configured: string,
  target: KmsTarget,
): KmsDataKey {
  const { KeyId: keyId, CiphertextBlob: ciphertext } = output;
  const plaintext = plaintextOf(output, target);
  const refused = (fault: string) => {
    plaintext.fill(0);
    return unusableResponse(target, fault);
  };
  const plaintextFault = dataKeyFault(plaintext);
  if (plaintextFault !== undefined) throw refused(`has a Plaintext that is no data key: ${plaintextFault}`);
  if (typeof keyId !== "string") throw refused("has no KeyId");
  if (!(ciphertext instanceof Uint8Array)) throw refused("has no CiphertextBlob");
  const recipient = { provider: kmsProvider, keyId, ciphertext };
  const fault = recipientFault(recipient);
  if (fault !== undefined) throw refused(`cannot be a recipient: ${fault}`);
  if (!canBeKey(configured, keyId)) throw refused(`is under another key: ${printable(keyId)}`);
  return { plaintext, recipients: [recipient] };
}

/**
 * Reads the data key from a response to Decrypt.
 *
 * @param configured the configured key: a service that ignores it would decrypt under any. Undefined for any key
 * @throws EnvelopeError `KMS_REQUEST_FAILED`; the bytes of the data key are zeroed
 */
export function decryptedDataKey(
  output: { readonly Plaintext?: unknown; readonly KeyId?: unknown },
  configured: string | undefined,
  target: KmsTarget,
): Uint8Array {
  const { KeyId: keyId } = output;
  const plaintext = plaintextOf(output, target);
  // KMS always names the key. A substitute that names none is assumed to have used the requested one.
  if (configured === undefined || keyId === undefined) return plaintext;
  if (typeof keyId === "string" && canBeKey(configured, keyId)) return plaintext;
  plaintext.fill(0);
  throw unusableResponse(
    target,
    typeof keyId === "string"
      ? `is under another key: ${printable(keyId)}`
      : "has a KeyId that is not a string",
  );
}

/** Plaintexts of earlier responses, which are zeroed after use. */
const seenPlaintexts = new WeakSet<Uint8Array>();

/** The Plaintext of a response. KMS makes a new one each time, but a mock may return the same array again. */
function plaintextOf(
  { Plaintext: plaintext }: { readonly Plaintext?: unknown },
  target: KmsTarget,
): Uint8Array {
  if (!(plaintext instanceof Uint8Array)) throw unusableResponse(target, "has no Plaintext");
  if (seenPlaintexts.has(plaintext) && plaintext.every((byte) => byte === 0)) {
    throw new EnvelopeError(
      "KMS_REQUEST_FAILED",
      `KMS ${target.operation} failed: its response has the Plaintext of an earlier response, which was zeroed after use; a mock of KMS must make a new one for each call`,
      { details: { ...target } },
    );
  }
  seenPlaintexts.add(plaintext);
  return plaintext;
}

/** Whether a configured key can be the key of this ARN. An alias can be any key: KMS decides, as Decrypt is pinned to it. */
export function canBeKey(configured: string, arn: string): boolean {
  if (configured.startsWith("alias/") || configured.includes(":alias/")) return true;
  return configured.startsWith("arn:") ? configured === arn : arn.endsWith(`:key/${configured}`);
}

function unusableResponse(target: KmsTarget, fault: string): EnvelopeError {
  return new EnvelopeError(
    "KMS_REQUEST_FAILED",
    `KMS ${target.operation} failed: its response ${fault}; is there a proxy between you and KMS?`,
    { details: { ...target } },
  );
}
