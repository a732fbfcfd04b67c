/** The keyring of the S3 Encryption Client formats for AWS KMS. */
import { choiceArgument, textArgument } from "../../base/arguments.js";
import { quoted } from "../../base/bytes.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { type EncryptionContext, wrappingContextArgument } from "../../keys/encryption-context.js";
import { KmsKey } from "../../keys/kms/key.js";
import type { KmsKeyringOptions } from "../../keys/kms/kms-keyring.js";
import { contentContextName, reservedContextNames } from "../names.js";
import { wraps } from "../suites.js";
import {
  type LegacyKeyring,
  legacyGenerateArgument,
  legacyUnwrapArgument,
  requireKeyType,
} from "./keyring.js";

/**
 * Options of {@link legacyKmsKeyring}: one key, or `discovery`, with which KMS finds the key of each object and nothing can be
 * written.
 */
export type LegacyKmsKeyringOptions =
  | (KmsKeyringOptions & { readonly discovery?: false })
  | (Pick<KmsKeyringOptions, "kms" | "grantTokens"> & {
      /**
       * Reads objects under every key that the credentials may use. Anybody who can write to the bucket can then have you read
       * objects under a key of their own: name a key wherever you can.
       */
      readonly discovery: true;
      readonly keyId?: undefined;
    });

const title = "input.encryptionContext";

/**
 * Creates a keyring for objects of the S3 Encryption Clients whose data keys are wrapped by a key of AWS KMS: "kms" and
 * "kms+context". It writes "kms+context". As with `kmsKeyring`, reading is limited to the named key.
 *
 * @throws TypeError, RangeError when an option is wrong. Its calls reject as those of `kmsKeyring` do, and with a RangeError
 *   when the caller's context has a reserved name
 */
export function legacyKmsKeyring(options: LegacyKmsKeyringOptions): LegacyKeyring {
  const given = fieldsArgument<LegacyKmsKeyringOptions>(legacyFieldNames.legacyKmsKeyring.options, options);
  const { kms, keyId, grantTokens, discovery = false } = given;
  const isAnyKey = choiceArgument("options.discovery", discovery, [true, false]);
  if (isAnyKey && keyId !== undefined) {
    throw new RangeError("options.keyId: expected none with options.discovery, got one");
  }
  const key = new KmsKey(kms, isAnyKey ? undefined : textArgument("options.keyId", keyId), grantTokens);
  return {
    keyType: "kms",

    async generateDataKey(input) {
      const { contentName, encryptionContext, abortSignal } = legacyGenerateArgument(input);
      const description = boundContext(encryptionContext, contentName);
      const { plaintext, recipients } = await key.generateDataKey(description, abortSignal);
      return { plaintext, wrap: wraps.kmsContext, wrappedKey: recipients[0].ciphertext, description };
    },

    async unwrapDataKey(input) {
      const { wrap, wrappedKey, description, abortSignal } = legacyUnwrapArgument(input);
      requireKeyType(wrap, "kms");
      return key.decrypt(wrappedKey, description, abortSignal);
    },
  };
}

/** The caller's context in the caller's order, followed by the entry that binds the content algorithm. */
function boundContext(context: unknown, contentName: string): EncryptionContext {
  const stated = wrappingContextArgument(title, context);
  for (const name of reservedContextNames) {
    if (Object.hasOwn(stated, name)) throw new RangeError(`${title}[${quoted(name)}]: this name is reserved`);
  }
  return wrappingContextArgument(title, { ...stated, [contentContextName]: contentName });
}
