/** What keyrings of the S3 Encryption Client formats are held to: the keyring itself, and the data keys that it makes. */
import { bytesArgument, objectArgument, wrongType } from "../../base/arguments.js";
import { contextOf, type EncryptionContext, entryFault } from "../../keys/encryption-context.js";
import { dataKeyFault, maxWrappedKeyBytes } from "../../keys/keyring.js";
import { contentContextName } from "../names.js";
import { type KeyType, type WrapAlgorithm, wraps } from "../suites.js";
import type { LegacyDataKey, LegacyGenerateInput, LegacyKeyring } from "./keyring.js";

const keyTypes: readonly KeyType[] = ["kms", "aes", "rsa"];

/** Checks a keyring. */
export function legacyKeyringArgument(title: string, value: unknown): LegacyKeyring {
  const { keyType, generateDataKey, unwrapDataKey } = Object(value) as Partial<LegacyKeyring>;
  const hasMethods = typeof generateDataKey === "function" && typeof unwrapDataKey === "function";
  if (keyTypes.includes(keyType as KeyType) && hasMethods) return value as LegacyKeyring;
  const expected = "what legacyKmsKeyring(), legacyAesKeyring() or legacyRsaKeyring() returns";
  throw wrongType(title, expected, value);
}

/** Has a keyring make a data key, and checks what it returns. */
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
 * Has a keyring wrap a data key that is there already, and checks what it returns.
 *
 * @param keyring one of AES or RSA
 */
export async function wrapLegacyDataKey(
  keyring: LegacyKeyring,
  plaintext: Uint8Array,
  input: Pick<LegacyGenerateInput, "contentName">,
): Promise<LegacyDataKey> {
  const wrapped = await keyring.wrapDataKey?.(plaintext, input);
  return dataKeyArgument("newKeyring.wrapDataKey", keyring, wrapped, input.contentName);
}

/** What no reader would take must not be written: it may be the only copy. */
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
    description: descriptionArgument(`${title}: description`, description, keyType, contentName),
  };
}

function wrappedKeyArgument(title: string, value: unknown): Uint8Array {
  const bytes = bytesArgument(title, value);
  if (bytes.length >= 1 && bytes.length <= maxWrappedKeyBytes) return bytes;
  throw new RangeError(`${title}: expected 1 to ${maxWrappedKeyBytes} bytes, got ${bytes.length}`);
}

/** Readers take the others only when they are told to. */
function wrapArgument(title: string, keyType: KeyType, value: unknown): WrapAlgorithm {
  const wrap = Object.values(wraps).find((one) => one === value);
  if (wrap?.keyType === keyType && !wrap.isLegacy) return wrap;
  throw wrongType(title, `the wrap for keys of type "${keyType}" that is not legacy`, value);
}

function descriptionArgument(
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
