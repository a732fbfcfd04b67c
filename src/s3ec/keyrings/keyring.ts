/** The keyring of the S3 Encryption Client formats: one wrapping key, and one wrapped data key for each object. */
import { bytesArgument, objectArgument, wrongType } from "../../base/arguments.js";
import { EnvelopeError } from "../../base/errors.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { contextOf, type EncryptionContext, entryFault } from "../../keys/encryption-context.js";
import { dataKeyFault, maxWrappedKeyBytes } from "../../keys/keyring.js";
import { contentContextName } from "../names.js";
import { type KeyType, type WrapAlgorithm, wraps } from "../suites.js";

/** Input of `LegacyKeyring.generateDataKey`. */
export interface LegacyGenerateInput {
  /** The name of the content algorithm in metadata, which is bound to the wrapped key. */
  readonly contentName: string;
  /** The context that the caller binds to a KMS data key. Empty for other keyrings, which bind none. */
  readonly encryptionContext: EncryptionContext;
  readonly abortSignal?: AbortSignal | undefined;
}

/** A data key and its wrapped copy. */
export interface LegacyDataKey {
  /** 32 bytes. The caller of the keyring zeroes them after use. */
  readonly plaintext: Uint8Array;
  readonly wrap: WrapAlgorithm;
  readonly wrappedKey: Uint8Array;
  /** The description for the metadata: the whole encryption context of KMS, or the material description of a raw key. */
  readonly description: EncryptionContext;
}

/** Input of `LegacyKeyring.unwrapDataKey`. All of it comes from the object and is untrusted; the policy allows it. */
export interface LegacyUnwrapInput {
  /** A wrap of the keyring's key type. */
  readonly wrap: WrapAlgorithm;
  readonly wrappedKey: Uint8Array;
  /** The name of the content algorithm, which the wrapped key must be bound to. */
  readonly contentName: string;
  /** The description in the metadata: the whole encryption context of KMS, or the material description of a raw key. */
  readonly description: EncryptionContext;
  readonly abortSignal?: AbortSignal | undefined;
}

/**
 * Generates, wraps and unwraps the data keys of these formats. Create one by `legacyKmsKeyring`, `legacyAesKeyring` or
 * `legacyRsaKeyring`.
 */
export interface LegacyKeyring {
  readonly keyType: KeyType;
  /** Generates a data key of 32 bytes and wraps it by the wrap of the key type that is not legacy. */
  generateDataKey(input: LegacyGenerateInput): Promise<LegacyDataKey>;
  /**
   * Unwraps a data key of any length. The caller checks the length, and zeroes the data key after use.
   *
   * @throws EnvelopeError `DECRYPTION_FAILED` whatever is wrong, `KEY_NOT_FOR_OBJECT`; with KMS, the errors of `kmsKeyring`
   */
  unwrapDataKey(input: LegacyUnwrapInput): Promise<Uint8Array>;
  /** Wraps an existing data key, for the re-encryption of instruction files. Absent for KMS. */
  wrapDataKey?(
    plaintext: Uint8Array,
    input: Pick<LegacyGenerateInput, "contentName">,
  ): Promise<LegacyDataKey>;
}

/** Checks the field names of the input of `generateDataKey`. */
export function legacyGenerateArgument(input: unknown): LegacyGenerateInput {
  const given = fieldsArgument<LegacyGenerateInput>(legacyFieldNames.generateDataKey.input, input);
  return given as LegacyGenerateInput;
}

/** Checks the field names of the input of `wrapDataKey`. */
export function legacyWrapArgument(input: unknown): Pick<LegacyGenerateInput, "contentName"> {
  const given = fieldsArgument<Pick<LegacyGenerateInput, "contentName">>(
    legacyFieldNames.wrapDataKey.input,
    input,
  );
  return given as Pick<LegacyGenerateInput, "contentName">;
}

/** Checks the field names of the input of `unwrapDataKey`. */
export function legacyUnwrapArgument(input: unknown): LegacyUnwrapInput {
  const given = fieldsArgument<LegacyUnwrapInput>(legacyFieldNames.unwrapDataKey.input, input);
  return given as LegacyUnwrapInput;
}

/**
 * Checks that a data key is wrapped with the keyring's type of key.
 *
 * @throws EnvelopeError `KEY_NOT_FOR_OBJECT`
 */
