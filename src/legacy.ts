/** Reads and writes objects of Amazon's S3 Encryption Clients, and decrypts messages of the AWS Encryption SDK. */

export {
  decryptEncryptionSdkMessage,
  type EncryptionSdkKeyring,
  type EncryptionSdkMessage,
  type EncryptionSdkOptions,
} from "./encryption-sdk/decrypt-message.js";
export { type LegacyAesKeyringOptions, legacyAesKeyring } from "./s3ec/keyrings/aes-keyring.js";
export type {
  LegacyDataKey,
  LegacyGenerateInput,
  LegacyKeyring,
  LegacyUnwrapInput,
} from "./s3ec/keyrings/keyring.js";
export { type LegacyKmsKeyringOptions, legacyKmsKeyring } from "./s3ec/keyrings/kms-keyring.js";
export { type LegacyRsaKeyringOptions, legacyRsaKeyring } from "./s3ec/keyrings/rsa-keyring.js";
export type { CommitmentPolicy } from "./s3ec/policy.js";
export type { KeyType, LegacyFormat, WrapAlgorithm } from "./s3ec/suites.js";
export type {
  Migrated,
  MigrateInput,
  MigrateOutput,
  MigrateTarget,
  NotMigrated,
} from "./s3ec-objects/migrate/input.js";
export { migrateObject } from "./s3ec-objects/migrate/migrate.js";
export {
  type DecryptLegacyObjectOptions,
  decryptLegacyObject,
  type LegacyObjectInput,
  type LegacyObjectOutput,
} from "./s3ec-objects/read/decrypt-object.js";
export { legacyReading } from "./s3ec-objects/read/reading.js";
export type { LegacyReadingOptions } from "./s3ec-objects/read/reading-options.js";
export {
  decryptSesMail,
  type SesMailInput,
  type SesMailOptions,
  sesMailReading,
} from "./s3ec-objects/ses-mail.js";
export type { LegacyDeleteInput, LegacyDeleteOutput } from "./s3ec-objects/write/delete.js";
export type { VerifyContent } from "./s3ec-objects/write/prove-content.js";
export type { LegacyPutInput } from "./s3ec-objects/write/put-input.js";
export type {
  ReEncryptInstructionFileInput,
  ReEncryptInstructionFileOutput,
} from "./s3ec-objects/write/re-encrypt-input.js";
export { LegacyWriter } from "./s3ec-objects/write/writer.js";
export type { LegacyWriterOptions } from "./s3ec-objects/write/writer-settings.js";
