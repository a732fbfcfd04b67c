/** The algorithms of the S3 Encryption Client formats, as data. docs/guides/legacy-objects.md has the tables. */

/** Bytes of a block of AES: what CBC pads to, and what a range begins with. */
export const blockBytes = 16;

/** The versions of the formats. */
export type LegacyFormat = "V1" | "V2" | "V3";

/** Lengths of data keys in bytes, which are keys of AES. */
export const dataKeyLengths: readonly number[] = Object.freeze([16, 24, 32]);

/** How the content of an object is encrypted. */
export interface ContentSuite {
  /** Its name in Amazon's clients. */
  readonly name:
    | "ALG_AES_256_CBC_IV16_NO_KDF"
    | "ALG_AES_256_GCM_IV12_TAG16_NO_KDF"
    | "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY";
  /** Its name in metadata, which data keys are bound to; the first of them when written. */
  readonly contentNames: readonly [string, ...string[]];
  readonly mode: "cbc" | "gcm";
  /** Whether the object commits to its data key. */
  readonly commits: boolean;
  /** Lengths of data keys in bytes that are read; writers use 32. */
  readonly dataKeyBytes: readonly number[];
  /** Bytes of the IV in the metadata; of the message id for the suite that commits. */
  readonly ivBytes: number;
  readonly tagBytes: number;
  /** The most bytes of plaintext. */
  readonly maxPlaintextBytes: number;
}

const maxGcmPlaintextBytes = 2 ** 36 - 32;

/** Clients of version 1, and nothing authenticates it. */
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

/** Clients of version 2: authenticated, but a body can be made that opens under two data keys. */
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

/** Clients of version 3. */
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

/** What kind of key a data key is wrapped with. */
export type KeyType = "kms" | "aes" | "rsa";

/** How the data key of an object is wrapped. */
export interface WrapAlgorithm {
  /** Its name in the metadata of V2; for the two of V1, which has none, the names that Amazon's clients use. */
  readonly name:
    | "kms"
    | "kms+context"
    | "AES"
    | "AESWrap"
    | "AES/GCM"
    | "RSA"
    | "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"
    | "RSA-OAEP-SHA1";
  /** Its code in the metadata of V3, if that has it. */
  readonly code: string | undefined;
  readonly keyType: KeyType;
  /** Whether reading it has to be switched on: nothing binds the content algorithm to the data key. */
  readonly isLegacy: boolean;
}

/** All wraps. */
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
