/** Writers of the S3 Encryption Client formats over the in-process AWS, for each type of key. */
import type { EncryptionContext } from "../../src/index.js";
import {
  type LegacyKeyring,
  LegacyWriter,
  type LegacyWriterOptions,
  legacyAesKeyring,
  legacyKmsKeyring,
  legacyRsaKeyring,
} from "../../src/legacy.js";
import { type Local, partBytes } from "./local.js";
import { type ReadingKey, type S3ecObject, s3ecKeys } from "./s3ec.js";

/** The kinds of wrapping keys. */
export const keyTypes = ["kms", "aes", "rsa"] as const;
/** The formats that a writer can produce. */
export const formats = ["V2", "V3"] as const;

/** The options with which a writer produces each format. */
export const optionsOf: Readonly<Record<(typeof formats)[number], Partial<LegacyWriterOptions>>> = {
  V2: {
    commitmentPolicy: "FORBID_ENCRYPT_ALLOW_DECRYPT",
    encryptionAlgorithm: "ALG_AES_256_GCM_IV12_TAG16_NO_KDF",
  },
  V3: {},
};

/** A keyring on the first key of its type, and the key to read its objects with. */
export function keysOf(
  local: Local,
  keyType: (typeof keyTypes)[number],
  materialsDescription?: EncryptionContext,
): { keyring: LegacyKeyring; key: ReadingKey } {
  const described = materialsDescription && { materialsDescription };
  if (keyType === "kms") {
    const { kms } = local.aws;
    return { keyring: legacyKmsKeyring({ kms, keyId: local.keyArn }), key: { kms, keyId: local.keyArn } };
  }
  if (keyType === "aes") {
    const wrappingKey = s3ecKeys.aes;
    return { keyring: legacyAesKeyring({ wrappingKey, ...described }), key: { aes: wrappingKey } };
  }
  const { privateKey } = s3ecKeys.rsa;
  return { keyring: legacyRsaKeyring({ privateKey, ...described }), key: { rsa: privateKey } };
}

/** A writer with small parts and no retries, by default of V3 under the AES key. */
export function writerWith(local: Local, options: Partial<LegacyWriterOptions> = {}): LegacyWriter {
  const { keyring } = keysOf(local, "aes");
  return new LegacyWriter({ s3: local.s3, keyring, partSizeBytes: partBytes, ...options });
}

/** An object in S3, with its instruction file. */
export async function stored(local: Local, Key: string, suffix = ".instruction"): Promise<S3ecObject> {
  const object = await local.getRaw(Key);
  const { keys } = await local.contents();
  local.aws.clearRequests();
  if (!keys.includes(`${Key}${suffix}`)) return object;
  return { ...object, instructions: (await local.getRaw(`${Key}${suffix}`)).bytes.toString() };
}

/** Removes all objects of the bucket. */
export async function removeAll(local: Local): Promise<void> {
  await local.removeAll();
}
