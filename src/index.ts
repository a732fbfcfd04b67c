/** Everything that a service needs: the client, the keyrings, the frame layer, the error class. */

export { EnvelopeError, type ErrorCode, type ErrorDetails, errorCodes } from "./base/errors.js";
export { CryptoEngine, type CryptoEngineOptions, sharedEngine } from "./cobblestone/engine/engine.js";
export { ciphertextLength, plaintextLength } from "./cobblestone/layout.js";
export {
  type ByteSource,
  decrypt,
  encrypt,
  type MessageOptions,
  type StreamOptions,
} from "./cobblestone/stream/message.js";
export {
  decryptDuplex,
  decryptTransformStream,
  encryptDuplex,
  encryptTransformStream,
} from "./cobblestone/stream/node-streams.js";
export {
  openRandomAccess,
  type RandomAccessMessage,
  type RandomAccessSource,
} from "./cobblestone/stream/random-access.js";
export { type AesKeyringOptions, aesKeyring } from "./keys/aes.js";
export type { EncryptionContext } from "./keys/encryption-context.js";
export type {
  GenerateDataKeyInput,
  GeneratedDataKey,
  Keyring,
  Recipient,
  UnwrapDataKeyInput,
} from "./keys/keyring.js";
export { type KmsKeyringOptions, kmsKeyring } from "./keys/kms/kms-keyring.js";
export { EnvelopeClient } from "./objects/client.js";
export type { DeleteInput, DeleteOutput } from "./objects/delete.js";
export type { DownloadInput, DownloadOutput } from "./objects/download/download-input.js";
export type {
  EnvelopeClientOptions,
  EnvelopeStorage,
} from "./objects/encrypted/config.js";
export type {
  LegacyObjectInfo,
  LegacyReadInfo,
  LegacyReading,
  RecipientName,
} from "./objects/encrypted/format.js";
export type { ExpectedContext } from "./objects/encrypted/read-arguments.js";
export type { VerifiedBody } from "./objects/get/body.js";
export type { GetInput, GetOutput } from "./objects/get/get-input.js";
export type { HeadInput, HeadOutput } from "./objects/head.js";
export type { OpenObject, OpenObjectFields } from "./objects/open/object-reader.js";
export type { OpenInput, OpenOptions } from "./objects/open/open.js";
export type { PutInput } from "./objects/put/put.js";
export type { PutOutput } from "./objects/put/write-arguments.js";
export type { AbortUploadInput, AbortUploadOutput } from "./objects/upload/abort.js";
export type { BeginUploadInput, CompleteUploadInput } from "./objects/upload/distributed.js";
export { type UploadPartInput, uploadPartRange } from "./objects/upload/part-upload.js";
export type { PartFingerprint, PartLayout, UploadedPart } from "./objects/upload/parts.js";
export type { TicketInput, UploadTicket } from "./objects/upload/ticket.js";
export type {
  AbortUploadsInput,
  AbortUploadsOutput,
  ListUploadsInput,
  UnfinishedUpload,
} from "./objects/upload/unfinished-uploads.js";
export type { UploadInput } from "./objects/upload/upload.js";
export type { EngineEvent } from "./observe/channels.js";
export { createS3Client, type S3ClientOptions } from "./s3/s3-client.js";
export type { LegacyFormat } from "./s3ec/suites.js";
export type { PutBody } from "./transfer/body-source.js";
export type { CallOptions, TransferOptions } from "./transfer/call.js";
export type { ProgressListener, TransferProgress } from "./transfer/progress.js";
