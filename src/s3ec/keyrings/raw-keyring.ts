/** What the keyrings on local keys have in common: keys are found by their material description. */
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

/** A key, and the description that stands in the metadata of objects that are written under it. */
export interface DescribedKey<K> {
  readonly materialsDescription: EncryptionContext;
  readonly key: K;
}

/** What makes a keyring of local keys. */
export interface RawKeys<Public, Private> {
  /** What it writes. */
  readonly wrap: WrapAlgorithm;
  /** The description of the key that it writes with. */
  readonly materialsDescription: EncryptionContext;
  readonly wrappingKey: Public;
  /** Reads what no other key has the description of; undefined when there is no private key. */
  readonly defaultKey: Private | undefined;
  readonly decryptionKeys: readonly DescribedKey<Private>[];
  wrapDataKey(key: Public, plaintext: Uint8Array, contentName: string): Uint8Array;
  /** Takes wraps of the key type alone. @throws EnvelopeError `DECRYPTION_FAILED` */
  unwrapDataKey(key: Private, input: LegacyUnwrapInput): Uint8Array;
}

/** A keyring on local keys. */
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

/** Takes a snapshot of the description of a key. */
export function descriptionArgument(title: string, value: unknown): EncryptionContext {
  return wrappingContextArgument(title, value ?? {});
}

/** Checks further keys to read with, each by `fieldsOf`; no two have the same description. */
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
