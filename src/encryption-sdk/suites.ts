/** The algorithm suites of AWS Encryption SDK messages, as data; what each derives and signs is in `@aws-crypto/client-node`. */

/** How a message is encrypted. */
export interface MessageSuite {
  readonly id: number;
  /** Its name in Amazon's clients. */
  readonly name: string;
  /** Whether the message commits to its data key; then it is of version 2, else of version 1. */
  readonly commits: boolean;
  /** Whether a signature over all of the message follows its last frame. */
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

/** All suites by their id on the wire. */
export const messageSuites: ReadonlyMap<number, MessageSuite> = new Map(
  rows.map(([id, name]) => [
    id,
    Object.freeze({ id, name, commits: name.includes("COMMIT_KEY"), isSigned: name.includes("ECDSA") }),
  ]),
);

/** Bytes of every IV. */
export const messageIvBytes = 12;
/** Bytes of every tag. */
export const messageTagBytes = 16;
/** The context entry that holds the key which verifies the signature. */
export const publicKeyName = "aws-crypto-public-key";
