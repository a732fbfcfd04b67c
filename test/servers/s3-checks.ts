/** The operations of S3 that the SDK rests on, now and later: what a server must answer to each. */
import { createHash } from "node:crypto";
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  type S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { expect } from "vitest";
import type { LocalClientConfig } from "../../src/testing/index.js";
import { testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";
import { presignedUrl } from "../testing/raw.js";
import type { Check } from "./checks.js";

/** What a check works with. */
export interface S3Context {
  readonly s3: S3Client;
  readonly config: LocalClientConfig;
  readonly Bucket: string;
}

const content = testBytes(1000, 1);
const partBytes = 5 * 1024 * 1024;
const firstPart = testBytes(partBytes, 2);
let keys = 0;
const newKey = () => `check-${++keys}`;

async function failure(act: () => Promise<unknown>): Promise<[string, number | undefined]> {
  const { name, $metadata } = (await errorOf(act)) as S3ServiceException;
  return [name, $metadata?.httpStatusCode];
}

function put({ s3, Bucket }: S3Context, Key: string, rest: Partial<PutObjectCommandInput> = {}) {
  return s3.send(new PutObjectCommand({ Bucket, Key, Body: content, ...rest }));
}

async function read({ s3, Bucket }: S3Context, Key: string, rest: Partial<GetObjectCommandInput> = {}) {
  const output = await s3.send(new GetObjectCommand({ Bucket, Key, ...rest }));
  return { ...output, bytes: Buffer.from((await output.Body?.transformToByteArray()) ?? []) };
}

async function begin(c: S3Context, Key: string, rest: Partial<CreateMultipartUploadCommandInput> = {}) {
  const { s3, Bucket } = c;
  const named = { ChecksumAlgorithm: "CRC32", ...rest } as const;
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...named }));
  const upload = { Bucket, Key, UploadId };
  const { ChecksumAlgorithm } = named;
  return {
    upload,
    async part(PartNumber: number, Body: Uint8Array): Promise<CompletedPart> {
      const output = await s3.send(new UploadPartCommand({ ...upload, PartNumber, Body, ChecksumAlgorithm }));
      const { ETag, ChecksumCRC32, ChecksumCRC64NVME } = output;
      return { PartNumber, ETag, ChecksumCRC32, ChecksumCRC64NVME };
    },
    complete: (Parts: CompletedPart[], more: { IfNoneMatch?: string; MpuObjectSize?: number } = {}) =>
      s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, ...more })),
  };
}

const sums = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] as const;
const ranges: readonly (readonly [string, number, number])[] = [
  ["bytes=0-0", 0, 1],
  ["bytes=10-99", 10, 100],
  ["bytes=990-", 990, 1000],
  ["bytes=-7", 993, 1000],
  ["bytes=990-5000", 990, 1000],
  ["bytes=-5000", 0, 1000],
];

