/** Objects of Amazon's S3 Encryption Clients, read and written, and messages of the AWS Encryption SDK. */
export { type LegacyAesKeyringOptions, legacyAesKeyring } from "./legacy/aes-keyring.js";
export type {
  LegacyDataKey,
  LegacyGenerateInput,
  LegacyKeyring,
  LegacyUnwrapInput,
} from "./legacy/keyring.js";
export { type LegacyKmsKeyringOptions, legacyKmsKeyring } from "./legacy/kms-keyring.js";
export type { CommitmentPolicy } from "./legacy/policy.js";
export { type LegacyRsaKeyringOptions, legacyRsaKeyring } from "./legacy/rsa-keyring.js";
export type { KeyType, WrapAlgorithm } from "./legacy/suites.js";
