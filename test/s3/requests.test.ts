/** The fields of the caller's that each request carries, one by one. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, describe, expect, it } from "vitest";
import { EnvelopeClient, type PutInput } from "../../src/index.js";
import * as requests from "../../src/s3/requests.js";
import { errorOf } from "../support/errors.js";
import { keyring, s3PartBytes as partBytes } from "../support/local.js";

const s3 = new S3Client({ region: "eu-central-1" });
const mock = mockClient(s3);
const client = new EnvelopeClient({ s3, keyring, partSizeBytes: partBytes });

const object = {
  Bucket: "b",
  Key: "k",
  RequestPayer: "requester",
  ExpectedBucketOwner: "111122223333",
} as const;
const customerKey = { SSECustomerAlgorithm: "AES256", SSECustomerKey: "key", SSECustomerKeyMD5: "md5" };
const atCreation = {
  ACL: "private",
  CacheControl: "no-store",
  ContentDisposition: "inline",
  ContentEncoding: "identity",
  ContentLanguage: "de",
  ContentType: "text/plain",
  Expires: new Date(0),
  GrantRead: "id=1",
  ServerSideEncryption: "aws:kms",
  SSEKMSKeyId: "alias/a",
  SSEKMSEncryptionContext: "e30=",
  BucketKeyEnabled: true,
  StorageClass: "STANDARD_IA",
  Tagging: "a=b",
  WebsiteRedirectLocation: "/x",
  ObjectLockMode: "GOVERNANCE",
  ObjectLockRetainUntilDate: new Date(1),
  ObjectLockLegalHoldStatus: "ON",
} as const;
const conditions = { IfMatch: '"e"', IfNoneMatch: "*" };
const everything = {
  ...object,
  ...customerKey,
  ...atCreation,
  ...conditions,
  ChecksumAlgorithm: "SHA512",
} as const;

beforeEach(() => {
  mock.reset();
  mock.onAnyCommand().resolves({ ETag: '"e"' });
  mock.on(CreateMultipartUploadCommand).resolves({ UploadId: "u" });
  mock
    .on(UploadPartCommand)
    .callsFake(({ PartNumber }) => ({ ETag: `"${PartNumber}"`, ChecksumSHA512: "sum" }));
});

const put = (Body: PutInput["Body"]) => client.put({ ...everything, Body });
const sent = () => mock.calls().map(({ args }) => args[0].input as Record<string, unknown>);

it("PutObject carries all fields of the caller's", async () => {
  await put("x");
  expect(sent()).toEqual([{ ...everything, Metadata: expect.anything(), Body: expect.any(Buffer) }]);
});

it("each request of a multipart upload carries the fields that belong to it", async () => {
  await put(Buffer.alloc(partBytes + 1));
  const [created, ...others] = sent();
  expect(created).toEqual({
    ...object,
    ...customerKey,
    ...atCreation,
    ChecksumAlgorithm: "SHA512",
    Metadata: expect.anything(),
  });
  const upload = { ...object, ...customerKey, UploadId: "u" };
  const part = { ...upload, ChecksumAlgorithm: "SHA512", Body: expect.any(Buffer) };
  const done = { ChecksumSHA512: "sum" };
  expect(others).toEqual([
    { ...part, PartNumber: 1 },
    { ...part, PartNumber: 2 },
    {
      ...upload,
      ...conditions,
      MpuObjectSize: 56 + partBytes + 1 + 16 * (Math.floor((partBytes + 1) / 16_384) + 1),
      MultipartUpload: {
        Parts: [
          { PartNumber: 1, ETag: '"1"', ...done },
          { PartNumber: 2, ETag: '"2"', ...done },
        ],
      },
    },
  ]);
});

it("the abort of a failed multipart upload carries the owner and the payer", async () => {
  mock.on(CompleteMultipartUploadCommand).rejects(new Error("no"));
  await errorOf(() => put(Buffer.alloc(partBytes + 1)));
  expect(mock.commandCalls(AbortMultipartUploadCommand).map(({ args }) => args[0].input)).toEqual([
    { ...object, UploadId: "u" },
  ]);
});

it("a sidecar carries the fields that control access and retention, not the storage class nor the customer-provided key", async () => {
  await client.put({ ...everything, Body: "x", envelopeStorage: "sidecar" });
  const { CacheControl, ContentDisposition, ContentEncoding, ContentLanguage, Expires, ...kept } = atCreation;
  const { StorageClass, WebsiteRedirectLocation, ...rules } = kept;
  const [sidecar, body] = sent();
  expect(sidecar).toEqual({
    ...object,
    ...rules,
    Key: expect.stringMatching(/^k\.[0-9a-f]{48}\.envelope$/),
    ContentType: "application/json",
    ChecksumAlgorithm: "SHA512",
    Body: expect.any(String),
  });
  expect(body).toMatchObject(everything);
});

it("an S3 client without a configuration, such as a wrapper, needs only a send method", async () => {
  const bare = { send: (command: never) => s3.send(command) } as unknown as S3Client;
  const output = await new EnvelopeClient({ s3: bare, keyring, partSizeBytes: partBytes }).put({
    ...object,
    Body: Buffer.alloc(partBytes + 1),
  });
  expect(output.plaintextLength).toBe(partBytes + 1);
});

it.each([
  ["WHEN_SUPPORTED", "CRC32"],
  ["WHEN_REQUIRED", undefined],
] as const)("a client with checksums %s announces %s", async (requestChecksumCalculation, expected) => {
  const other = new S3Client({ region: "eu-central-1", requestChecksumCalculation });
  const calls = mockClient(other);
  calls.onAnyCommand().resolves({ ETag: '"e"' });
  calls.on(CreateMultipartUploadCommand).resolves({ UploadId: "u" });
  calls.on(UploadPartCommand).resolves({ ETag: '"e"' });
  await new EnvelopeClient({ s3: other, keyring, partSizeBytes: partBytes }).put({
    ...object,
    Body: Buffer.alloc(partBytes + 1),
  });
  const [created] = calls.commandCalls(CreateMultipartUploadCommand);
  expect(created?.args[0].input.ChecksumAlgorithm).toBe(expected);
});

it("reads and deletions carry the fields of the caller's, and the range of the ciphertext", async () => {
  await put("x");
  const Metadata = sent()[0]?.Metadata as Record<string, string>;
  mock.resetHistory();
  mock.on(GetObjectCommand).resolves({ Metadata, ContentRange: "bytes 56-72/73" });
  mock.on(HeadObjectCommand).resolves({ Metadata, ContentLength: 73 });
  const reading = {
    ...object,
    ...customerKey,
    VersionId: "v",
    IfMatch: '"e"',
    ChecksumMode: "ENABLED",
  } as const;
  (await client.get({ ...reading, Range: "bytes=0-0" })).Body.destroy();
  await client.head(reading);
  await client.delete({ ...object, VersionId: "v", MFA: "m" });
  expect(sent()).toEqual([
    { ...reading, Range: "bytes=56-16455" },
    reading,
    { ...object, VersionId: "v", MFA: "m" },
  ]);
  expect(mock.commandCalls(DeleteObjectCommand)).toHaveLength(1);
});

describe("each request to S3", () => {
  const where = { Bucket: "b", Key: "k" };
  const part = { ...where, UploadId: "u", PartNumber: 3 };
  type Send = (s3: S3Client, options: requests.RequestOptions) => Promise<unknown>;
  const all: Record<string, [send: Send, about?: object]> = {
    GetObject: [
      (to, options) => requests.getObject(to, { ...where, Range: "bytes=1-2" }, options),
      { range: "bytes=1-2" },
    ],
    HeadObject: [(to, options) => requests.headObject(to, where, options)],
    PutObject: [(to, options) => requests.putObject(to, where, options)],
    DeleteObject: [(to, options) => requests.deleteObject(to, where, options)],
    GetObjectTagging: [(to, options) => requests.getObjectTagging(to, where, options)],
    CopyObject: [(to, options) => requests.copyObject(to, { ...where, CopySource: "b/other" }, options)],
    CreateMultipartUpload: [(to, options) => requests.createMultipartUpload(to, where, options)],
    UploadPart: [(to, options) => requests.uploadPart(to, part, options), { partNumber: 3 }],
    UploadPartCopy: [
      (to, options) => requests.uploadPartCopy(to, { ...part, CopySource: "b/other" }, options),
      { partNumber: 3 },
    ],
    CompleteMultipartUpload: [(to, options) => requests.completeMultipartUpload(to, part, options)],
    AbortMultipartUpload: [(to, options) => requests.abortMultipartUpload(to, part, options)],
    ListParts: [(to, options) => requests.listParts(to, part, options)],
    ListMultipartUploads: [
      (to, options) => requests.listMultipartUploads(to, { Bucket: "b", Prefix: "k" }, options),
    ],
  };
  const operations = Object.keys(requests)
    .filter((name) => name !== "targetOf")
    .map((name) => `${name[0]?.toUpperCase()}${name.slice(1)}`);
  const clientThat = (send: () => Promise<unknown>) => ({ send }) as unknown as S3Client;

  it("is in the table of this test", () => expect(Object.keys(all).sort()).toEqual(operations.sort()));

  it.each(Object.entries(all))("that fails names %s, bucket and key", async (operation, [send, about]) => {
    const denied = Object.assign(new Error("no"), {
      name: "AccessDenied",
      $metadata: { httpStatusCode: 403, requestId: "r" },
    });
    for (const isBounded of [false, true]) {
      const error = await errorOf(() =>
        send(
          clientThat(() => Promise.reject(denied)),
          { isBounded },
        ),
      );
      expect(error).toMatchObject({
        code: "S3_ACCESS_DENIED",
        cause: denied,
        details: { operation, bucket: "b", key: "k", httpStatusCode: 403, requestId: "r", ...about },
      });
    }
  });

  it.each(Object.entries(all))("rejects with the reason of its signal: %s", async (_operation, [send]) => {
    const never = clientThat(() => new Promise(() => undefined));
    for (const isBounded of [false, true]) {
      const controller = new AbortController();
      const failed = errorOf(() => send(never, { signal: controller.signal, isBounded }));
      const reason = new Error("enough");
      controller.abort(reason);
      expect(await failed).toBe(reason);
      expect(await errorOf(() => send(never, { signal: controller.signal, isBounded }))).toBe(reason);
    }
  });
});
