/** What keyrings of the S3 Encryption Client formats are held to: the keyring itself, and the data keys that it makes. */
import { bytesArgument, objectArgument, wrongType } from "../arguments.js";
import { contextOf, type EncryptionContext } from "../keys/context.js";
import type { LegacyDataKey, LegacyGenerateInput, LegacyKeyring } from "./keyring.js";
import { type KeyType, type WrapAlgorithm, wraps } from "./suites.js";

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
  return dataKeyArgument("keyring.generateDataKey", keyring, await keyring.generateDataKey(input));
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
  return dataKeyArgument("newKeyring.wrapDataKey", keyring, await keyring.wrapDataKey?.(plaintext, input));
}

function dataKeyArgument(title: string, { keyType }: LegacyKeyring, value: unknown): LegacyDataKey {
  const { plaintext, wrap, wrappedKey, description } = objectArgument(`${title}: its result`, value);
  return {
    plaintext: bytesArgument(`${title}: plaintext`, plaintext),
    wrap: wrapArgument(`${title}: wrap`, keyType, wrap),
    wrappedKey: bytesArgument(`${title}: wrappedKey`, wrappedKey),
    description: descriptionArgument(`${title}: description`, description),
  };
}

/** Readers take the others only when they are told to. */
function wrapArgument(title: string, keyType: KeyType, value: unknown): WrapAlgorithm {
  const wrap = Object.values(wraps).find((one) => one === value);
  if (wrap?.keyType === keyType && !wrap.isLegacy) return wrap;
  throw wrongType(title, `the wrap for keys of type "${keyType}" that is not legacy`, value);
}

function descriptionArgument(title: string, value: unknown): EncryptionContext {
  const entries = Object.entries(objectArgument(title, value));
  for (const [, text] of entries) if (typeof text !== "string") throw wrongType(title, "strings", text);
  return contextOf(entries as [string, string][]);
}
