/** A keyring on AWS KMS: GenerateDataKey for writing, Decrypt for reading. */
import type { KMSClient } from "@aws-sdk/client-kms";
import { textArgument } from "../../base/arguments.js";
import { hasCode } from "../../base/errors.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { generateInputArgument, type Keyring, unwrapInputArgument } from "../keyring.js";
import { KmsKey } from "./key.js";
import { canBeKey, kmsProvider } from "./response.js";

/** Settings of {@link kmsKeyring}. */
export interface KmsKeyringOptions {
  /** Your client, with your Region, credentials, retries and timeouts. It is used as it is. */
  readonly kms: KMSClient;
  /** A symmetric encryption key: key id, key ARN, alias name ("alias/...") or alias ARN. */
  readonly keyId: string;
  /** Grant tokens to send with every request. */
  readonly grantTokens?: readonly string[];
}

/**
 * Makes a keyring on one KMS key. `@aws-sdk/client-kms` is loaded with the first request, so that users of other keyrings need
 * not install it. Reading is pinned to the key: an object written under another key is refused even if the credentials
 * could decrypt it.
 *
 * @throws TypeError, RangeError when an option is wrong. Its calls reject with EnvelopeError
 *   `KMS_UNAVAILABLE` (retry), `KMS_ACCESS_DENIED` (fix IAM), `KMS_CIPHERTEXT_REJECTED` (fix the context),
 *   `KMS_KEY_NOT_FOUND`, `KMS_KEY_UNUSABLE`, `KEY_NOT_FOR_OBJECT` or `KMS_REQUEST_FAILED`, with the KMS error
 *   as `cause` and its request id in `details`; or with the reason of an aborted signal.
 */
export function kmsKeyring(options: KmsKeyringOptions): Keyring {
  const given = fieldsArgument<KmsKeyringOptions>(fieldNames.kmsKeyring.options, options);
  const { kms, keyId: id, grantTokens } = given;
  const keyId = textArgument("options.keyId", id);
  const key = new KmsKey(kms, keyId, grantTokens);
  return {
    keys: [{ provider: kmsProvider, keyId }],
    async generateDataKey(input) {
      const { encryptionContext, abortSignal } = generateInputArgument(input);
      return key.generateDataKey(encryptionContext, abortSignal);
    },

    async unwrapDataKey(given) {
      const { recipients, encryptionContext, abortSignal } = unwrapInputArgument(given);
      const candidates = recipients.filter(
        (recipient) => recipient.provider === kmsProvider && canBeKey(keyId, recipient.keyId),
      );
      for (const [index, { ciphertext }] of candidates.entries()) {
        try {
          return await key.decrypt(ciphertext, encryptionContext, abortSignal);
        } catch (error) {
          const wrongKey = hasCode(error, "KEY_NOT_FOR_OBJECT");
          if (!wrongKey || index === candidates.length - 1) throw error;
        }
      }
      return null;
    },
  };
}
