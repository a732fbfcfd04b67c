/** The keyring of the S3 Encryption Client formats: one key, one wrapped data key per object. */
import { EnvelopeError } from "../../base/errors.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { KeyType, WrapAlgorithm } from "../suites.js";

/** What a data key is made for. */
export interface LegacyGenerateInput {
  /** The name of the content algorithm in metadata, to be bound to the wrapped key. */
  readonly contentName: string;
  /** What the caller binds to a data key of KMS; empty for others, which bind nothing. */
  readonly encryptionContext: EncryptionContext;
  readonly abortSignal?: AbortSignal | undefined;
}

/** A data key and its one wrapped copy. */
export interface LegacyDataKey {
  /** 32 bytes. Zeroed by the caller of the keyring after use. */
  readonly plaintext: Uint8Array;
  readonly wrap: WrapAlgorithm;
  readonly wrappedKey: Uint8Array;
  /** What stands in the metadata: the whole context of KMS, or the material description of a raw key. */
  readonly description: EncryptionContext;
}

/** What a data key is unwrapped from. All of it comes from the object, and policy has allowed it. */
export interface LegacyUnwrapInput {
  /** One of the keyring's key type. */
  readonly wrap: WrapAlgorithm;
  readonly wrappedKey: Uint8Array;
  /** The name of the content algorithm that the wrapped key must be bound to. */
  readonly contentName: string;
  /** As in the metadata: the whole context of KMS, or the material description, which a raw key is looked up by. */
  readonly description: EncryptionContext;
  readonly abortSignal?: AbortSignal | undefined;
}

/** Makes, wraps and unwraps the data keys of these formats. Made by `legacyKmsKeyring`, `legacyAesKeyring`, `legacyRsaKeyring`. */
export interface LegacyKeyring {
  readonly keyType: KeyType;
  /** Makes a data key of 32 bytes and wraps it by the one wrap of the key type that is not legacy. */
  generateDataKey(input: LegacyGenerateInput): Promise<LegacyDataKey>;
  /**
   * Unwraps a data key of any length; the caller checks that, and zeroes it after use.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED` whatever is wrong, `KEY_NOT_FOR_OBJECT`; of KMS those of `kmsKeyring`
   */
  unwrapDataKey(input: LegacyUnwrapInput): Promise<Uint8Array>;
  /** Wraps a data key that is there already, for the rotation of instruction files; absent for KMS. */
  wrapDataKey?(
    plaintext: Uint8Array,
    input: Pick<LegacyGenerateInput, "contentName">,
  ): Promise<LegacyDataKey>;
}

/** Checks the names of what a keyring is asked to make a data key for. */
export function legacyGenerateArgument(input: unknown): LegacyGenerateInput {
  const given = fieldsArgument<LegacyGenerateInput>(legacyFieldNames.generateDataKey.input, input);
  return given as LegacyGenerateInput;
}

/** Checks the names of what a keyring is asked to wrap a data key for. */
export function legacyWrapArgument(input: unknown): Pick<LegacyGenerateInput, "contentName"> {
  const given = fieldsArgument<Pick<LegacyGenerateInput, "contentName">>(
    legacyFieldNames.wrapDataKey.input,
    input,
  );
  return given as Pick<LegacyGenerateInput, "contentName">;
}

/** Checks the names of what a keyring is asked to unwrap. */
export function legacyUnwrapArgument(input: unknown): LegacyUnwrapInput {
  const given = fieldsArgument<LegacyUnwrapInput>(legacyFieldNames.unwrapDataKey.input, input);
  return given as LegacyUnwrapInput;
}

/**
 * Makes sure that a data key is wrapped with the type of key that the keyring has.
 *
 * @throws EnvelopeError `KEY_NOT_FOR_OBJECT`
 */
export function requireKeyType(wrap: WrapAlgorithm, keyType: KeyType): void {
  if (wrap.keyType === keyType) return;
  throw new EnvelopeError(
    "KEY_NOT_FOR_OBJECT",
    `the data key of this object is wrapped by "${wrap.name}", which takes another type of key than the keyring has`,
    { details: { wrap: wrap.name, keyType } },
  );
}
