/** Checks of S3: writes and deletions of objects. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
} from "@aws-sdk/client-s3";
import { expect } from "vitest";
import { failure } from "../../support/errors.js";
import type { Check } from "../checks.js";
import { content, firstPart, newKey, put, read, type S3Context, winnersOf16 } from "../s3-context.js";

const sums = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] as const;

export const writeChecks: readonly Check<S3Context>[] = [
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
      const won = await winnersOf16((index) =>
        put(c, Key, { IfNoneMatch: "*", Body: Buffer.alloc(2000, index) }),
      );
      expect(won).toHaveLength(1);
      expect((await read(c, Key)).bytes[0]).toBe(won[0]);
    },
  },
  ...sums.map((name) => ({
    operation: "PutObject",
    name: `${name} is verified, stored and returned`,
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
  {
    operation: "PutObject",
    name: "a stream with its checksum in the trailer",
    async run(c) {
      const Key = newKey();
      const Body = Readable.from([firstPart.subarray(0, 100_000), firstPart.subarray(100_000)]);
      const { ChecksumCRC32 } = await put(c, Key, { Body, ContentLength: firstPart.length });
      const back = await read(c, Key, { ChecksumMode: "ENABLED" });
      expect(back.bytes.equals(firstPart)).toBe(true);
      expect(back.ContentEncoding ?? "").not.toContain("aws-chunked");
      expect(ChecksumCRC32).toMatch(/==$/);
      expect(back.ChecksumCRC32).toBe(ChecksumCRC32);
    },
  },
  {
    operation: "PutObject",
    name: "a stream in pieces of less than 8 KiB is refused",
    async run(c) {
      const Body = Readable.from([content.subarray(0, 100), content.subarray(100)]);
      const act = () => put(c, newKey(), { Body, ContentLength: content.length });
      expect((await failure(act))[0]).toBe("InvalidChunkSizeError");
    },
  },
  {
    operation: "PutObject",
    name: "the storage class is returned",
    async run(c) {
      const Key = newKey();
      await put(c, Key, { StorageClass: "STANDARD_IA" });
      const told = await c.s3.send(new HeadObjectCommand({ Bucket: c.Bucket, Key }));
      expect(told.StorageClass).toBe("STANDARD_IA");
    },
  },
  {
    operation: "PutObject",
    name: "the encryption is returned",
    async run(c) {
      const Key = newKey();
      const { ServerSideEncryption } = await put(c, Key, { ServerSideEncryption: "AES256" });
      const told = await c.s3.send(new HeadObjectCommand({ Bucket: c.Bucket, Key }));
      expect([ServerSideEncryption, told.ServerSideEncryption]).toEqual(["AES256", "AES256"]);
    },
  },
  {
    operation: "PutObject",
    name: "a customer-provided key: readers without it are refused",
    async run(c) {
      const Key = newKey();
      const customerKey = Buffer.alloc(32, 7);
      const own = { SSECustomerAlgorithm: "AES256", SSECustomerKey: customerKey.toString("base64") };
      await put(c, Key, own);
      expect((await read(c, Key, own)).bytes.equals(content)).toBe(true);
      expect((await failure(() => read(c, Key)))[1]).toBe(400);
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
    operation: "DeleteObject",
    name: "If-Match deletes only what it names",
    async run(c) {
      const Key = newKey();
      const { ETag } = await put(c, Key);
      const remove = (IfMatch: string | undefined) =>
        c.s3.send(new DeleteObjectCommand({ Bucket: c.Bucket, Key, IfMatch }));
      expect(await failure(() => remove('"other"'))).toEqual(["PreconditionFailed", 412]);
      expect((await read(c, Key)).bytes.equals(content)).toBe(true);
      await remove(ETag);
      expect(await failure(() => read(c, Key))).toEqual(["NoSuchKey", 404]);
    },
  },
  {
    operation: "DeleteObjects",
    name: "quiet mode reports neither deleted nor absent objects",
    async run(c) {
      const Key = newKey();
      await put(c, Key);
      const Objects = [{ Key }, { Key: newKey() }];
      const told = await c.s3.send(
        new DeleteObjectsCommand({ Bucket: c.Bucket, Delete: { Objects, Quiet: true } }),
      );
      expect([told.Deleted, told.Errors]).toEqual([undefined, undefined]);
      expect((await failure(() => read(c, Key)))[1]).toBe(404);
    },
  },
];
