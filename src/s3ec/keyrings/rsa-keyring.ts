/** The keyring of the S3 Encryption Client formats for an RSA key pair. */
import { constants, KeyObject, publicEncrypt } from "node:crypto";
import { wrongType } from "../../base/arguments.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import { isEqual } from "../../keys/rsa/decode.js";
import { RsaPrivateKey, requireValid } from "../../keys/rsa/private-key.js";
import { dataKeyLengths, wraps } from "../suites.js";
import type { LegacyKeyring, LegacyUnwrapInput } from "./keyring.js";
import { decryptionKeysArgument, descriptionArgument, rawKeyring } from "./raw-keyring.js";

/** Options of {@link legacyRsaKeyring}: at least one of the two keys. */
export interface LegacyRsaKeyringOptions {
  /** The key to write with, as returned by `createPublicKey`. By default the public key of `privateKey`. */
  readonly publicKey?: KeyObject;
  /** The key to read with, as returned by `createPrivateKey`. */
  readonly privateKey?: KeyObject;
  /** Identifies the key. It is stored as plain text in the metadata of objects; empty by default. */
  readonly materialsDescription?: EncryptionContext;
  /**
   * Other keys to read with, each for objects with exactly its description. All other objects are read with `privateKey`.
   */
  readonly decryptionKeys?: readonly {
    readonly materialsDescription: EncryptionContext;
    readonly privateKey: KeyObject;
  }[];
}

type DecryptionKey = NonNullable<LegacyRsaKeyringOptions["decryptionKeys"]>[number];

/** Old objects may be under keys that are too short for new ones. */
const minReadingBits = 1024;
const minWritingBits = 2048;

/**
 * Creates a keyring for objects of the S3 Encryption Clients whose data keys are wrapped by RSA: "RSA" (which is PKCS#1 v1.5),
 * "RSA/ECB/OAEPWithSHA-256AndMGF1Padding" and "RSA-OAEP-SHA1". It writes "RSA-OAEP-SHA1", the only one that binds the content
 * algorithm.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function legacyRsaKeyring(options: LegacyRsaKeyringOptions): LegacyKeyring {
  const fields = fieldsArgument<LegacyRsaKeyringOptions>(legacyFieldNames.legacyRsaKeyring.options, options);
  const { publicKey: given, privateKey: secret } = fields;
  if (given === undefined && secret === undefined) {
    throw new TypeError("options: expected a publicKey or a privateKey, got neither");
  }
  const privateKey = secret === undefined ? undefined : privateArgument("options.privateKey", secret);
  const publicKey = given === undefined ? privateKey?.publicKey : publicArgument("options.publicKey", given);
  if (privateKey && publicKey && !privateKey.publicKey.equals(publicKey)) {
    throw new RangeError("options.publicKey: expected the public key of options.privateKey, got another one");
  }
  const description = descriptionArgument("options.materialsDescription", fields.materialsDescription);
  return rawKeyring({
    wrap: wraps.rsaOaepSha1,
    materialsDescription: description,
    wrappingKey: publicKey,
    defaultKey: privateKey,
    decryptionKeys: decryptionKeysArgument(fields.decryptionKeys, description, (title, value) => {
      const given = fieldsArgument<DecryptionKey>(
        legacyFieldNames.legacyRsaKeyring.decryptionKey,
        value,
        title,
      );
      return { ...given, key: privateArgument(`${title}.privateKey`, given.privateKey) };
    }),
    wrapDataKey: wrapWithRsa,
    unwrapDataKey: unwrapWithRsa,
  });
}

/** Encrypts the length of the data key, the data key and the name of the content algorithm. */
function wrapWithRsa(key: KeyObject | undefined, dataKey: Uint8Array, contentName: string): Buffer {
  const bits = key?.asymmetricKeyDetails?.modulusLength ?? 0;
  if (!key || bits < minWritingBits) {
    throw new RangeError(`options.publicKey: expected at least ${minWritingBits} bits to write, got ${bits}`);
  }
  const message = Buffer.concat([Buffer.of(dataKey.length), dataKey, Buffer.from(contentName)]);
  try {
    return publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" }, message);
  } finally {
    message.fill(0);
  }
}

function unwrapWithRsa(key: RsaPrivateKey, { wrap, wrappedKey, contentName }: LegacyUnwrapInput): Uint8Array {
  if (wrap === wraps.rsaOaepSha1) return unwrapOaepSha1(key, wrappedKey, contentName);
  if (wrap === wraps.rsaOaepSha256) return unwrapOaepSha256(key, wrappedKey);
  return key.decryptPkcs1(wrappedKey, dataKeyLengths);
}

/** "RSA-OAEP-SHA1". The checks of the message have no branch: together with the padding they succeed or fail as one. */
function unwrapOaepSha1(key: RsaPrivateKey, wrappedKey: Uint8Array, contentName: string): Buffer {
  const name = Buffer.from(contentName);
  const lengths = dataKeyLengths.map((length) => 1 + length + name.length);
  const decoded = key.decryptOaep(wrappedKey, [{ label: "sha1", mask: "sha1" }], lengths);
  const { bytes, length } = decoded;
  let isRight = 0;
  for (const dataKeyLength of dataKeyLengths) {
    let isThis = isEqual(length, 1 + dataKeyLength + name.length) & isEqual(bytes[0] ?? 0, dataKeyLength);
    for (const [index, byte] of name.entries()) {
      isThis &= isEqual(bytes[1 + dataKeyLength + index] ?? 0, byte);
    }
    isRight |= isThis;
  }
  return requireValid({ ...decoded, isValid: decoded.isValid & isRight }, 1, length - name.length);
}

/**
 * "RSA/ECB/OAEPWithSHA-256AndMGF1Padding": the message is the data key alone. The providers of Java do not agree on the
 * hash of its masks: most take SHA-1, some SHA-256.
 */
function unwrapOaepSha256(key: RsaPrivateKey, wrappedKey: Uint8Array): Buffer {
  const hashes = [
    { label: "sha256", mask: "sha1" },
    { label: "sha256", mask: "sha256" },
  ] as const;
  const decoded = key.decryptOaep(wrappedKey, hashes, dataKeyLengths);
  return requireValid(decoded, 0, decoded.length);
}

function privateArgument(title: string, value: unknown): RsaPrivateKey {
  return new RsaPrivateKey(keyArgument(title, value, "private"));
}

function publicArgument(title: string, value: unknown): KeyObject {
  return keyArgument(title, value, "public");
}

function keyArgument(title: string, value: unknown, type: "public" | "private"): KeyObject {
  if (!(value instanceof KeyObject) || value.type !== type) {
    throw wrongType(title, `a ${type} KeyObject`, value);
  }
  if (value.asymmetricKeyType !== "rsa") {
    throw new RangeError(`${title}: expected a key of RSA, got one of ${value.asymmetricKeyType}`);
  }
  const bits = value.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits >= minReadingBits) return value;
  throw new RangeError(`${title}: expected at least ${minReadingBits} bits, got ${bits}`);
}
