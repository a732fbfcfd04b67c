/** Frozen objects of S3 Encryption Clients without any service: their keyrings, wrong ones, and what reads them. */
import { createPrivateKey } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import {
  DecryptCommand,
  IncorrectKeyException,
  InvalidCiphertextException,
  KMSClient,
} from "@aws-sdk/client-kms";
import { mockClient } from "aws-sdk-client-mock";
import { expect } from "vitest";
import {
  decryptLegacyObject,
  type LegacyKeyring,
  type LegacyObjectInput,
  type LegacyReadingOptions,
  legacyAesKeyring,
  legacyKmsKeyring,
  legacyRsaKeyring,
} from "../../src/legacy.js";
import { type Frozen, type FrozenCase, readFrozen } from "../peers/frozen.js";
import type { KeyMaterial } from "../peers/protocol.js";
import { allowAll } from "../support/legacy-objects.js";

/** The content that has no tag. */
export const cbc = "AES/CBC/PKCS5Padding";

/** The keyring that reads a case: KMS answers for its data key under its key and context alone. */
export function frozenKeyring({ keys }: Frozen, { key, dataKey }: FrozenCase): LegacyKeyring {
  return keyringOf(keys[key] ?? {}, keys.kms?.kmsKeyId, dataKey);
}

/** One of the same type with another key. */
export function otherKeyring({ keys }: Frozen, { key, dataKey }: FrozenCase): LegacyKeyring {
  const others: Record<string, string> = {
    aes128: "aes192",
    aes192: "aes256",
    aes256: "nextAes256",
    nextAes256: "aes256",
    rsa2048: "nextRsa2048",
    nextRsa2048: "rsa2048",
  };
  const other = others[key];
  const material = other === undefined ? { kmsKeyId: `${keys.kms?.kmsKeyId}0` } : keyNamed(other, keys);
  return keyringOf(material, keys.kms?.kmsKeyId, dataKey);
}

/** A key of the file, or else the one of that name in another file: a fresh one would open some CBC by chance. */
function keyNamed(name: string, keys: Frozen["keys"]): KeyMaterial {
  const found = keys[name] ?? readFrozen().find((file) => file.keys[name])?.keys[name];
  if (!found) throw new Error(`no frozen file has a key named ${name}`);
  return found;
}

function keyringOf(
  { aesKey, rsaKey, kmsKeyId = "" }: KeyMaterial,
  existingKeyId: string | undefined,
  dataKey: FrozenCase["dataKey"],
): LegacyKeyring {
  if (aesKey !== undefined) return legacyAesKeyring({ wrappingKey: Buffer.from(aesKey, "base64") });
  if (rsaKey !== undefined) {
    const der = { key: Buffer.from(rsaKey, "base64"), format: "der", type: "pkcs8" } as const;
    return legacyRsaKeyring({ privateKey: createPrivateKey(der) });
  }
  const kms = new KMSClient({ region: "us-east-1" });
  mockClient(kms)
    .on(DecryptCommand)
    .callsFake(({ KeyId, CiphertextBlob, EncryptionContext }) => {
      if (KeyId !== existingKeyId) throw new IncorrectKeyException({ message: "", $metadata: {} });
      const isKnown =
        Buffer.from(CiphertextBlob).toString("base64") === dataKey?.ciphertextBlob &&
        isDeepStrictEqual({ ...EncryptionContext }, dataKey?.encryptionContext);
      if (!isKnown) throw new InvalidCiphertextException({ message: "", $metadata: {} });
      return { KeyId, Plaintext: Buffer.from(dataKey?.plaintext ?? "", "base64") };
    });
  return legacyKmsKeyring({ kms, keyId: kmsKeyId });
}

/** Reads a case with no S3. */
export async function decryptFrozen(
  frozen: Frozen,
  one: FrozenCase,
  input: Partial<LegacyObjectInput> = {},
  options: Partial<LegacyReadingOptions> = allowAll,
): Promise<Buffer> {
  const { instructionFile, context, format, storage, object } = one;
  const output = await decryptLegacyObject(
    {
      Body: Buffer.from(object.body, "base64"),
      Metadata: object.metadata,
      ...(instructionFile && { instructionFile: instructionFile.body }),
      ...(one.key === "kms" && { encryptionContext: context }),
      ...input,
    },
    { keyring: frozenKeyring(frozen, one), ...contentAadOf(one), ...options },
  );
  const where = storage === "metadata" ? "metadata" : "instruction-file";
  expect(output.legacy).toMatchObject({ format, storage: where });
  return Buffer.from(await output.Body.transformToByteArray());
}

/** The option that states what the writer authenticated beside the content, if it did. */
export function contentAadOf({ contentAad }: FrozenCase): Pick<LegacyReadingOptions, "contentAad"> {
  return contentAad === undefined ? {} : { contentAad: Buffer.from(contentAad) };
}

/** The options without which a case is refused, in the order in which they are missed. */
export function neededOptions({ content, wrap }: FrozenCase): readonly (keyof typeof allowAll)[] {
  const isOldWrap = ["kms", "AES", "AESWrap", "RSA", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"].includes(wrap);
  return [
    ...(content === cbc ? (["enableLegacyUnauthenticatedModes"] as const) : []),
    ...(content === "115" ? [] : (["commitmentPolicy"] as const)),
    ...(isOldWrap ? (["enableLegacyWrappingAlgorithms"] as const) : []),
  ];
}
