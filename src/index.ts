/** Everything that a service needs: the client, the keyrings, the frame layer, the error class. */
export { CryptoEngine, type CryptoEngineOptions, sharedEngine } from "./cobblestone/engine.js";
export { ciphertextLength, plaintextLength } from "./cobblestone/geometry.js";
export {
  type ByteSource,
  decrypt,
  encrypt,
  type MessageOptions,
  type StreamOptions,
} from "./cobblestone/message.js";
export {
  openRandomAccess,
  type RandomAccessMessage,
  type RandomAccessSource,
} from "./cobblestone/random-access.js";
export {
  decryptDuplex,
  decryptTransformStream,
  encryptDuplex,
  encryptTransformStream,
} from "./cobblestone/streams.js";
export { EnvelopeError, type ErrorCode, type ErrorDetails, errorCodes } from "./errors.js";
export { type AesKeyringOptions, aesKeyring } from "./keys/aes.js";
export type { EncryptionContext } from "./keys/context.js";
export type {
  GenerateDataKeyInput,
  GeneratedDataKey,
  Keyring,
  Recipient,
  UnwrapDataKeyInput,
} from "./keys/keyring.js";
export { type KmsKeyringOptions, kmsKeyring } from "./keys/kms.js";
export type { EngineEvent } from "./observe/channels.js";
export type { VerifiedBody } from "./s3/body.js";
export type { DeleteInput, DeleteOutput } from "./s3/delete.js";
export type { DownloadInput, DownloadOutput } from "./s3/download-input.js";
export { EnvelopeClient } from "./s3/envelope-client.js";
export type { GetInput, GetOutput } from "./s3/get-input.js";
export type { HeadInput, HeadOutput, RecipientName } from "./s3/head.js";
export type { LegacyFacts, LegacyReadFacts, LegacyReading } from "./s3/legacy-reading.js";
export type { OpenObject, OpenObjectFields } from "./s3/object-reader.js";
export type { OpenInput, OpenOptions } from "./s3/open.js";
export type { ProgressListener, TransferProgress } from "./s3/progress.js";
export type { PutInput } from "./s3/put.js";
export type { ExpectedContext } from "./s3/read-envelope.js";
export { createS3Client, type S3ClientOptions } from "./s3/s3-client.js";
export type { CallOptions, EnvelopeClientOptions, EnvelopeStorage, TransferOptions } from "./s3/settings.js";
export type { PutBody } from "./s3/source.js";
export type { UploadInput } from "./s3/upload.js";
export type { AbortUploadInput, AbortUploadOutput } from "./s3/upload-abort.js";
export type { CompleteUploadInput } from "./s3/upload-complete.js";
export type {
  AbortUploadsInput,
  AbortUploadsOutput,
  ListUploadsInput,
  UnfinishedUpload,
} from "./s3/upload-orphans.js";
export type { PartSeal, UploadedPart } from "./s3/upload-parts.js";
export {
  type BeginUploadInput,
  type UploadPartInput,
  uploadPartRange,
} from "./s3/upload-shared.js";
export type { UploadTicket } from "./s3/upload-ticket.js";
export type { PutOutput } from "./s3/write.js";
