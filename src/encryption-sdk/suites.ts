/** The algorithm suites of AWS Encryption SDK messages, as data. `@aws-crypto/client-node` implements them. */

/** An algorithm suite. */
export interface MessageSuite {
  readonly id: number;
  /** The name of the suite in the AWS Encryption SDK. */
  readonly name: string;
  /** Whether messages commit to their data key. Those that do are of version 2, the others of version 1. */
  readonly commits: boolean;
  /** Whether a signature of the whole message follows its last frame. */
  readonly isSigned: boolean;
}

const rows: readonly (readonly [id: number, name: string])[] = [
  [0x0014, "ALG_AES128_GCM_IV12_TAG16"],
  [0x0046, "ALG_AES192_GCM_IV12_TAG16"],
  [0x0078, "ALG_AES256_GCM_IV12_TAG16"],
  [0x0114, "ALG_AES128_GCM_IV12_TAG16_HKDF_SHA256"],
  [0x0146, "ALG_AES192_GCM_IV12_TAG16_HKDF_SHA256"],
  [0x0178, "ALG_AES256_GCM_IV12_TAG16_HKDF_SHA256"],
  [0x0214, "ALG_AES128_GCM_IV12_TAG16_HKDF_SHA256_ECDSA_P256"],
  [0x0346, "ALG_AES192_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384"],
  [0x0378, "ALG_AES256_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384"],
  [0x0478, "ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY"],
  [0x0578, "ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY_ECDSA_P384"],
];

/** All suites by their id in the header. */
export const messageSuites: ReadonlyMap<number, MessageSuite> = new Map(
  rows.map(([id, name]) => [
    id,
    Object.freeze({ id, name, commits: name.includes("COMMIT_KEY"), isSigned: name.includes("ECDSA") }),
  ]),
);

/** The length of an IV in bytes. */
export const messageIvBytes = 12;
/** The length of a tag in bytes. */
export const messageTagBytes = 16;
/** The name of the context entry that holds the public key of the signature. */
export const publicKeyName = "aws-crypto-public-key";
