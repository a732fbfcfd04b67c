/** Versions of objects in the in-process S3. */
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3ServiceException,
} from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { errorOf, failure } from "../support/errors.js";
import { useLocalAws } from "../support/local.js";

const local = useLocalAws();
let buckets = 0;

async function makeBucket(versioned = true) {
  const Bucket = `versions-${++buckets}`;
  const { s3 } = local;
  await s3.send(new CreateBucketCommand({ Bucket }));
  const setStatus = (status: "Enabled" | "Suspended") =>
    s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: status } }));
  if (versioned) await setStatus("Enabled");
  const put = async (Key: string, Body: string) =>
    (await s3.send(new PutObjectCommand({ Bucket, Key, Body }))).VersionId;
  const read = async (Key: string, VersionId?: string) => {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, VersionId }));
    return Body?.transformToString();
  };
  const remove = (Key: string, VersionId?: string) =>
    s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
  const list = async () => {
    const { Versions = [], DeleteMarkers = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket }));
    return {
      versions: Versions.map(({ Key, VersionId, IsLatest }) => [Key, VersionId, IsLatest]),
      markers: DeleteMarkers.map(({ Key, VersionId, IsLatest }) => [Key, VersionId, IsLatest]),
    };
  };
  return { Bucket, setStatus, put, read, remove, list };
}

describe("versioning of the in-process S3", () => {
  test("is off, then enabled, then suspended; a bucket without it names no versions", async () => {
    const { Bucket, setStatus, put, list } = await makeBucket(false);
    const status = async () => (await local.s3.send(new GetBucketVersioningCommand({ Bucket }))).Status;
    expect(await status()).toBeUndefined();
    expect(await put("k", "one")).toBeUndefined();
    expect(await list()).toEqual({ versions: [["k", "null", true]], markers: [] });
    await setStatus("Enabled");
    expect(await status()).toBe("Enabled");
    await setStatus("Suspended");
    expect(await status()).toBe("Suspended");
  });

  test("makes a version of each put, which is read by its ID", async () => {
    const { put, read, list } = await makeBucket();
    const [first, second] = [await put("k", "one"), await put("k", "two")];
    expect(first).toMatch(/^[\w-]{32}$/);
    expect(second).not.toBe(first);
    expect([await read("k"), await read("k", first), await read("k", second)]).toEqual(["two", "one", "two"]);
    expect((await list()).versions).toEqual([
      ["k", second, true],
      ["k", first, false],
    ]);
  });

  test("names an object from before it the version null", async () => {
    const { put, read, setStatus } = await makeBucket(false);
    await put("k", "old");
    await setStatus("Enabled");
    await put("k", "new");
    expect([await read("k"), await read("k", "null")]).toEqual(["new", "old"]);
  });

  test("puts a delete marker over the versions; deleting the marker restores the object", async () => {
    const { Bucket, put, read, remove, list } = await makeBucket();
    const version = await put("k", "one");
    const { DeleteMarker, VersionId: marker } = await remove("k");
    expect(DeleteMarker).toBe(true);
    expect(await failure(() => read("k"))).toEqual(["NoSuchKey", 404]);
    expect(await failure(() => read("k", marker))).toEqual(["MethodNotAllowed", 405]);
    expect(await read("k", version)).toBe("one");
    expect(await list()).toEqual({ versions: [["k", version, false]], markers: [["k", marker, true]] });
    expect((await local.s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
    expect(await remove("k", marker)).toMatchObject({ DeleteMarker: true, VersionId: marker });
    expect(await read("k")).toBe("one");
  });

  test("deletes only the version that is named", async () => {
    const { put, read, remove } = await makeBucket();
    const [first, second] = [await put("k", "one"), await put("k", "two")];
    expect(await remove("k", second)).toMatchObject({ VersionId: second });
    expect(await read("k")).toBe("one");
    expect(await failure(() => read("k", second))).toEqual(["NoSuchVersion", 404]);
    await remove("k", first);
    expect(await failure(() => read("k"))).toEqual(["NoSuchKey", 404]);
  });

  test("that is suspended writes and deletes the version null, and keeps the others", async () => {
    const { put, read, remove, setStatus, list } = await makeBucket();
    const kept = await put("k", "kept");
    await setStatus("Suspended");
    expect(await put("k", "one")).toBe("null");
    await put("k", "two");
    expect((await list()).versions).toEqual([
      ["k", "null", true],
      ["k", kept, false],
    ]);
    expect(await remove("k")).toMatchObject({ DeleteMarker: true, VersionId: "null" });
    expect(await list()).toEqual({ versions: [["k", kept, false]], markers: [["k", "null", true]] });
    expect(await read("k", kept)).toBe("kept");
  });

  test("refuses an invalid version ID", async () => {
    const { put, read } = await makeBucket();
    await put("k", "one");
    expect(await failure(() => read("k", "short"))).toEqual(["InvalidArgument", 400]);
    expect(await failure(() => read("k", "0".repeat(32)))).toEqual(["NoSuchVersion", 404]);
  });

  test("deletes nothing under If-Match if the newest version is a delete marker", async () => {
    const { Bucket, put, remove, list } = await makeBucket();
    await put("k", "one");
    await remove("k");
    for (const IfMatch of ["*", '"other"']) {
      const act = () => local.s3.send(new DeleteObjectCommand({ Bucket, Key: "k", IfMatch }));
      expect(await failure(act)).toEqual(["PreconditionFailed", 412]);
    }
    const nothing = () => local.s3.send(new DeleteObjectCommand({ Bucket, Key: "never", IfMatch: "*" }));
    expect(await failure(nothing)).toEqual(["NoSuchKey", 404]);
    expect((await list()).markers).toHaveLength(1);
  });

  test("returns the version ID, and a header for a delete marker, to HeadObject", async () => {
    const { Bucket, put, remove } = await makeBucket();
    const version = await put("k", "one");
    const head = () => local.s3.send(new HeadObjectCommand({ Bucket, Key: "k" }));
    expect((await head()).VersionId).toBe(version);
    await remove("k");
    const error = (await errorOf(head)) as S3ServiceException;
    expect(error.$response?.headers["x-amz-delete-marker"]).toBe("true");
  });

  test("makes an older version the newest by a copy", async () => {
    const { Bucket, put, read } = await makeBucket();
    const first = await put("k", "one");
    await put("k", "two");
    const copied = await local.s3.send(
      new CopyObjectCommand({ Bucket, Key: "k", CopySource: `${Bucket}/k?versionId=${first}` }),
    );
    expect(copied.CopySourceVersionId).toBe(first);
    expect(copied.VersionId).not.toBe(first);
    expect(await read("k")).toBe("one");
  });
});

test("a delete marker is refused as the source of a copy", async () => {
  const { Bucket, put, remove } = await makeBucket();
  await put("k", "one");
  const { VersionId } = await remove("k");
  const copy = (CopySource: string) => () =>
    local.s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource }));
  expect(await failure(copy(`${Bucket}/k?versionId=${VersionId}`))).toEqual(["InvalidRequest", 400]);
  expect(await failure(copy(`${Bucket}/k`))).toEqual(["NoSuchKey", 404]);
});

