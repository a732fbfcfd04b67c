/** The names of the fields that each call accepts, except for the calls of `s3-envelope/legacy`. */
import { agentNames, requestHandlerNames, s3ClientNames } from "./client-setting-names.js";
import { beside, call, each, lenient, type Names, only } from "./field-list.js";
import {
  deleteObjectNames,
  getObjectNames,
  putObjectNames,
  responseNames,
  sentBytesNames,
} from "./sdk-names.js";

/** Fields that no write accepts, because they describe the bytes sent. */
export const sentBytes = each(
  sentBytesNames,
  "it describes the bytes sent, which are ciphertext: leave it out",
);
/** Options of every client that transfers bodies. */
export const transferSettings = [
  "s3",
  "partSizeBytes",
  "maxConcurrentParts",
  "maxBufferedBytes",
  "idleTimeoutMs",
] as const;
/** Options of a call. */
export const plainCall = only("abortSignal");
/** Options of a call that moves a body. */
export const transfer = only("abortSignal", "onProgress");

const client = call("new EnvelopeClient", {
  options: only(...transferSettings, "keyring", "envelopeStorage", "engine", "legacy"),
});

/** Fields that no deletion accepts. */
export const notCompared = { encryptionContext: "a deletion compares no context: leave it out" };

/** The lists of a call of the client. */
function ofClient<Input extends string, Option extends string>(
  name: string,
  input: Names<Input>,
  options: Names<Option>,
) {
  return call(name, { input, options }, client.options);
}

const listed = ["Bucket", "Prefix", "RequestPayer", "ExpectedBucketOwner"] as const;

const put = ofClient(
  "put",
  beside(putObjectNames, sentBytes, "encryptionContext", "envelopeStorage"),
  transfer,
);
const get = ofClient(
  "get",
  beside(
    getObjectNames,
    {
      PartNumber: "parts are of the ciphertext: use Range",
      plaintext: 'use unencrypted: "refuse" or "allow"',
    },
    "encryptionContext",
    "unencrypted",
    "parallel",
    "verifyLength",
    "instructionFileSuffix",
  ),
  transfer,
);
const head = ofClient(
  "head",
  beside(
    getObjectNames,
    {
      ...each(["PartNumber", "Range"], "parts and ranges are of the ciphertext: leave it out"),
      encryptionContext: "head asks no key, so it compares no context: leave it out",
    },
    "instructionFileSuffix",
  ),
  plainCall,
);
const open = ofClient(
  "open",
  beside(
    getObjectNames,
    {
      ...each(["PartNumber", "Range"], "an open object reads any offset: leave it out"),
      ...each(responseNames, "an open object has no such header: leave it out"),
      unencrypted: "only encrypted objects can be opened: leave it out",
    },
    "encryptionContext",
  ),
  only("abortSignal", "prefetchBytes"),
);
const download = ofClient(
  "download",
  beside(
    getObjectNames,
    {
      ...each(["PartNumber", "Range"], "a file is downloaded whole: use get"),
      unencrypted: "an object that is not encrypted is not downloaded: use get",
    },
    "filePath",
    "encryptionContext",
    "fsync",
    "mode",
    "keepPartial",
  ),
  transfer,
);
const upload = ofClient(
  "upload",
  beside(
    putObjectNames,
    { ...sentBytes, ...each(["Body", "ContentLength"], "the source is filePath or source: leave it out") },
    "filePath",
    "source",
    "checkpointPath",
    "encryptionContext",
    "envelopeStorage",
  ),
  transfer,
);
const beginUpload = ofClient(
  "beginUpload",
  beside(
    putObjectNames,
    {
      ...sentBytes,
      ...each(["Body", "ContentLength"], "the parts bring the body: state plaintextLength"),
    },
    "plaintextLength",
    "sourceModifiedMs",
    "sourceDigest",
    "encryptionContext",
    "envelopeStorage",
  ),
  plainCall,
);
const uploadPart = ofClient(
  "uploadPart",
  only(
    "ticket",
    "PartNumber",
    "Body",
    "filePath",
    "source",
    "encryptionContext",
    "SSECustomerKey",
    "sourceDigest",
    "tagDigest",
    "onSealed",
  ),
  plainCall,
);

const message = only("dataKey", "context");
const stream = only("dataKey", "context", "engine");

const faultNames = [
  "service",
  "operation",
  "skip",
  "times",
  "status",
  "code",
  "message",
  "body",
  "handled",
  "delayMs",
  "reset",
  "truncateBodyBytes",
  "stallBodyBytes",
  "corrupt",
] as const;

/**
 * The names by call and argument. A call reads no other field: {@link fieldsArgument} compiles only if the list has exactly
 * the names of the argument's type.
 */
export const fieldNames = {
  client,
  put,
  get,
  head,
  open,
  read: call("read of an open object", { options: plainCall }),
  download,
  delete: ofClient("delete", beside(deleteObjectNames, notCompared, "envelopeStorage"), plainCall),
  upload,
  beginUpload,
  uploadPart,
  completeUpload: ofClient(
    "completeUpload",
    only("ticket", "parts", "encryptionContext", "SSECustomerKey"),
    plainCall,
  ),
  abortUpload: ofClient("abortUpload", only("ticket", "checkpointPath"), plainCall),
  listUploads: ofClient("listUploads", only(...listed), plainCall),
  abortUploads: ofClient("abortUploads", only(...listed, "initiatedBefore", "olderThanMs"), plainCall),

  encrypt: call("encrypt", { options: stream }),
  decrypt: call("decrypt", { options: stream }),
  encryptDuplex: call("encryptDuplex", { options: message }),
  decryptDuplex: call("decryptDuplex", { options: message }),
  encryptTransformStream: call("encryptTransformStream", { options: message }),
  decryptTransformStream: call("decryptTransformStream", { options: message }),
  openRandomAccess: call("openRandomAccess", { options: message }),
  engine: call("new CryptoEngine", { options: only("maxWorkers", "minWorkerBytes", "workerUrl") }),

  aesKeyring: call("aesKeyring", { options: only("keyId", "wrappingKey") }),
  kmsKeyring: call("kmsKeyring", { options: only("kms", "keyId", "grantTokens") }),
  // A wrapper of a keyring, or a later release, may pass more fields than this release reads.
  generateDataKey: call("generateDataKey", { input: lenient(only("encryptionContext", "abortSignal")) }),
  unwrapDataKey: call("unwrapDataKey", {
    input: lenient(only("recipients", "encryptionContext", "abortSignal")),
  }),

  // Settings of the SDK and of Node begin with a lower-case letter, like those of this package.
  createS3Client: call("createS3Client", {
    options: lenient(only(...s3ClientNames, "signPayload")),
    requestHandler: lenient(only(...requestHandlerNames)),
  }),
  agent: call("an agent of createS3Client", { agent: lenient(only(...agentNames)) }),

  startLocalAws: call("startLocalAws", {
    options: only(
      "buckets",
      "region",
      "minPartBytes",
      "discardBodies",
      "directory",
      "s3Port",
      "tls",
      "credentials",
    ),
    tls: only("key", "cert"),
    // The SDK adds fields of its own to the credentials of a client, such as `$source`.
    credentials: lenient(only("accessKeyId", "secretAccessKey")),
  }),
  fault: call("fault of startLocalAws", {
    fault: only(...faultNames),
    corrupt: only("offset", "xor"),
  }),
  hold: call("hold of startLocalAws", { hold: only(...faultNames, "at", "bodyBytes") }),
} as const;
