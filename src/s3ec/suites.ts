/** The algorithms of the S3 Encryption Client formats, as data. docs/guides/legacy-objects.md has the tables. */

/** The length of an AES block in bytes. CBC pads to it, and ranges are read in whole blocks. */
export const blockBytes = 16;

/** The version of the format of an object. */
export type LegacyFormat = "V1" | "V2" | "V3";

/** The lengths of data keys in bytes: those of AES keys. */
export const dataKeyLengths: readonly number[] = Object.freeze([16, 24, 32]);

/** A content algorithm. */
export interface ContentSuite {
  /** Its name in Amazon's clients. */
  readonly name:
    | "ALG_AES_256_CBC_IV16_NO_KDF"
    | "ALG_AES_256_GCM_IV12_TAG16_NO_KDF"
    | "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY";
  /** Its names in metadata, which data keys are bound to. Writers use the first. */
  readonly contentNames: readonly [string, ...string[]];
  readonly mode: "cbc" | "gcm";
  /** Whether objects commit to their data key. */
  readonly commits: boolean;
  /** The lengths of data keys in bytes that readers accept. Writers use 32. */
  readonly dataKeyBytes: readonly number[];
  /** The length in bytes of the IV in the metadata, or of the message id in the committing suite. */
  readonly ivBytes: number;
  readonly tagBytes: number;
  /** The most bytes of plaintext in one object. */
  readonly maxPlaintextBytes: number;
}

const maxGcmPlaintextBytes = 2 ** 36 - 32;

/** The algorithm of version 1. It is not authenticated. */
export const cbcSuite: ContentSuite = Object.freeze<ContentSuite>({
  name: "ALG_AES_256_CBC_IV16_NO_KDF",
  contentNames: ["AES/CBC/PKCS5Padding", "AES/CBC/PKCS7Padding"],
  mode: "cbc",
  commits: false,
  dataKeyBytes: dataKeyLengths,
  ivBytes: 16,
  tagBytes: 0,
  maxPlaintextBytes: Number.MAX_SAFE_INTEGER,
});

/** The algorithm of version 2. It is authenticated, but a body can be constructed that decrypts under two data keys. */
export const gcmSuite: ContentSuite = Object.freeze<ContentSuite>({
  name: "ALG_AES_256_GCM_IV12_TAG16_NO_KDF",
  contentNames: ["AES/GCM/NoPadding"],
  mode: "gcm",
  commits: false,
  dataKeyBytes: dataKeyLengths,
  ivBytes: 12,
  tagBytes: 16,
  maxPlaintextBytes: maxGcmPlaintextBytes,
});

/** The algorithm of version 3. */
export const committingSuite: ContentSuite = Object.freeze<ContentSuite>({
  name: "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
  contentNames: ["115"],
  mode: "gcm",
  commits: true,
  dataKeyBytes: [32],
  ivBytes: 28,
  tagBytes: 16,
  maxPlaintextBytes: maxGcmPlaintextBytes,
});

/** The type of the key that a data key is wrapped with. */
export type KeyType = "kms" | "aes" | "rsa";

/** An algorithm that wraps data keys. */
export interface WrapAlgorithm {
  /** Its name in the metadata of V2. The two of V1, which has no name for them, have the names that Amazon's clients use. */
  readonly name:
    | "kms"
    | "kms+context"
    | "AES"
    | "AESWrap"
    | "AES/GCM"
    | "RSA"
    | "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"
    | "RSA-OAEP-SHA1";
  /** Its code in the metadata of V3; undefined for wraps that V3 does not have. */
  readonly code: string | undefined;
  readonly keyType: KeyType;
  /** Whether reading it must be enabled, because it does not bind the content algorithm to the data key. */
  readonly isLegacy: boolean;
}

/** All wrapping algorithms. */
export const wraps = Object.freeze({
  kms: wrap("kms", undefined, "kms"),
  kmsContext: wrap("kms+context", "12", "kms"),
  aesEcb: wrap("AES", undefined, "aes"),
  aesWrap: wrap("AESWrap", undefined, "aes"),
  aesGcm: wrap("AES/GCM", "02", "aes"),
  rsaPkcs1: wrap("RSA", undefined, "rsa"),
  rsaOaepSha256: wrap("RSA/ECB/OAEPWithSHA-256AndMGF1Padding", undefined, "rsa"),
  rsaOaepSha1: wrap("RSA-OAEP-SHA1", "22", "rsa"),
});

function wrap(
  name: WrapAlgorithm["name"],
  code: string | undefined,
  keyType: WrapAlgorithm["keyType"],
): WrapAlgorithm {
  return Object.freeze({ name, code, keyType, isLegacy: code === undefined });
}
