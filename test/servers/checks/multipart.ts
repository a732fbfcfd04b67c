/** Checks of S3: multipart uploads. */
import { createHash } from "node:crypto";
import {
  AbortMultipartUploadCommand,
  GetObjectAttributesCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  ListPartsCommand,
} from "@aws-sdk/client-s3";
import { expect } from "vitest";
import { failure } from "../../support/errors.js";
import type { Check } from "../checks.js";
import { begin, content, firstPart, newKey, put, read, type S3Context, winnersOf16 } from "../s3-context.js";

export const multipartChecks: readonly Check<S3Context>[] = [
  {
    operation: "CompleteMultipartUpload",
    name: "the parts in order, with metadata and size",
    async run(c) {
      const Key = newKey();
      const { part, complete } = await begin(c, Key, { Metadata: { a: "b" } });
      const second = await part(2, content);
      const { ETag } = await complete([await part(1, firstPart), second], {
        MpuObjectSize: firstPart.length + 1000,
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
    operation: "CompleteMultipartUpload",
    name: "If-Match replaces only what it names",
    async run(c) {
      const Key = newKey();
      const { ETag } = await put(c, Key);
      const { part, complete } = await begin(c, Key);
      const parts = [await part(1, Buffer.from("new"))];
      expect(await failure(() => complete(parts, { IfMatch: '"other"' }))).toEqual([
        "PreconditionFailed",
        412,
      ]);
      expect((await read(c, Key)).bytes.equals(content)).toBe(true);
      await complete(parts, { IfMatch: ETag });
      expect((await read(c, Key)).bytes.toString()).toBe("new");
    },
  },
  {
    operation: "CompleteMultipartUpload",
    name: "of 16 racing with If-None-Match one wins",
    async run(c) {
      const Key = newKey();
      const uploads = await Promise.all(
        Array.from({ length: 16 }, async (_, index) => {
          const { upload, part, complete } = await begin(c, Key);
          return { upload, complete, parts: [await part(1, Buffer.alloc(2000, index))] };
        }),
      );
      const won = await winnersOf16(async (index) =>
        uploads[index]?.complete(uploads[index].parts, { IfNoneMatch: "*" }),
      );
      expect(won).toHaveLength(1);
      expect((await read(c, Key)).bytes[0]).toBe(won[0]);
      for (const [index, { upload }] of uploads.entries()) {
        if (index !== won[0]) await c.s3.send(new AbortMultipartUploadCommand(upload));
      }
    },
  },
  {
    operation: "CompleteMultipartUpload",
    name: "SHA256 is that of the parts' checksums",
    async run(c) {
      const { upload, part, complete } = await begin(c, newKey(), { ChecksumAlgorithm: "SHA256" });
      const parts = [await part(1, firstPart), await part(2, content)];
      const { ChecksumSHA256 } = await complete(parts);
      const hash = createHash("sha256");
      for (const one of parts) hash.update(Buffer.from(one.ChecksumSHA256 ?? "", "base64"));
      const expected = hash.digest("base64");
      expect(ChecksumSHA256).toBe(`${expected}-2`);
      const { Bucket, Key } = upload;
      const told = await c.s3.send(
        new GetObjectAttributesCommand({ Bucket, Key, ObjectAttributes: ["Checksum"] }),
      );
      expect(told.Checksum?.ChecksumSHA256?.replace(/-2$/, "")).toBe(expected);
    },
  },
  {
    operation: "CompleteMultipartUpload",
    name: "CRC32 of all bytes, if requested",
    async run(c) {
      const terms = { ChecksumAlgorithm: "CRC32", ChecksumType: "FULL_OBJECT" } as const;
      const { part, complete } = await begin(c, newKey(), terms);
      const made = await complete([await part(1, firstPart), await part(2, content)]);
      const whole = await put(c, newKey(), { Body: Buffer.concat([firstPart, content]) });
      expect([made.ChecksumCRC32, made.ChecksumType]).toEqual([whole.ChecksumCRC32, "FULL_OBJECT"]);
      expect(made.ChecksumCRC32).toMatch(/==$/);
    },
  },
  {
    operation: "UploadPart",
    name: "a wrong checksum is refused",
    async run(c) {
      const { upload, part } = await begin(c, newKey());
      expect((await failure(() => part(1, content, { ChecksumCRC32: "AAAAAA==" })))[1]).toBe(400);
      expect((await c.s3.send(new ListPartsCommand(upload))).Parts).toBeUndefined();
      await c.s3.send(new AbortMultipartUploadCommand(upload));
    },
  },
  {
    operation: "UploadPart",
    name: "a part takes the place of one of its number",
    async run(c) {
      const { upload, part, complete } = await begin(c, newKey());
      await part(1, Buffer.from("first"));
      await complete([await part(1, Buffer.from("second"))]);
      expect((await read(c, upload.Key)).bytes.toString()).toBe("second");
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
    operation: "ListMultipartUploads",
    name: "in pages",
    async run(c) {
      const Prefix = newKey();
      const begun = [];
      for (const name of ["a", "b", "c"]) begun.push((await begin(c, `${Prefix}/${name}`)).upload);
      const list = (rest: Partial<ListMultipartUploadsCommandInput>) =>
        c.s3.send(new ListMultipartUploadsCommand({ Bucket: c.Bucket, Prefix, ...rest }));
      const first = await list({ MaxUploads: 2 });
      const { NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = first;
      const rest = await list({ KeyMarker, UploadIdMarker });
      const ids = [...(first.Uploads ?? []), ...(rest.Uploads ?? [])].map(({ UploadId }) => UploadId);
      expect(ids).toEqual(begun.map(({ UploadId }) => UploadId));
      expect([first.Uploads?.length, first.IsTruncated, rest.IsTruncated]).toEqual([2, true, false]);
      for (const upload of begun) await c.s3.send(new AbortMultipartUploadCommand(upload));
    },
  },
];