export function requireKeyType(wrap: WrapAlgorithm, keyType: KeyType): void {
  if (wrap.keyType === keyType) return;
  throw new EnvelopeError(
    "KEY_NOT_FOR_OBJECT",
    `the data key of this object is wrapped by "${wrap.name}", which needs another type of key than the keyring has`,
    { details: { wrap: wrap.name, keyType } },
  );
}

const keyTypes: readonly KeyType[] = ["kms", "aes", "rsa"];

/** Checks that a value is a keyring of these formats. */
export function legacyKeyringArgument(title: string, value: unknown): LegacyKeyring {
  const { keyType, generateDataKey, unwrapDataKey } = Object(value) as Partial<LegacyKeyring>;
  const hasMethods = typeof generateDataKey === "function" && typeof unwrapDataKey === "function";
  if (keyTypes.includes(keyType as KeyType) && hasMethods) return value as LegacyKeyring;
  const expected = "what legacyKmsKeyring(), legacyAesKeyring() or legacyRsaKeyring() returns";
  throw wrongType(title, expected, value);
}

/** Generates a data key with a keyring, and checks the result. */
export async function generateLegacyDataKey(
  keyring: LegacyKeyring,
  input: LegacyGenerateInput,
): Promise<LegacyDataKey> {
  const title = "keyring.generateDataKey";
  const made = dataKeyArgument(title, keyring, await keyring.generateDataKey(input), input.contentName);
  const fault = dataKeyFault(made.plaintext);
  if (fault) throw new RangeError(`${title}: plaintext: ${fault}`);
  return made;
}

/**
 * Wraps an existing data key with a keyring, and checks the result.
 *
 * @param keyring a keyring of AES or RSA
 */
export async function wrapLegacyDataKey(
  keyring: LegacyKeyring,
  plaintext: Uint8Array,
  input: Pick<LegacyGenerateInput, "contentName">,
): Promise<LegacyDataKey> {
  const wrapped = await keyring.wrapDataKey?.(plaintext, input);
  return dataKeyArgument("newKeyring.wrapDataKey", keyring, wrapped, input.contentName);
}

/** Checks the result of a keyring. A wrapped key that readers refuse must not be written, as it may be the only copy. */
function dataKeyArgument(
  title: string,
  { keyType }: LegacyKeyring,
  value: unknown,
  contentName: string,
): LegacyDataKey {
  const { plaintext, wrap, wrappedKey, description } = objectArgument(`${title}: its result`, value);
  return {
    plaintext: bytesArgument(`${title}: plaintext`, plaintext),
    wrap: wrapArgument(`${title}: wrap`, keyType, wrap),
    wrappedKey: wrappedKeyArgument(`${title}: wrappedKey`, wrappedKey),
    description: dataKeyDescriptionArgument(`${title}: description`, description, keyType, contentName),
  };
}

function wrappedKeyArgument(title: string, value: unknown): Uint8Array {
  const bytes = bytesArgument(title, value);
  if (bytes.length >= 1 && bytes.length <= maxWrappedKeyBytes) return bytes;
  throw new RangeError(`${title}: expected 1 to ${maxWrappedKeyBytes} bytes, got ${bytes.length}`);
}

/** Readers accept legacy wraps only if they are set to. */
function wrapArgument(title: string, keyType: KeyType, value: unknown): WrapAlgorithm {
  const wrap = Object.values(wraps).find((one) => one === value);
  if (wrap?.keyType === keyType && !wrap.isLegacy) return wrap;
  throw wrongType(title, `the wrap for keys of type "${keyType}" that is not legacy`, value);
}

function dataKeyDescriptionArgument(
  title: string,
  value: unknown,
  keyType: KeyType,
  contentName: string,
): EncryptionContext {
  const entries = Object.entries(objectArgument(title, value));
  for (const [name, text] of entries) {
    if (typeof text !== "string") throw wrongType(title, "strings", text);
    const fault = entryFault(name, text);
    if (fault) throw new RangeError(`${title}: one of its entries: ${fault}`);
  }
  const description = contextOf(entries as [string, string][]);
  if (keyType !== "kms" || description[contentContextName] === contentName) return description;
  throw new RangeError(`${title}: expected "${contentContextName}": "${contentName}" in it, as readers do`);
}
