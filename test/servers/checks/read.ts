/** Checks of S3: reads and listings. */
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectAttributesCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
} from "@aws-sdk/client-s3";
import { expect } from "vitest";
import { failure } from "../../support/errors.js";
import type { Check } from "../checks.js";
import { begin, content, firstPart, newKey, put, read, type S3Context } from "../s3-context.js";

const ranges: readonly (readonly [string, number, number])[] = [
  ["bytes=0-0", 0, 1],
  ["bytes=10-99", 10, 100],
  ["bytes=990-", 990, 1000],
  ["bytes=-7", 993, 1000],
  ["bytes=990-5000", 990, 1000],
  ["bytes=-5000", 0, 1000],
];

async function listed({ s3, Bucket }: S3Context, rest: Partial<ListObjectsV2CommandInput>) {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket, ...rest }));
  return Contents.map(({ Key = "" }) => Key);
}

export const readChecks: readonly Check<S3Context>[] = [
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
    operation: "GetObject",
    name: "the only part of an object that was put whole",
    async run(c) {
      const Key = newKey();
      await put(c, Key);
      expect((await read(c, Key, { PartNumber: 1 })).bytes.equals(content)).toBe(true);
      expect((await failure(() => read(c, Key, { PartNumber: 2 })))[1]).toBe(416);
    },
  },
  {
    operation: "GetObject",
    name: "If-Modified-Since and If-Unmodified-Since",
    async run(c) {
      const Key = newKey();
      await put(c, Key);
      const { LastModified: modified = new Date(0) } = await read(c, Key);
      const before = new Date(modified.getTime() - 60_000);
      expect((await read(c, Key, { IfModifiedSince: before })).bytes).toHaveLength(1000);
      expect((await read(c, Key, { IfUnmodifiedSince: modified })).bytes).toHaveLength(1000);
      expect((await failure(() => read(c, Key, { IfModifiedSince: modified })))[1]).toBe(304);
      expect((await failure(() => read(c, Key, { IfUnmodifiedSince: before })))[1]).toBe(412);
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
    operation: "GetObjectAttributes",
    name: "the parts of an object, each with its checksum",
    async run(c) {
      const Key = newKey();
      const { part, complete } = await begin(c, Key, { ChecksumAlgorithm: "SHA256" });
      const parts = [await part(1, firstPart), await part(2, content)];
      await complete(parts);
      const { ObjectParts } = await c.s3.send(
        new GetObjectAttributesCommand({ Bucket: c.Bucket, Key, ObjectAttributes: ["ObjectParts"] }),
      );
      expect(ObjectParts?.TotalPartsCount).toBe(2);
      expect(ObjectParts?.Parts).toMatchObject([
        { PartNumber: 1, Size: firstPart.length, ChecksumSHA256: parts[0]?.ChecksumSHA256 },
        { PartNumber: 2, Size: 1000, ChecksumSHA256: parts[1]?.ChecksumSHA256 },
      ]);
    },
  },
  {
    operation: "ListObjectsV2",
    name: "in the order of bytes, from a key on",
    async run(c) {
      const Prefix = `${newKey()}/`;
      const order = ["Z", "a", "é", "\uff5e", "😀"].map((name) => Prefix + name);
      for (const Key of [...order].reverse()) await put(c, Key);
      expect(await listed(c, { Prefix })).toEqual(order);
      expect(await listed(c, { Prefix, StartAfter: `${Prefix}a` })).toEqual(order.slice(2));
    },
  },
  {
    operation: "ListObjectsV2",
    name: "encodes keys that XML cannot contain",
    async run(c) {
      const Key = `${newKey()}/a\u0001 +%b`;
      await put(c, Key);
      const keys = await listed(c, { Prefix: Key.slice(0, -6), EncodingType: "url" });
      expect(keys.map((key) => decodeURIComponent(key.replaceAll("+", " ")))).toEqual([Key]);
    },
  },
  {
    operation: "DeleteBucket",
    name: "only an empty one",
    async run(c) {
      const Bucket = newKey();
      await c.s3.send(new CreateBucketCommand({ Bucket }));
      await put({ ...c, Bucket }, "k");
      const remove = () => c.s3.send(new DeleteBucketCommand({ Bucket }));
      expect(await failure(remove)).toEqual(["BucketNotEmpty", 409]);
      await c.s3.send(new DeleteObjectCommand({ Bucket, Key: "k" }));
      await remove();
      expect((await failure(() => c.s3.send(new HeadBucketCommand({ Bucket }))))[1]).toBe(404);
    },
  },
];
