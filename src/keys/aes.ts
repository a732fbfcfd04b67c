/** A keyring on one local AES-256 wrapping key. format.md 8 specifies the wrapping. */

import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { textArgument } from "../base/arguments.js";
import { decryptionFailed } from "../base/errors.js";
import { dataKeyArgument, dataKeyBytes } from "../cobblestone/derivation.js";
import { fieldsArgument } from "../fields/field-list.js";
import { fieldNames } from "../fields/field-names.js";
import { canonicalContext, type EncryptionContext } from "./encryption-context.js";
import { generateInputArgument, type Keyring, maxKeyIdLength, unwrapInputArgument } from "./keyring.js";

/** Settings of {@link aesKeyring}. */
export interface AesKeyringOptions {
  /** A name for the wrapping key, which each envelope has, so that readers know which key they need. Not secret. */
  readonly keyId: string;
  /** The wrapping key: 32 uniformly random bytes (not a password), or a secret KeyObject of them. Copied. */
  readonly wrappingKey: Uint8Array | KeyObject;
}

const aesProvider = "aes";
const suite = "aes-256-gcm";
const wrapSaltBytes = 32;
const wrapTagBytes = 16;
const wrappedBytes = wrapSaltBytes + dataKeyBytes + wrapTagBytes;
const label = "s3-envelope/v1/aes-wrap";

/**
 * Makes a keyring that wraps data keys under a local AES-256 key. Each wrapping has its own key and nonce, derived with a
 * random 32-byte salt, so the number of objects under one wrapping key is not limited in practice.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function aesKeyring(options: AesKeyringOptions): Keyring {
  const given = fieldsArgument<AesKeyringOptions>(fieldNames.aesKeyring.options, options);
  const { keyId: name, wrappingKey: key } = given;
  const keyId = textArgument("options.keyId", name);
  if (keyId.length > maxKeyIdLength) {
    throw new RangeError(`options.keyId: expected at most ${maxKeyIdLength} characters, got ${keyId.length}`);
  }
  const wrappingKey = dataKeyArgument("options.wrappingKey", key);
  return {
    keys: [{ provider: aesProvider, keyId }],
    async generateDataKey(input) {
      const { encryptionContext } = generateInputArgument(input);
      const plaintext = randomBytes(dataKeyBytes);
      const ciphertext = wrap(wrappingKey, plaintext, encryptionContext);
      return { plaintext, recipients: [{ provider: aesProvider, keyId, ciphertext }] };
    },
    async unwrapDataKey(input) {
      const { recipients, encryptionContext } = unwrapInputArgument(input);
      const recipient = recipients.find(
        (candidate) => candidate.provider === aesProvider && candidate.keyId === keyId,
      );
      return recipient ? unwrap(wrappingKey, recipient.ciphertext, encryptionContext) : null;
    },
  };
}

function wrap(wrappingKey: KeyObject, dataKey: Uint8Array, context: EncryptionContext): Buffer {
  const salt = randomBytes(wrapSaltBytes);
  const { key, nonce } = wrapKey(wrappingKey, salt);
  const cipher = createCipheriv(suite, key, nonce).setAAD(canonicalContext(context));
  return Buffer.concat([salt, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
}

function unwrap(wrappingKey: KeyObject, wrapped: Uint8Array, context: EncryptionContext): Buffer {
  if (wrapped.length !== wrappedBytes) throw decryptionFailed();
  const { key, nonce } = wrapKey(wrappingKey, wrapped.subarray(0, wrapSaltBytes));
  const decipher = createDecipheriv(suite, key, nonce, { authTagLength: wrapTagBytes })
    .setAAD(canonicalContext(context))
    .setAuthTag(wrapped.subarray(wrappedBytes - wrapTagBytes));
  const dataKey = decipher.update(wrapped.subarray(wrapSaltBytes, wrappedBytes - wrapTagBytes));
  try {
    decipher.final();
  } catch {
    dataKey.fill(0);
    throw decryptionFailed();
  }
  return dataKey;
}

function wrapKey(wrappingKey: KeyObject, salt: Uint8Array): { key: KeyObject; nonce: Buffer } {
  const derived = Buffer.from(hkdfSync("sha512", wrappingKey, salt, label, 44));
  const key = createSecretKey(derived.subarray(0, 32));
  const nonce = Buffer.from(derived.subarray(32));
  derived.fill(0);
  return { key, nonce };
}
