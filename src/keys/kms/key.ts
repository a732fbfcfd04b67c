/** One key of AWS KMS, asked for data keys: what all keyrings on KMS have in common. */
import type { KMSClient } from "@aws-sdk/client-kms";
import { withOwnSignal } from "../../base/abort.js";
import { stringArgument, wrongType } from "../../base/arguments.js";
import { EnvelopeError } from "../../base/errors.js";
import { guarded } from "../../service/response-guard.js";
import type { EncryptionContext } from "../encryption-context.js";
import { type KmsAttempt, kmsError } from "./errors.js";
import { decryptedDataKey, generatedDataKey, isZeroedEarlier, type KmsDataKey } from "./response.js";

/** The client, the key and the grant tokens that every call is made with. */
export class KmsKey {
  readonly #kms: KMSClient;
  readonly #keyId: string | undefined;
  readonly #grantTokens: string[] | undefined;

  /** @param keyId undefined: Decrypt takes whatever key a data key is under, and nothing can be made */
  constructor(kms: unknown, keyId: string | undefined, grantTokens: unknown) {
    if (typeof (kms as Partial<KMSClient> | undefined)?.send !== "function") {
      throw wrongType("options.kms", "a KMSClient", kms);
    }
    this.#kms = kms as KMSClient;
    this.#keyId = keyId;
    this.#grantTokens = grantTokensArgument(grantTokens);
  }

  /** @throws EnvelopeError as `kmsKeyring` says; whatever the signal was aborted with */
  async generateDataKey(
    context: EncryptionContext,
    abortSignal: AbortSignal | undefined,
  ): Promise<KmsDataKey> {
    const keyId = this.#keyId;
    if (keyId === undefined)
      throw new TypeError("options.keyId: expected a key to write with, got undefined");
    const { GenerateDataKeyCommand } = await import("@aws-sdk/client-kms");
    const command = guarded(
      new GenerateDataKeyCommand({
        KeyId: keyId,
        KeySpec: "AES_256",
        EncryptionContext: { ...context },
        GrantTokens: this.#grantTokens,
      }),
    );
    const attempt = { operation: "GenerateDataKey", keyId, contextNames: Object.keys(context) } as const;
    const answer = await request(attempt, abortSignal, (options) => this.#kms.send(command, options));
    if (isZeroedEarlier(answer.Plaintext)) throw reused(attempt);
    const generated = generatedDataKey(answer, keyId);
    if (typeof generated === "string") throw unusable(attempt, generated);
    return generated;
  }

  /** @throws EnvelopeError as `kmsKeyring` says; whatever the signal was aborted with */
  async decrypt(
    ciphertext: Uint8Array,
    context: EncryptionContext,
    abortSignal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const keyId = this.#keyId;
    const { DecryptCommand } = await import("@aws-sdk/client-kms");
    const command = guarded(
      new DecryptCommand({
        KeyId: keyId,
        CiphertextBlob: ciphertext,
        EncryptionContext: { ...context },
        EncryptionAlgorithm: "SYMMETRIC_DEFAULT",
        GrantTokens: this.#grantTokens,
      }),
    );
    const attempt = { operation: "Decrypt", keyId, contextNames: Object.keys(context) } as const;
    const answer = await request(attempt, abortSignal, (options) => this.#kms.send(command, options));
    if (isZeroedEarlier(answer.Plaintext)) throw reused(attempt);
    const decrypted = decryptedDataKey(answer, keyId);
    if (typeof decrypted === "string") throw unusable(attempt, decrypted);
    return decrypted;
  }
}

async function request<T>(
  attempt: KmsAttempt,
  abortSignal: AbortSignal | undefined,
  send: (options: { abortSignal?: AbortSignal }) => Promise<T>,
): Promise<T> {
  abortSignal?.throwIfAborted();
  try {
    return await (abortSignal ? withOwnSignal(abortSignal, (own) => send({ abortSignal: own })) : send({}));
  } catch (error) {
    abortSignal?.throwIfAborted();
    throw kmsError(error, attempt);
  }
}

function unusable(attempt: KmsAttempt, fault: string): EnvelopeError {
  return new EnvelopeError(
    "KMS_REQUEST_FAILED",
    `KMS ${attempt.operation} failed: its answer ${fault}; is there a proxy between you and KMS?`,
    { details: { ...attempt } },
  );
}

function reused(attempt: KmsAttempt): EnvelopeError {
  return new EnvelopeError(
    "KMS_REQUEST_FAILED",
    `KMS ${attempt.operation} failed: its answer has the Plaintext of an earlier answer, which was zeroed after use; a mock of KMS must make a new one for each call`,
    { details: { ...attempt } },
  );
}

function grantTokensArgument(value: unknown): string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw wrongType("options.grantTokens", "an array of strings", value);
  return value.map((token: unknown, index) => stringArgument(`options.grantTokens[${index}]`, token));
}
