/** The names of the fields that each call of `s3-envelope/legacy` accepts. */
import { beside, call, each, lenient, only } from "./field-list.js";
import { notCompared, plainCall, sentBytes, transfer, transferSettings } from "./field-names.js";
import {
  deleteObjectNames,
  getObjectNames,
  getObjectOutputNames,
  putObjectNames,
  responseNames,
  sidecarFieldNames,
} from "./sdk-names.js";

const policy = [
  "commitmentPolicy",
  "enableLegacyUnauthenticatedModes",
  "enableLegacyWrappingAlgorithms",
] as const;
const readingNames = [
  ...policy,
  "keyring",
  "maxBufferedObjectBytes",
  "largeObjects",
  "temporaryDirectory",
  "releaseUnverifiedPlaintext",
  "disableInstructionFile",
  "instructionFileSuffix",
  "contentAad",
  "enableCbcRewrappedByJava",
] as const;
const reading = only(...readingNames);
const decrypting = only(...readingNames, "abortSignal");
const customerKey = ["SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5"] as const;
const object = ["Bucket", "Key", "RequestPayer", "ExpectedBucketOwner", ...customerKey] as const;

const writer = call("new LegacyWriter", {
  options: only(...transferSettings, ...policy, "keyring", "encryptionAlgorithm", "instructionFile"),
});

/** The names by call and argument. */
export const legacyFieldNames = {
  writer,
  put: call(
    "put of LegacyWriter",
    {
      input: beside(
        putObjectNames,
        {
          ...sentBytes,
          envelopeStorage: "the instructionFile option of the writer decides where the envelope is stored",
        },
        "encryptionContext",
      ),
      options: transfer,
    },
    writer.options,
  ),
  delete: call(
    "delete of LegacyWriter",
    { input: beside(deleteObjectNames, notCompared), options: plainCall },
    writer.options,
  ),
  reEncryptInstructionFile: call(
    "reEncryptInstructionFile",
    {
      input: only(
        ...object,
        ...sidecarFieldNames,
        "newKeyring",
        "instructionFileSuffix",
        "enforceRotation",
        "encryptionContext",
        "IfMatch",
        "verifyContent",
        "contentAad",
      ),
      options: plainCall,
    },
    writer.options,
  ),

  legacyReading: call("legacyReading", { options: reading }),
  decryptLegacyObject: call("decryptLegacyObject", {
    input: beside(
      getObjectOutputNames,
      { ContentRange: "Body must be the whole object: request it without Range or PartNumber" },
      "encryptionContext",
      "instructionFile",
    ),
    options: decrypting,
  }),
  migrateObject: call("migrateObject", {
    input: only(
      ...object,
      "VersionId",
      "encryptionContext",
      "instructionFileSuffix",
      "target",
      "tags",
      "deleteOriginal",
    ),
    target: beside(
      putObjectNames,
      {
        ...sentBytes,
        ...each(["IfNoneMatch", "Body", "ContentLength"], "it is derived from the original: leave it out"),
      },
      "encryptionContext",
      "envelopeStorage",
    ),
    options: transfer,
  }),
  sesMailReading: call("sesMailReading", { options: only("kms", "keyId") }),
  decryptSesMail: call("decryptSesMail", {
    input: beside(
      getObjectNames,
      {
        ...each(["Range", "PartNumber"], "mail is verified as a whole: leave it out"),
        ...each(responseNames, "only the mail is returned: leave it out"),
        ...each(
          ["unencrypted", "encryptionContext"],
          "decryptSesMail accepts only encrypted mail: leave it out",
        ),
      },
      "s3",
      "kms",
      "keyId",
    ),
    options: plainCall,
  }),

  legacyKmsKeyring: call("legacyKmsKeyring", { options: only("kms", "keyId", "grantTokens", "discovery") }),
  legacyAesKeyring: call("legacyAesKeyring", {
    options: only("wrappingKey", "materialsDescription", "decryptionKeys"),
    decryptionKey: only("materialsDescription", "wrappingKey"),
  }),
  legacyRsaKeyring: call("legacyRsaKeyring", {
    options: only("publicKey", "privateKey", "materialsDescription", "decryptionKeys"),
    decryptionKey: only("materialsDescription", "privateKey"),
  }),
  // A wrapper of a keyring, or a later release, may pass more fields than this release reads.
  generateDataKey: call("generateDataKey", {
    input: lenient(only("contentName", "encryptionContext", "abortSignal")),
  }),
  wrapDataKey: call("wrapDataKey", { input: lenient(only("contentName")) }),
  unwrapDataKey: call("unwrapDataKey", {
    input: lenient(only("wrap", "wrappedKey", "contentName", "description", "abortSignal")),
  }),

  decryptEncryptionSdkMessage: call("decryptEncryptionSdkMessage", {
    options: only(
      "keyring",
      "encryptionContext",
      "requiredEncryptionContext",
      "maxEncryptedDataKeys",
      "commitmentPolicy",
      "maxBufferedMessageBytes",
      "releasePlaintextBeforeSignature",
      "abortSignal",
    ),
  }),
} as const;
