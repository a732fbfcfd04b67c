/** One key of AWS KMS: what all keyrings on KMS have in common. */
import type { KMSClient } from "@aws-sdk/client-kms";
import { stringArgument, wrongType } from "../../base/arguments.js";
import type { EncryptionContext } from "../encryption-context.js";
import type { KmsTarget } from "./errors.js";
import { sendDecrypt, sendGenerateDataKey } from "./requests.js";
import { decryptedDataKey, generatedDataKey, type KmsDataKey } from "./response.js";

/** A key of KMS, with the client and the grant tokens that each request is made with. */
export class KmsKey {
  readonly #kms: KMSClient;
  readonly #keyId: string | undefined;
  readonly #grantTokens: string[] | undefined;

  /** @param keyId undefined for reading alone, under whatever key a data key was wrapped */
  constructor(kms: unknown, keyId: string | undefined, grantTokens: unknown) {
    if (typeof (kms as Partial<KMSClient> | undefined)?.send !== "function") {
      throw wrongType("options.kms", "a KMSClient", kms);
    }
    this.#kms = kms as KMSClient;
    this.#keyId = keyId;
    this.#grantTokens = grantTokensArgument(grantTokens);
  }

  /** @throws EnvelopeError as `kmsKeyring` says; the reason of the signal */
  async generateDataKey(
    context: EncryptionContext,
    abortSignal: AbortSignal | undefined,
  ): Promise<KmsDataKey> {
    const keyId = this.#keyId;
    if (keyId === undefined)
      throw new TypeError("options.keyId: expected a key to write with, got undefined");
    const target = this.#target("GenerateDataKey", context);
    const input = {
      KeyId: keyId,
      KeySpec: "AES_256",
      EncryptionContext: { ...context },
      GrantTokens: this.#grantTokens,
    } as const;
    return generatedDataKey(await sendGenerateDataKey(this.#kms, target, input, abortSignal), keyId, target);
  }

  /** @throws EnvelopeError as `kmsKeyring` says; the reason of the signal */
  async decrypt(
    ciphertext: Uint8Array,
    context: EncryptionContext,
    abortSignal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const target = this.#target("Decrypt", context);
    const input = {
      KeyId: this.#keyId,
      CiphertextBlob: ciphertext,
      EncryptionContext: { ...context },
      EncryptionAlgorithm: "SYMMETRIC_DEFAULT",
      GrantTokens: this.#grantTokens,
    } as const;
    return decryptedDataKey(await sendDecrypt(this.#kms, target, input, abortSignal), this.#keyId, target);
  }

  #target(operation: KmsTarget["operation"], context: EncryptionContext): KmsTarget {
    return { operation, keyId: this.#keyId, contextNames: Object.keys(context) };
  }
}

function grantTokensArgument(value: unknown): string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw wrongType("options.grantTokens", "an array of strings", value);
  return value.map((token: unknown, index) => stringArgument(`options.grantTokens[${index}]`, token));
}