test("ListObjectVersions lists in pages, by prefix, and up to a delimiter", async () => {
  const { Bucket, put, remove } = await makeBucket();
  for (const key of ["a/1", "a/2", "b", "c"]) for (const body of ["x", "y", "z"]) await put(key, body);
  await remove("b");
  const { s3 } = local;
  const whole = await s3.send(new ListObjectVersionsCommand({ Bucket }));
  expect(whole.Versions).toHaveLength(12);
  const paged: (string | undefined)[] = [];
  const markers: { KeyMarker?: string; VersionIdMarker?: string } = {};
  for (let more = true; more; ) {
    const page = await s3.send(new ListObjectVersionsCommand({ Bucket, MaxKeys: 2, ...markers }));
    const entries = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
    more = page.IsTruncated === true;
    Object.assign(markers, { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker });
    expect(entries.length).toBeLessThanOrEqual(2);
    paged.push(...entries.map(({ VersionId }) => VersionId));
  }
  const all = [...(whole.Versions ?? []), ...(whole.DeleteMarkers ?? [])].map(({ VersionId }) => VersionId);
  expect(paged.sort()).toEqual(all.sort());
  const folders = await s3.send(new ListObjectVersionsCommand({ Bucket, Delimiter: "/" }));
  expect(folders.CommonPrefixes).toEqual([{ Prefix: "a/" }]);
  expect(folders.Versions).toHaveLength(6);
  const prefixed = await s3.send(new ListObjectVersionsCommand({ Bucket, Prefix: "a/2" }));
  expect(prefixed.Versions?.map(({ Key }) => Key)).toEqual(["a/2", "a/2", "a/2"]);
});

describe("DeleteObjects", () => {
  test("deletes the named objects and reports each, or only errors", async () => {
    const { Bucket, put, list } = await makeBucket();
    const first = await put("a & b", "one");
    await put("c", "two");
    const { s3 } = local;
    const Objects = [{ Key: "a & b", VersionId: first }, { Key: "c" }, { Key: "none", VersionId: "short" }];
    const { Deleted = [], Errors = [] } = await s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects } }),
    );
    expect(Deleted.map(({ Key, DeleteMarker }) => [Key, DeleteMarker])).toEqual([
      ["a & b", undefined],
      ["c", true],
    ]);
    expect(Errors.map(({ Key, Code }) => [Key, Code])).toEqual([["none", "InvalidArgument"]]);
    expect((await list()).markers).toHaveLength(1);
    const quiet = await s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: "c" }], Quiet: true } }),
    );
    expect(quiet.Deleted).toBeUndefined();
  });

  test("deletes objects with the stated ETag and reports the others", async () => {
    const { Bucket, put, remove, read } = await makeBucket();
    for (const key of ["right", "wrong", "any", "deleted"]) await put(key, key);
    await remove("deleted");
    const { ETag } = await local.s3.send(new HeadObjectCommand({ Bucket, Key: "right" }));
    const Objects = [
      { Key: "wrong", ETag },
      { Key: "none", ETag: "*" },
      { Key: "deleted", ETag: "*" },
      { Key: "right", ETag },
      { Key: "any", ETag: "*" },
    ];
    const { Deleted, Errors } = await local.s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects } }),
    );
    expect(Deleted?.map(({ Key }) => Key)).toEqual(["right", "any"]);
    expect(Errors?.map(({ Key, Code }) => [Key, Code])).toEqual([
      ["wrong", "PreconditionFailed"],
      ["none", "NoSuchKey"],
      ["deleted", "PreconditionFailed"],
    ]);
    expect(await read("wrong")).toBe("wrong");
  });

  test("deletes nothing if the body does not match its checksum", async () => {
    const { Bucket, put, read } = await makeBucket(false);
    await put("k", "one");
    const command = new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: "k" }] } });
    command.middlewareStack.add(
      (next) => async (args) => {
        (args.request as { headers: Record<string, string> }).headers["x-amz-checksum-crc32"] = "AAAAAA==";
        return next(args);
      },
      { step: "build", priority: "low" },
    );
    expect(await failure(() => local.s3.send(command))).toEqual(["BadDigest", 400]);
    expect(await read("k")).toBe("one");
  });
});
