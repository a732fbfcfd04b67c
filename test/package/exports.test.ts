import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import * as main from "../../src/index.js";
import * as legacy from "../../src/legacy.js";
import * as testing from "../../src/testing/index.js";

it("the entry points export these names and no others", () => {
  expect(Object.keys(main).sort()).toEqual([
    "CryptoEngine",
    "EnvelopeClient",
    "EnvelopeError",
    "aesKeyring",
    "ciphertextLength",
    "createS3Client",
    "decrypt",
    "decryptDuplex",
    "decryptTransformStream",
    "encrypt",
    "encryptDuplex",
    "encryptTransformStream",
    "errorCodes",
    "kmsKeyring",
    "openRandomAccess",
    "plaintextLength",
    "sharedEngine",
    "uploadPartRange",
  ]);
  expect(Object.keys(testing)).toEqual(["startLocalAws"]);
});

it("the entry points export these types and no others", () => {
  const typesOf = (file: string) => {
    const text = readFileSync(new URL(`../../src/${file}`, import.meta.url), "utf8");
    const lists = [...text.matchAll(/export (type )?\{([^}]*)\}/g)];
    const names = lists.flatMap(([, all, list = ""]) =>
      list
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== "" && (all || name.startsWith("type ")))
        .map((name) => name.replace(/^type /, "")),
    );
    return names.sort();
  };
  expect(typesOf("index.ts")).toEqual([
    "AbortUploadInput",
    "AbortUploadOutput",
    "AbortUploadsInput",
    "AbortUploadsOutput",
    "AesKeyringOptions",
    "BeginUploadInput",
    "ByteSource",
    "CallOptions",
    "CompleteUploadInput",
    "CryptoEngineOptions",
    "DeleteInput",
    "DeleteOutput",
    "DownloadInput",
    "DownloadOutput",
    "EncryptionContext",
    "EngineEvent",
    "EnvelopeClientOptions",
    "EnvelopeStorage",
    "ErrorCode",
    "ErrorDetails",
    "ExpectedContext",
    "GenerateDataKeyInput",
    "GeneratedDataKey",
    "GetInput",
    "GetOutput",
    "HeadInput",
    "HeadOutput",
    "Keyring",
    "KmsKeyringOptions",
    "LegacyFormat",
    "LegacyObjectInfo",
    "LegacyReadInfo",
    "LegacyReading",
    "ListUploadsInput",
    "MessageOptions",
    "OpenInput",
    "OpenObject",
    "OpenObjectFields",
    "OpenOptions",
    "PartFingerprint",
    "PartLayout",
    "ProgressListener",
    "PutBody",
    "PutInput",
    "PutOutput",
    "RandomAccessMessage",
    "RandomAccessSource",
    "Recipient",
    "RecipientName",
    "S3ClientOptions",
    "StreamOptions",
    "TicketInput",
    "TransferOptions",
    "TransferProgress",
    "UnfinishedUpload",
    "UnwrapDataKeyInput",
    "UploadInput",
    "UploadPartInput",
    "UploadTicket",
    "UploadedPart",
    "VerifiedBody",
  ]);
  expect(typesOf("testing/index.ts")).toEqual([
    "Credentials",
    "Fault",
    "HeldRequests",
    "HoldOptions",
    "HoldPlace",
    "LocalAws",
    "LocalAwsOptions",
    "LocalClientConfig",
    "RecordedRequest",
  ]);
});

it("the legacy entry point exports these names and no others", () => {
  expect(Object.keys(legacy).sort()).toEqual([
    "LegacyWriter",
    "decryptEncryptionSdkMessage",
    "decryptLegacyObject",
    "decryptSesMail",
    "legacyAesKeyring",
    "legacyKmsKeyring",
    "legacyReading",
    "legacyRsaKeyring",
    "migrateObject",
    "sesMailReading",
  ]);
});
