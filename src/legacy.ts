/** Objects of Amazon's S3 Encryption Clients, read and written, and messages of the AWS Encryption SDK. */
export { type LegacyAesKeyringOptions, legacyAesKeyring } from "./legacy/aes-keyring.js";
export {
  decryptEncryptionSdkMessage,
  type EncryptionSdkKeyring,
  type EncryptionSdkMessage,
  type EncryptionSdkOptions,
} from "./legacy/encryption-sdk.js";
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
export {
  decryptLegacyObject,
  type LegacyObjectInput,
  type LegacyObjectOutput,
} from "./s3/legacy/decrypt-object.js";
export type { LegacyDeleteInput, LegacyDeleteOutput } from "./s3/legacy/delete.js";
export { migrateObject } from "./s3/legacy/migrate.js";
export type {
  Migrated,
  MigrateInput,
  MigrateOutput,
  MigrateTarget,
  NotMigrated,
} from "./s3/legacy/migrate-input.js";
export type { VerifyContent } from "./s3/legacy/prove-content.js";
export type { LegacyPutInput } from "./s3/legacy/put.js";
export type {
  ReEncryptInstructionFileInput,
  ReEncryptInstructionFileOutput,
} from "./s3/legacy/re-encrypt.js";
export { legacyReading } from "./s3/legacy/reading.js";
export type { LegacyReadingOptions } from "./s3/legacy/reading-options.js";
export {
  decryptSesMail,
  type SesMailInput,
  type SesMailOptions,
  sesMailReading,
} from "./s3/legacy/ses-mail.js";
export { LegacyWriter } from "./s3/legacy/writer.js";
export type { LegacyWriterOptions } from "./s3/legacy/writer-settings.js";
