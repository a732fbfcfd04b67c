/** The keyring of the S3 Encryption Client formats on an RSA key pair. */
import { constants, KeyObject, publicEncrypt } from "node:crypto";
import { wrongType } from "../../base/arguments.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import { wraps } from "../suites.js";
import type { LegacyKeyring, LegacyUnwrapInput } from "./keyring.js";
import { decryptionKeysArgument, descriptionArgument, rawKeyring } from "./raw-keyring.js";
import { RsaPrivateKey } from "./rsa-private-key.js";

/** Settings of {@link legacyRsaKeyring}: at least one of the two keys. */
export interface LegacyRsaKeyringOptions {
  /** Writes; a KeyObject, as `createPublicKey` makes it. The one in `privateKey` by default. */
  readonly publicKey?: KeyObject;
  /** Reads; a KeyObject, as `createPrivateKey` makes it. */
  readonly privateKey?: KeyObject;
  /** Stands readable in the metadata of objects that are written, to tell their key by; empty by default. */
  readonly materialsDescription?: EncryptionContext;
  /**
   * Further keys to read with, for objects that have exactly that description. All other objects are read
   * with `privateKey`.
   */
  readonly decryptionKeys?: readonly {
    readonly materialsDescription: EncryptionContext;
    readonly privateKey: KeyObject;
  }[];
}

type DecryptionKey = NonNullable<LegacyRsaKeyringOptions["decryptionKeys"]>[number];

/** Old objects may be under keys that nobody should make any more. */
const minReadingBits = 1024;
const minWritingBits = 2048;

/**
 * A keyring for objects of the S3 Encryption Clients whose data keys RSA wraps ("RSA", which is PKCS#1 v1.5,
 * "RSA/ECB/OAEPWithSHA-256AndMGF1Padding" and "RSA-OAEP-SHA1"). It writes
 * "RSA-OAEP-SHA1", the one of them that binds the content algorithm.
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
    wrapDataKey,
    unwrapDataKey,
  });
}

/** The length of the data key, the data key, the name of the content algorithm. */
function wrapDataKey(key: KeyObject | undefined, dataKey: Uint8Array, contentName: string): Buffer {
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

function unwrapDataKey(key: RsaPrivateKey, { wrap, wrappedKey, contentName }: LegacyUnwrapInput): Uint8Array {
  if (wrap === wraps.rsaOaepSha1) return key.unwrapOaepSha1(wrappedKey, contentName);
  if (wrap === wraps.rsaOaepSha256) return key.unwrapOaepSha256(wrappedKey);
  return key.unwrapPkcs1(wrappedKey);
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
