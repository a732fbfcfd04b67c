/** A keyring on AWS KMS: GenerateDataKey to write, Decrypt to read. */
import type { KMSClient } from "@aws-sdk/client-kms";
import { objectArgument, stringArgument, textArgument, wrongType } from "../arguments.js";
import { EnvelopeError, hasCode } from "../errors.js";
import {
  generateInputArgument,
  type Keyring,
  type Recipient,
  type UnwrapDataKeyInput,
  unwrapInputArgument,
} from "./keyring.js";
import { generatedDataKey, mayBe, provider } from "./kms-answer.js";
import { type KmsAttempt, kmsError } from "./kms-errors.js";

/** Settings of {@link kmsKeyring}. */
export interface KmsKeyringOptions {
  /** Your client. It is used as it is: its Region, credentials, retries and timeouts are yours to set. */
  readonly kms: KMSClient;
  /** A symmetric encryption key: key id, key ARN, alias name ("alias/...") or alias ARN. */
  readonly keyId: string;
  /** Grant tokens to send with every call. */
  readonly grantTokens?: readonly string[];
}

/**
 * A keyring that takes data keys from one KMS key. `@aws-sdk/client-kms` is loaded at the first call, so that
 * users of other keyrings need not install it. Reading is pinned to that key: an object written under
 * another one is refused even if the credentials could decrypt it.
 *
 * @throws TypeError, RangeError when an option is wrong. Its calls reject with EnvelopeError
 *   `KMS_UNAVAILABLE` (retry), `KMS_ACCESS_DENIED` (fix IAM), `KMS_CIPHERTEXT_REJECTED` (fix the context),
 *   `KMS_KEY_NOT_FOUND`, `KMS_KEY_UNUSABLE`, `KEY_NOT_FOR_OBJECT` or `KMS_REQUEST_FAILED`, the KMS error as
 *   `cause`, its request id in `details`; or with the reason of an aborted signal.
 */
export function kmsKeyring(options: KmsKeyringOptions): Keyring {
  const { kms: client, keyId: id, grantTokens: tokens } = objectArgument("options", options);
  if (typeof (client as Partial<KMSClient> | undefined)?.send !== "function") {
    throw wrongType("options.kms", "a KMSClient", client);
  }
  const kms = client as KMSClient;
  const keyId = textArgument("options.keyId", id);
  const grantTokens = grantTokensArgument(tokens);

  async function decrypt(recipient: Recipient, input: UnwrapDataKeyInput): Promise<Uint8Array> {
    const { encryptionContext, abortSignal } = input;
    const { DecryptCommand } = await import("@aws-sdk/client-kms");
    const command = new DecryptCommand({
      KeyId: keyId,
      CiphertextBlob: recipient.ciphertext,
      EncryptionContext: { ...encryptionContext },
      EncryptionAlgorithm: "SYMMETRIC_DEFAULT",
      GrantTokens: grantTokens,
    });
    const attempt = { operation: "Decrypt", keyId, contextNames: Object.keys(encryptionContext) } as const;
    const output = await request(attempt, abortSignal, () => kms.send(command, sendOptions(abortSignal)));
    if (output.Plaintext instanceof Uint8Array) return output.Plaintext;
    throw unusable(attempt, "has no Plaintext");
  }

  return {
    async generateDataKey(input) {
      const { encryptionContext, abortSignal } = generateInputArgument(input);
      const { GenerateDataKeyCommand } = await import("@aws-sdk/client-kms");
      const command = new GenerateDataKeyCommand({
        KeyId: keyId,
        KeySpec: "AES_256",
        EncryptionContext: { ...encryptionContext },
        GrantTokens: grantTokens,
      });
      const attempt = {
        operation: "GenerateDataKey",
        keyId,
        contextNames: Object.keys(encryptionContext),
      } as const;
      const output = await request(attempt, abortSignal, () => kms.send(command, sendOptions(abortSignal)));
      const generated = generatedDataKey(output, keyId);
      if (typeof generated === "string") throw unusable(attempt, generated);
      return generated;
    },

    async unwrapDataKey(given) {
      const input = unwrapInputArgument(given);
      const candidates = input.recipients.filter(
        (recipient) => recipient.provider === provider && mayBe(keyId, recipient.keyId),
      );
      for (const [index, recipient] of candidates.entries()) {
        try {
          return await decrypt(recipient, input);
        } catch (error) {
          const wrongKey = hasCode(error, "KEY_NOT_FOR_OBJECT");
          if (!wrongKey || index === candidates.length - 1) throw error;
        }
      }
      return null;
    },
  };
}

async function request<T>(
  attempt: KmsAttempt,
  signal: AbortSignal | undefined,
  send: () => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  try {
    return await send();
  } catch (error) {
    signal?.throwIfAborted();
    throw kmsError(error, attempt);
  }
}

function sendOptions(abortSignal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return abortSignal ? { abortSignal } : {};
}

function unusable(attempt: KmsAttempt, fault: string): EnvelopeError {
  return new EnvelopeError(
    "KMS_REQUEST_FAILED",
    `KMS ${attempt.operation} failed: its answer ${fault}; is there a proxy between you and KMS?`,
    { details: { ...attempt } },
  );
}

function grantTokensArgument(value: unknown): string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw wrongType("options.grantTokens", "an array of strings", value);
  return value.map((token: unknown, index) => stringArgument(`options.grantTokens[${index}]`, token));
}
