/** The common part of the keyrings for local keys, which find a key by its material description. */
import { randomBytes } from "node:crypto";
import { wrongType } from "../../base/arguments.js";
import { EnvelopeError } from "../../base/errors.js";
import { type EncryptionContext, wrappingContextArgument } from "../../keys/encryption-context.js";
import { dataKeyLengths, type WrapAlgorithm } from "../suites.js";
import {
  type LegacyDataKey,
  type LegacyGenerateInput,
  type LegacyKeyring,
  type LegacyUnwrapInput,
  legacyGenerateArgument,
  legacyUnwrapArgument,
  legacyWrapArgument,
  requireKeyType,
} from "./keyring.js";

/** A key and its description in the metadata of objects. */
export interface DescribedKey<K> {
  readonly materialsDescription: EncryptionContext;
  readonly key: K;
}

/** The keys and the algorithms of a keyring for local keys. */
export interface RawKeys<Public, Private> {
  /** The wrap that it writes. */
  readonly wrap: WrapAlgorithm;
  /** The description of the key that it writes with. */
  readonly materialsDescription: EncryptionContext;
  readonly wrappingKey: Public;
  /** Unwraps the data keys of objects that no other key has the description of. Undefined without a private key. */
  readonly defaultKey: Private | undefined;
  readonly decryptionKeys: readonly DescribedKey<Private>[];
  wrapDataKey(key: Public, plaintext: Uint8Array, contentName: string): Uint8Array;
  /** Called only for wraps of the key type. @throws EnvelopeError `DECRYPTION_FAILED` */
  unwrapDataKey(key: Private, input: LegacyUnwrapInput): Uint8Array;
}

/** Creates a keyring for local keys. */
export function rawKeyring<Public, Private>(keys: RawKeys<Public, Private>): LegacyKeyring {
  const { wrap, materialsDescription, wrappingKey } = keys;

  async function wrapDataKey(
    plaintext: Uint8Array,
    input: Pick<LegacyGenerateInput, "contentName">,
  ): Promise<LegacyDataKey> {
    const { contentName } = legacyWrapArgument(input);
    if (!dataKeyLengths.includes(plaintext.length)) {
      throw new RangeError(`plaintext: expected 16, 24 or 32 bytes, got ${plaintext.length}`);
    }
    const wrappedKey = keys.wrapDataKey(wrappingKey, plaintext, contentName);
    return { plaintext, wrap, wrappedKey, description: materialsDescription };
  }

  return {
    keyType: wrap.keyType,
    wrapDataKey,

    async generateDataKey(given) {
      const input = legacyGenerateArgument(given);
      if (Object.keys(input.encryptionContext).length > 0) {
        throw new RangeError("input.encryptionContext: expected none, as only KMS binds it to a data key");
      }
      const plaintext = randomBytes(32);
      try {
        return await wrapDataKey(plaintext, input);
      } catch (error) {
        plaintext.fill(0);
        throw error;
      }
    },

    async unwrapDataKey(given) {
      const input = legacyUnwrapArgument(given);
      requireKeyType(input.wrap, wrap.keyType);
      const described = keys.decryptionKeys.find(({ materialsDescription: description }) =>
        sameDescription(description, input.description),
      );
      const key = described?.key ?? keys.defaultKey;
      if (key === undefined) throw noKey();
      return keys.unwrapDataKey(key, input);
    },
  };
}

/** Checks the description of a key and copies it. */
export function descriptionArgument(title: string, value: unknown): EncryptionContext {
  return wrappingContextArgument(title, value ?? {});
}

/** Checks the other keys to read with, each by `fieldsOf`. No two may have the same description. */
export function decryptionKeysArgument<K>(
  value: unknown,
  own: EncryptionContext,
  fieldsOf: (title: string, value: unknown) => { readonly materialsDescription: unknown; readonly key: K },
): DescribedKey<K>[] {
  const title = "options.decryptionKeys";
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw wrongType(title, "an array", value);
  const taken = [own];
  return value.map((candidate: unknown, index) => {
    const field = `${title}[${index}]`;
    const fields = fieldsOf(field, candidate);
    const materialsDescription = wrappingContextArgument(
      `${field}.materialsDescription`,
      fields.materialsDescription,
    );
    if (taken.some((other) => sameDescription(other, materialsDescription))) {
      throw new RangeError(`${field}.materialsDescription: expected one that no other key has`);
    }
    taken.push(materialsDescription);
    return { materialsDescription, key: fields.key };
  });
}

/** Whether two descriptions have the same entries. */
export function sameDescription(left: EncryptionContext, right: EncryptionContext): boolean {
  const names = Object.keys(left);
  if (names.length !== Object.keys(right).length) return false;
  return names.every((name) => Object.hasOwn(right, name) && left[name] === right[name]);
}

function noKey(): EnvelopeError {
  return new EnvelopeError(
    "KEY_NOT_FOR_OBJECT",
    "the keyring has no private key for objects with this material description",
  );
}
