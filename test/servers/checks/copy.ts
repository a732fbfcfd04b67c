/** Checks of S3: copies and tags. */
import {
  CopyObjectCommand,
  type CopyObjectCommandInput,
  DeleteObjectTaggingCommand,
  GetObjectTaggingCommand,
  PutObjectTaggingCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { expect } from "vitest";
import { failure } from "../../support/errors.js";
import type { Check } from "../checks.js";
import { begin, content, firstPart, newKey, put, read, type S3Context } from "../s3-context.js";

async function tagsOf({ s3, Bucket }: S3Context, Key: string) {
  return (await s3.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;
}

export const copyChecks: readonly Check<S3Context>[] = [
  {
    operation: "CopyObject",
    name: "copies metadata, and replaces it in place under a condition",
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
    operation: "CopyObject",
    name: "tags go along, or are replaced",
    async run(c) {
      const [from, Key] = [newKey(), newKey()];
      await put(c, from, { Tagging: "a=1" });
      const copy = (rest: Partial<CopyObjectCommandInput>) =>
        c.s3.send(
          new CopyObjectCommand({ Bucket: c.Bucket, Key, CopySource: `${c.Bucket}/${from}`, ...rest }),
        );
      await copy({});
      expect(await tagsOf(c, Key)).toEqual([{ Key: "a", Value: "1" }]);
      await copy({ TaggingDirective: "REPLACE", Tagging: "b=2" });
      expect(await tagsOf(c, Key)).toEqual([{ Key: "b", Value: "2" }]);
    },
  },
  {
    operation: "CopyObject",
    name: "of a multipart object",
    async run(c) {
      const [from, Key] = [newKey(), newKey()];
      const { part, complete } = await begin(c, from, { Metadata: { a: "b" } });
      await complete([await part(1, firstPart), await part(2, content)]);
      await c.s3.send(new CopyObjectCommand({ Bucket: c.Bucket, Key, CopySource: `${c.Bucket}/${from}` }));
      const back = await read(c, Key);
      expect(back.Metadata).toEqual({ a: "b" });
      expect(back.bytes.equals(Buffer.concat([firstPart, content]))).toBe(true);
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
    operation: "UploadPartCopy",
    name: "under a condition on its source",
    async run(c) {
      const [from, Key] = [newKey(), newKey()];
      const { ETag } = await put(c, from);
      const { upload, complete } = await begin(c, Key, { ChecksumAlgorithm: undefined });
      const copy = (CopySourceIfMatch: string | undefined) =>
        c.s3.send(
          new UploadPartCopyCommand({
            ...upload,
            PartNumber: 1,
            CopySource: `${c.Bucket}/${from}`,
            CopySourceIfMatch,
          }),
        );
      expect((await failure(() => copy('"other"')))[1]).toBe(412);
      const { CopyPartResult } = await copy(ETag);
      await complete([{ PartNumber: 1, ETag: CopyPartResult?.ETag }]);
      expect((await read(c, Key)).bytes.equals(content)).toBe(true);
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
    operation: "PutObjectTagging",
    name: "tags in place of those before, and none when they are deleted",
    async run(c) {
      const Key = newKey();
      await put(c, Key, { Tagging: "a=1" });
      const Tagging = { TagSet: [{ Key: "b", Value: "2 + é: @/=_.-" }] };
      await c.s3.send(new PutObjectTaggingCommand({ Bucket: c.Bucket, Key, Tagging }));
      expect(await tagsOf(c, Key)).toEqual(Tagging.TagSet);
      expect((await read(c, Key)).TagCount).toBe(1);
      const wrong = { TagSet: [{ Key: "c", Value: "<&>" }] };
      const act = () => c.s3.send(new PutObjectTaggingCommand({ Bucket: c.Bucket, Key, Tagging: wrong }));
      expect(await failure(act)).toEqual(["InvalidTag", 400]);
      await c.s3.send(new DeleteObjectTaggingCommand({ Bucket: c.Bucket, Key }));
      expect(await tagsOf(c, Key)).toEqual([]);
    },
  },
];
