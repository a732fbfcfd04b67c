/** Checks of S3: versions of objects, for servers that have them. */
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { expect } from "vitest";
import { errorOf } from "../../support/errors.js";
import type { Check } from "../checks.js";
import type { S3Context } from "../s3-context.js";

let buckets = 0;

async function versioned({ s3 }: S3Context) {
  const Bucket = `versioned-${++buckets}`;
  await s3.send(new CreateBucketCommand({ Bucket }));
  const VersioningConfiguration = { Status: "Enabled" } as const;
  await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  const put = async (Body: string) =>
    (await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body }))).VersionId;
  const read = async (VersionId?: string) =>
    (await s3.send(new GetObjectCommand({ Bucket, Key: "k", VersionId }))).Body?.transformToString();
  return { Bucket, put, read };
}

export const versionChecks: readonly Check<S3Context>[] = [
  {
    operation: "PutBucketVersioning",
    name: "each put makes a version that is read by its id",
    async run(c) {
      const { put, read } = await versioned(c);
      const [first, second] = [await put("one"), await put("two")];
      expect(first).not.toBe(second);
      expect([await read(), await read(first), await read(second)]).toEqual(["two", "one", "two"]);
    },
  },
  {
    operation: "PutBucketVersioning",
    name: "deleting puts a marker, whose removal brings the object back",
    async run(c) {
      const { Bucket, put, read } = await versioned(c);
      const first = await put("one");
      const removed = await c.s3.send(new DeleteObjectCommand({ Bucket, Key: "k" }));
      expect(removed.DeleteMarker).toBe(true);
      expect((await errorOf(() => read())).name).toBe("NoSuchKey");
      expect(await read(first)).toBe("one");
      const { VersionId } = removed;
      await c.s3.send(new DeleteObjectCommand({ Bucket, Key: "k", VersionId }));
      expect(await read()).toBe("one");
    },
  },
  {
    operation: "ListObjectVersions",
    name: "the newest first, markers among them",
    async run(c) {
      const { Bucket, put } = await versioned(c);
      const ids = [await put("one"), await put("two")];
      await c.s3.send(new DeleteObjectCommand({ Bucket, Key: "k" }));
      const { Versions, DeleteMarkers } = await c.s3.send(new ListObjectVersionsCommand({ Bucket }));
      expect(Versions?.map(({ VersionId, IsLatest }) => [VersionId, IsLatest])).toEqual([
        [ids[1], false],
        [ids[0], false],
      ]);
      expect(DeleteMarkers?.map(({ IsLatest }) => IsLatest)).toEqual([true]);
    },
  },
  {
    operation: "CopyObject",
    name: "an older version onto its key is the newest again",
    async run(c) {
      const { Bucket, put, read } = await versioned(c);
      const first = await put("one");
      const second = await put("two");
      const CopySource = `${Bucket}/k?versionId=${first}`;
      const { VersionId } = await c.s3.send(new CopyObjectCommand({ Bucket, Key: "k", CopySource }));
      expect([first, second]).not.toContain(VersionId);
      expect([await read(), await read(second)]).toEqual(["one", "two"]);
    },
  },
  {
    operation: "DeleteObjects",
    name: "deletes the versions that it names, and no others",
    async run(c) {
      const { Bucket, put, read } = await versioned(c);
      const ids = [await put("one"), await put("two"), await put("three")];
      const Objects = [1, 2].map((index) => ({ Key: "k", VersionId: ids[index] }));
      await c.s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      expect(await read()).toBe("one");
      expect((await c.s3.send(new ListObjectVersionsCommand({ Bucket }))).Versions).toHaveLength(1);
    },
  },
];