export const s3Checks: readonly Check<S3Context>[] = [
  {
    operation: "PutObject",
    name: "bytes, metadata and content headers come back",
    async run(c) {
      const Key = newKey();
      const told = { Metadata: { "x-colour": "blue" }, ContentType: "text/x-test", CacheControl: "no-store" };
      const { ETag } = await put(c, Key, told);
      const back = await read(c, Key);
      expect(back).toMatchObject({ ...told, ETag, ContentLength: content.length });
      expect(back.bytes.equals(content)).toBe(true);
      expect(ETag).toBe(`"${createHash("md5").update(content).digest("hex")}"`);
    },
  },
  {
    operation: "PutObject",
    name: "an empty body",
    async run(c) {
      const Key = newKey();
      await put(c, Key, { Body: Buffer.alloc(0) });
      expect((await read(c, Key)).bytes).toHaveLength(0);
    },
  },
  ...["a b+c", "ü/日本", "a//b", "%2F", "~!*'()"].map((name) => ({
    operation: "PutObject",
    name: `the key ${JSON.stringify(name)}`,
    async run(c: S3Context) {
      const Key = `${newKey()}/${name}`;
      await put(c, Key);
      expect((await read(c, Key)).bytes.equals(content)).toBe(true);
      const { Contents } = await c.s3.send(new ListObjectsV2Command({ Bucket: c.Bucket, Prefix: Key }));
      expect(Contents?.map((object) => object.Key)).toEqual([Key]);
    },
  })),
  {
    operation: "PutObject",
    name: "If-None-Match refuses a second object",
    async run(c) {
      const Key = newKey();
      await put(c, Key, { IfNoneMatch: "*" });
      expect(await failure(() => put(c, Key, { IfNoneMatch: "*", Body: "new" }))).toEqual([
        "PreconditionFailed",
        412,
      ]);
      expect((await read(c, Key)).bytes.equals(content)).toBe(true);
    },
  },
  {
    operation: "PutObject",
    name: "If-Match replaces only what it names",
    async run(c) {
      const Key = newKey();
      const { ETag } = await put(c, Key);
      expect(await failure(() => put(c, Key, { IfMatch: '"other"', Body: "new" }))).toEqual([
        "PreconditionFailed",
        412,
      ]);
      await put(c, Key, { IfMatch: ETag, Body: "new" });
      expect((await read(c, Key)).bytes.toString()).toBe("new");
    },
  },
  {
    operation: "PutObject",
    name: "of 16 racing with If-None-Match one wins",
    async run(c) {
      const Key = newKey();
      const race = Array.from({ length: 16 }, (_, index) =>
        put(c, Key, { IfNoneMatch: "*", Body: Buffer.alloc(2000, index) }).then(() => index),
      );
      const won = (await Promise.allSettled(race)).flatMap((one) =>
        one.status === "fulfilled" ? [one.value] : [],
      );
      expect(won).toHaveLength(1);
      expect((await read(c, Key)).bytes[0]).toBe(won[0]);
    },
  },
  ...sums.map((name) => ({
    operation: "PutObject",
    name: `${name} is verified, kept and told`,
    async run(c: S3Context) {
      const [Key, field] = [newKey(), `Checksum${name}`];
      await put(c, Key, { ChecksumAlgorithm: name });
      const { s3, Bucket } = c;
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
      const value = Reflect.get(head, field) as string;
      expect(value).toMatch(/^[A-Za-z0-9+/]+={0,2}$/);
      const zeros = Buffer.alloc(Buffer.from(value, "base64").length).toString("base64");
      expect((await failure(() => put(c, newKey(), { [field]: zeros })))[1]).toBe(400);
    },
  })),
  {
    operation: "PutObject",
    name: "a wrong Content-MD5 is refused",
    async run(c) {
      const ContentMD5 = createHash("md5").update("other").digest("base64");
      expect(await failure(() => put(c, newKey(), { ContentMD5 }))).toEqual(["BadDigest", 400]);
    },
  },
  {
    operation: "PutObject",
    name: "more than 2 KiB of metadata is refused",
    async run(c) {
      const Metadata = { long: "x".repeat(2100) };
      expect(await failure(() => put(c, newKey(), { Metadata }))).toEqual(["MetadataTooLarge", 400]);
    },
  },
  ...ranges.map(([Range, start, end]) => ({
    operation: "GetObject",
    name: `the range ${Range}`,
    async run(c: S3Context) {
      const Key = newKey();
      await put(c, Key);
      const back = await read(c, Key, { Range });
      expect(back.ContentRange).toBe(`bytes ${start}-${end - 1}/1000`);
      expect(back.bytes.equals(content.subarray(start, end))).toBe(true);
    },
  })),
  {
    operation: "GetObject",
    name: "a range behind the end, or of an empty object, is refused",
    async run(c) {
      const Key = newKey();
      await put(c, Key);
      expect(await failure(() => read(c, Key, { Range: "bytes=1000-" }))).toEqual(["InvalidRange", 416]);
      await put(c, Key, { Body: Buffer.alloc(0) });
      expect(await failure(() => read(c, Key, { Range: "bytes=0-0" }))).toEqual(["InvalidRange", 416]);
    },
  },
  {
    operation: "GetObject",
    name: "If-Match and If-None-Match",
    async run(c) {
      const Key = newKey();
      const { ETag } = await put(c, Key);
      expect((await read(c, Key, { IfMatch: ETag, Range: "bytes=0-3" })).bytes).toHaveLength(4);
      expect((await failure(() => read(c, Key, { IfMatch: '"other"' })))[1]).toBe(412);
      expect((await failure(() => read(c, Key, { IfNoneMatch: ETag })))[1]).toBe(304);
    },
  },
  {
    operation: "GetObject",
    name: "what is not there",
    async run(c) {
      expect(await failure(() => read(c, newKey()))).toEqual(["NoSuchKey", 404]);
      expect(await failure(() => read({ ...c, Bucket: "no-such-bucket-here" }, newKey()))).toEqual([
        "NoSuchBucket",
        404,
      ]);
    },
  },
  {
    operation: "GetObject",
    name: "a part by its number",
    async run(c) {
      const Key = newKey();
      const { part, complete } = await begin(c, Key);
      await complete([await part(1, firstPart), await part(2, content)]);
      const second = await read(c, Key, { PartNumber: 2 });
      expect(second.bytes.equals(content)).toBe(true);
      expect(second.PartsCount).toBe(2);
    },
  },
  {
    operation: "HeadObject",
    name: "size, ETag and metadata; 404 for none",
    async run({ s3, Bucket, ...c }) {
      const Key = newKey();
      const { ETag } = await put({ s3, Bucket, ...c }, Key, { Metadata: { a: "b" } });
      const head = (name: string) => s3.send(new HeadObjectCommand({ Bucket, Key: name }));
      expect(await head(Key)).toMatchObject({ ETag, ContentLength: 1000, Metadata: { a: "b" } });
      expect((await failure(() => head(newKey())))[1]).toBe(404);
    },
  },
  {
    operation: "DeleteObject",
    name: "removes; nothing to remove is no error",
    async run(c) {
      const Key = newKey();
      await put(c, Key);
      for (let turn = 0; turn < 2; turn++)
        await c.s3.send(new DeleteObjectCommand({ Bucket: c.Bucket, Key }));
      expect(await failure(() => read(c, Key))).toEqual(["NoSuchKey", 404]);
    },
  },
  {
    operation: "DeleteObjects",
    name: "removes many",
    async run(c) {
      const Objects = [{ Key: newKey() }, { Key: newKey() }];
      for (const { Key } of Objects) await put(c, Key);
      const { Deleted } = await c.s3.send(
        new DeleteObjectsCommand({ Bucket: c.Bucket, Delete: { Objects } }),
      );
      expect(Deleted?.map(({ Key }) => Key).sort()).toEqual(Objects.map(({ Key }) => Key).sort());
      for (const { Key } of Objects) expect((await failure(() => read(c, Key)))[1]).toBe(404);
    },
  },
  {
    operation: "CompleteMultipartUpload",
    name: "the parts in order, with metadata and size",
    async run(c) {
      const Key = newKey();
      const { part, complete } = await begin(c, Key, { Metadata: { a: "b" } });
      const second = await part(2, content);
      const { ETag } = await complete([await part(1, firstPart), second], {
        MpuObjectSize: partBytes + 1000,
      });
      const back = await read(c, Key);
      expect(back).toMatchObject({ ETag, Metadata: { a: "b" } });
      expect(back.bytes.equals(Buffer.concat([firstPart, content]))).toBe(true);
    },
  },
  {
    operation: "CompleteMultipartUpload",
    name: "If-None-Match refuses, and the upload stays",
    async run(c) {
      const Key = newKey();
      await put(c, Key);
      const { upload, part, complete } = await begin(c, Key);
      const parts = [await part(1, Buffer.from("new"))];
      expect(await failure(() => complete(parts, { IfNoneMatch: "*" }))).toEqual(["PreconditionFailed", 412]);
      expect((await read(c, Key)).bytes.equals(content)).toBe(true);
      await c.s3.send(new AbortMultipartUploadCommand(upload));
    },
  },
  {
    operation: "CompleteMultipartUpload",
    name: "a wrong ETag, a wrong order and a small part are refused",
    async run(c) {
      const { upload, part, complete } = await begin(c, newKey());
      const [first, second] = [await part(1, firstPart), await part(2, firstPart)];
      expect(await failure(() => complete([{ ...first, ETag: `"${"0".repeat(32)}"` }]))).toEqual([
        "InvalidPart",
        400,
      ]);
      expect(await failure(() => complete([second, first]))).toEqual(["InvalidPartOrder", 400]);
      const small = await part(1, content);
      expect(await failure(() => complete([small, second]))).toEqual(["EntityTooSmall", 400]);
      await c.s3.send(new AbortMultipartUploadCommand(upload));
    },
  },
  {
    operation: "CompleteMultipartUpload",
    name: "a wrong MpuObjectSize is refused",
    async run(c) {
      const { upload, part, complete } = await begin(c, newKey());
      const parts = [await part(1, content)];
      expect(await failure(() => complete(parts, { MpuObjectSize: 999 }))).toEqual(["InvalidRequest", 400]);
      await c.s3.send(new AbortMultipartUploadCommand(upload));
    },
  },
  {
    operation: "CompleteMultipartUpload",
    name: "CRC64NVME is that of all bytes",
    async run(c) {
      const terms = { ChecksumAlgorithm: "CRC64NVME", ChecksumType: "FULL_OBJECT" } as const;
      const { part, complete } = await begin(c, newKey(), terms);
      const made = await complete([await part(1, firstPart), await part(2, content)]);
      const Body = Buffer.concat([firstPart, content]);
      const whole = await put(c, newKey(), { Body, ChecksumAlgorithm: "CRC64NVME" });
      expect(made.ChecksumCRC64NVME).toBe(whole.ChecksumCRC64NVME);
      expect(made.ChecksumCRC64NVME).toMatch(/=$/);
    },
  },
  {
    operation: "AbortMultipartUpload",
    name: "ends the upload",
    async run(c) {
      const { upload, part } = await begin(c, newKey());
      await part(1, content);
      await c.s3.send(new AbortMultipartUploadCommand(upload));
      expect(await failure(() => part(2, content))).toEqual(["NoSuchUpload", 404]);
      expect(await failure(() => read(c, upload.Key))).toEqual(["NoSuchKey", 404]);
    },
  },
  {
    operation: "ListParts",
    name: "in pages",
    async run(c) {
      const { upload, part } = await begin(c, newKey());
      for (const number of [3, 1, 2]) await part(number, content);
      const first = await c.s3.send(new ListPartsCommand({ ...upload, MaxParts: 2 }));
      expect(first.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
        [1, 1000],
        [2, 1000],
      ]);
      const PartNumberMarker = first.NextPartNumberMarker;
      const rest = await c.s3.send(new ListPartsCommand({ ...upload, PartNumberMarker }));
      expect([first.IsTruncated, rest.IsTruncated, rest.Parts?.length]).toEqual([true, false, 1]);
      await c.s3.send(new AbortMultipartUploadCommand(upload));
    },
  },
  {
    operation: "ListMultipartUploads",
    name: "by prefix",
    async run(c) {
      const Prefix = newKey();
      const { upload } = await begin(c, `${Prefix}/a`);
      const list = async () =>
        (await c.s3.send(new ListMultipartUploadsCommand({ Bucket: c.Bucket, Prefix }))).Uploads ?? [];
      expect((await list()).map(({ Key, UploadId }) => [Key, UploadId])).toEqual([
        [upload.Key, upload.UploadId],
      ]);
      await c.s3.send(new AbortMultipartUploadCommand(upload));
      expect(await list()).toEqual([]);
    },
  },
  {
    operation: "ListObjectsV2",
    name: "prefix, delimiter and pages",
    async run(c) {
      const root = newKey();
      for (const name of ["a", "b/1", "b/2", "c"]) await put(c, `${root}/${name}`);
      const list = (rest: { Delimiter?: string; MaxKeys?: number; ContinuationToken?: string }) =>
        c.s3.send(new ListObjectsV2Command({ Bucket: c.Bucket, Prefix: `${root}/`, ...rest }));
      const folders = await list({ Delimiter: "/" });
      expect(folders.Contents?.map(({ Key }) => Key)).toEqual([`${root}/a`, `${root}/c`]);
      expect(folders.CommonPrefixes).toEqual([{ Prefix: `${root}/b/` }]);
      const first = await list({ MaxKeys: 3 });
      const second = await list({ ContinuationToken: first.NextContinuationToken });
      expect([first.KeyCount, second.KeyCount, second.IsTruncated]).toEqual([3, 1, false]);
    },
  },
  {
    operation: "CopyObject",
    name: "takes metadata along, and replaces it onto itself under a condition",
    async run(c) {
      const [from, Key] = [newKey(), newKey()];
      const { ETag } = await put(c, from, { Metadata: { a: "b" } });
      const copy = (rest: object) =>
        c.s3.send(
          new CopyObjectCommand({ Bucket: c.Bucket, Key, CopySource: `${c.Bucket}/${from}`, ...rest }),
        );
      await copy({});
      expect((await read(c, Key)).Metadata).toEqual({ a: "b" });
      const onto = { Key: from, MetadataDirective: "REPLACE", Metadata: { a: "c" } };
      expect((await failure(() => copy({ ...onto, CopySourceIfMatch: '"other"' })))[1]).toBe(412);
      await copy({ ...onto, CopySourceIfMatch: ETag });
      const back = await read(c, from);
      expect([back.Metadata, back.bytes.equals(content)]).toEqual([{ a: "c" }, true]);
    },
  },
  {
    operation: "CopyObject",
    name: "onto itself unchanged is refused",
    async run({ s3, Bucket, config }) {
      const Key = newKey();
      await put({ s3, Bucket, config }, Key);
      const act = () => s3.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/${Key}` }));
      expect(await failure(act)).toEqual(["InvalidRequest", 400]);
    },
  },
  {
    operation: "UploadPartCopy",
    name: "a range of another object",
    async run(c) {
      const [from, Key] = [newKey(), newKey()];
      await put(c, from);
      const { upload, complete } = await begin(c, Key, { ChecksumAlgorithm: undefined });
      const { CopyPartResult } = await c.s3.send(
        new UploadPartCopyCommand({
          ...upload,
          PartNumber: 1,
          CopySource: `${c.Bucket}/${from}`,
          CopySourceRange: "bytes=100-199",
        }),
      );
      await complete([{ PartNumber: 1, ETag: CopyPartResult?.ETag }]);
      expect((await read(c, Key)).bytes.equals(content.subarray(100, 200))).toBe(true);
    },
  },
  {
    operation: "GetObjectTagging",
    name: "the tags that an object was put with",
    async run(c) {
      const Key = newKey();
      await put(c, Key, { Tagging: "a=1" });
      const { TagSet } = await c.s3.send(new GetObjectTaggingCommand({ Bucket: c.Bucket, Key }));
      expect(TagSet).toEqual([{ Key: "a", Value: "1" }]);
    },
  },
  {
    operation: "GetObjectAttributes",
    name: "size and checksum",
    async run(c) {
      const Key = newKey();
      const { ChecksumCRC32 } = await put(c, Key);
      const told = await c.s3.send(
        new GetObjectAttributesCommand({
          Bucket: c.Bucket,
          Key,
          ObjectAttributes: ["ObjectSize", "Checksum"],
        }),
      );
      expect(told).toMatchObject({ ObjectSize: 1000, Checksum: { ChecksumCRC32 } });
    },
  },
  {
    operation: "Signature",
    name: "presigned PUT and GET",
    async run({ config, Bucket }) {
      const path = `/${Bucket}/${newKey()}`;
      const put = await presignedUrl(config, { method: "PUT", path });
      expect((await fetch(put, { method: "PUT", body: content })).status).toBe(200);
      const answer = await fetch(await presignedUrl(config, { path }));
      expect(answer.status).toBe(200);
      expect(Buffer.from(await answer.arrayBuffer()).equals(content)).toBe(true);
    },
  },
  {
    operation: "Signature",
    name: "the metadata of a presigned PUT, which the SDK writes into the query",
    async run(c) {
      const Key = newKey();
      const headers = { "x-amz-meta-a": "b" };
      const url = await presignedUrl(c.config, { method: "PUT", path: `/${c.Bucket}/${Key}`, headers });
      expect((await fetch(url, { method: "PUT", body: content })).status).toBe(200);
      expect((await read(c, Key)).Metadata).toEqual({ a: "b" });
    },
  },
  {
    operation: "Signature",
    name: "a presigned GET whose time is over is refused",
    async run(c) {
      const Key = newKey();
      await put(c, Key);
      const signingDate = new Date(Date.now() - 120_000);
      const url = await presignedUrl(c.config, { path: `/${c.Bucket}/${Key}`, signingDate });
      expect((await fetch(url)).status).toBe(403);
    },
  },
  ...(
    [
      ["a wrong secret", "SignatureDoesNotMatch", { secretAccessKey: "wrong" }, {}],
      ["an unknown key", "InvalidAccessKeyId", { accessKeyId: "AKIAUNKNOWN" }, {}],
      ["a clock that is an hour off", "RequestTimeTooSkewed", {}, { systemClockOffset: 3_600_000 }],
    ] as const
  ).map(([name, code, credentials, settings]) => ({
    operation: "Signature",
    name: `${name} is refused`,
    async run(c: S3Context) {
      const Key = newKey();
      await put(c, Key);
      const s3 = new S3Client({
        ...c.config,
        ...settings,
        maxAttempts: 1,
        credentials: { ...c.config.credentials, ...credentials },
      });
      expect(await failure(() => read({ ...c, s3 }, Key))).toEqual([code, 403]);
      s3.destroy();
    },
  })),
];
