/** The keyring of the S3 Encryption Client formats for a local AES key. */
import { createCipheriv, createDecipheriv, createSecretKey, KeyObject, randomBytes } from "node:crypto";
import { wrongType } from "../../base/arguments.js";
import { decryptionFailed } from "../../base/errors.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import { dataKeyLengths, wraps } from "../suites.js";
import type { LegacyKeyring, LegacyUnwrapInput } from "./keyring.js";
import { decryptionKeysArgument, descriptionArgument, rawKeyring } from "./raw-keyring.js";

/** Options of {@link legacyAesKeyring}. */
export interface LegacyAesKeyringOptions {
  /** 16, 24 or 32 uniformly random bytes (not a password), or a secret KeyObject of them. Copied. */
  readonly wrappingKey: Uint8Array | KeyObject;
  /** Identifies the key. It is stored as plain text in the metadata of objects; empty by default. */
  readonly materialsDescription?: EncryptionContext;
  /**
   * Other keys to read with, each for objects with exactly its description. All other objects are read with `wrappingKey`.
   */
  readonly decryptionKeys?: readonly {
    readonly materialsDescription: EncryptionContext;
    readonly wrappingKey: Uint8Array | KeyObject;
  }[];
}

type DecryptionKey = NonNullable<LegacyAesKeyringOptions["decryptionKeys"]>[number];

const gcmNonceBytes = 12;
const gcmTagBytes = 16;
/** RFC 3394. */
const wrapIv = Buffer.alloc(8, 0xa6);

/**
 * Creates a keyring for objects of the S3 Encryption Clients whose data keys are wrapped by a local AES key: "AES" (which is
 * ECB), "AESWrap" and "AES/GCM". It writes "AES/GCM".
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function legacyAesKeyring(options: LegacyAesKeyringOptions): LegacyKeyring {
  const fields = fieldsArgument<LegacyAesKeyringOptions>(legacyFieldNames.legacyAesKeyring.options, options);
  const wrappingKey = keyArgument("options.wrappingKey", fields.wrappingKey);
  const description = descriptionArgument("options.materialsDescription", fields.materialsDescription);
  return rawKeyring({
    wrap: wraps.aesGcm,
    materialsDescription: description,
    wrappingKey,
    defaultKey: wrappingKey,
    decryptionKeys: decryptionKeysArgument(fields.decryptionKeys, description, (title, value) => {
      const given = fieldsArgument<DecryptionKey>(
        legacyFieldNames.legacyAesKeyring.decryptionKey,
        value,
        title,
      );
      return { ...given, key: keyArgument(`${title}.wrappingKey`, given.wrappingKey) };
    }),
    wrapDataKey: wrapGcm,
    unwrapDataKey: unwrapWithAes,
  });
}

function unwrapWithAes(key: KeyObject, { wrap, wrappedKey, contentName }: LegacyUnwrapInput): Buffer {
  const bits = bitsOf(key);
  if (wrap === wraps.aesGcm) return unwrapGcm(key, wrappedKey, contentName);
  // OpenSSL unwraps zero bytes to zero bytes.
  if (wrappedKey.length === 0) throw decryptionFailed();
  const decipher =
    wrap === wraps.aesWrap
      ? createDecipheriv(`id-aes${bits}-wrap`, key, wrapIv)
      : createDecipheriv(`aes-${bits}-ecb`, key, null);
  return opened(
    () => decipher.update(wrappedKey),
    () => decipher.final(),
  );
}

/** Returns nonce, wrapped key and tag. The name of the content algorithm is additional data. */
function wrapGcm(key: KeyObject, dataKey: Uint8Array, contentName: string): Buffer {
  const nonce = randomBytes(gcmNonceBytes);
  const cipher = createCipheriv(`aes-${bitsOf(key)}-gcm`, key, nonce).setAAD(Buffer.from(contentName));
  return Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
}

function unwrapGcm(key: KeyObject, wrapped: Uint8Array, contentName: string): Buffer {
  const end = wrapped.length - gcmTagBytes;
  if (end < gcmNonceBytes) throw decryptionFailed();
  const nonce = wrapped.subarray(0, gcmNonceBytes);
  const decipher = createDecipheriv(`aes-${bitsOf(key)}-gcm`, key, nonce, { authTagLength: gcmTagBytes })
    .setAAD(Buffer.from(contentName))
    .setAuthTag(wrapped.subarray(end));
  return opened(
    () => decipher.update(wrapped.subarray(gcmNonceBytes, end)),
    () => decipher.final(),
  );
}

/** Joins the results of the two steps of a decipher, and clears them. */
function opened(...steps: (() => Buffer)[]): Buffer {
  const outputs: Buffer[] = [];
  try {
    for (const step of steps) outputs.push(step());
    return Buffer.concat(outputs);
  } catch {
    throw decryptionFailed();
  } finally {
    for (const output of outputs) output.fill(0);
  }
}

function keyArgument(title: string, value: unknown): KeyObject {
  const key = value instanceof Uint8Array ? createSecretKey(value) : value;
  if (!(key instanceof KeyObject) || key.type !== "secret") {
    throw wrongType(title, "a Uint8Array or a secret KeyObject", value);
  }
  const bytes = key.symmetricKeySize ?? 0;
  if (dataKeyLengths.includes(bytes)) return key;
  throw new RangeError(`${title}: expected 16, 24 or 32 bytes, got ${bytes}`);
}

function bitsOf(key: KeyObject): 128 | 192 | 256 {
  return ((key.symmetricKeySize ?? 0) * 8) as 128 | 192 | 256;
}
