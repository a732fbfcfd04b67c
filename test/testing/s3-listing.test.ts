/** Listings of the in-process S3: how they go on, what they repeat, and what they cost. */
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectCommand,
  ListBucketsCommand,
  type ListBucketsCommandInput,
  type ListBucketsCommandOutput,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  ListObjectsCommand,
  type ListObjectsCommandInput,
  type ListObjectsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { memoryBytes } from "../../src/testing/s3/storage/byte-store.js";
import { ObjectStore } from "../../src/testing/s3/storage/object-store.js";
import { byBytes } from "../../src/testing/s3/storage/order.js";
import { noRecords } from "../../src/testing/s3/storage/records.js";
import { useLocalAws } from "../support/local.js";
import { sendSigned } from "./raw.js";

const local = useLocalAws();
let buckets = 0;

async function makeBucket(): Promise<string> {
  const Bucket = `listing-${++buckets}`;
  await local.s3.send(new CreateBucketCommand({ Bucket }));
  return Bucket;
}

describe("ListObjectsV2 pages", () => {
  async function fill(...keys: string[]) {
    const Bucket = await makeBucket();
    for (const Key of keys) await local.s3.send(new PutObjectCommand({ Bucket, Key, Body: "x" }));
    const list = (rest: Partial<ListObjectsV2CommandInput>) =>
      local.s3.send(new ListObjectsV2Command({ Bucket, ...rest }));
    return { Bucket, list };
  }

  test("have encoded keys, a space as a plus", async () => {
    const { list } = await fill("a b/c+d e");
    const { Contents, Prefix } = await list({ EncodingType: "url", Prefix: "a b" });
    expect([Contents?.[0]?.Key, Prefix]).toEqual(["a+b/c%2Bd+e", "a+b"]);
  });

  test("continue after a valid token only", async () => {
    const { Bucket, list } = await fill("first", "second ü");
    const { NextContinuationToken: token = "" } = await list({ MaxKeys: 1 });
    expect(token).not.toContain("first");
    expect((await list({ ContinuationToken: token })).Contents).toMatchObject([{ Key: "second ü" }]);
    for (const wrong of ["first", "", token.slice(0, -1), `${token}=`, token.slice(2)]) {
      const query = { "list-type": "2", "continuation-token": wrong };
      const raw = await sendSigned(local.aws.s3Config, { path: `/${Bucket}`, query });
      expect(raw).toMatchObject({ status: 400, code: "InvalidArgument" });
    }
  });

  test("repeat the delimiter if there is one", async () => {
    const { Bucket, list } = await fill("a/b");
    expect((await list({ Delimiter: "/" })).Delimiter).toBe("/");
    const versions = await local.s3.send(new ListObjectVersionsCommand({ Bucket, Delimiter: "/" }));
    expect(versions.Delimiter).toBe("/");
    const query = { "list-type": "2", delimiter: "" };
    const { text } = await sendSigned(local.aws.s3Config, { path: `/${Bucket}`, query });
    expect(text).toContain("<Key>a/b</Key>");
    expect(text).not.toContain("Delimiter");
  });
});

describe("ListObjects", () => {
  async function fill(...keys: string[]) {
    const Bucket = await makeBucket();
    for (const Key of keys) await local.s3.send(new PutObjectCommand({ Bucket, Key, Body: "x" }));
    return (rest: Partial<ListObjectsCommandInput>) =>
      local.s3.send(new ListObjectsCommand({ Bucket, ...rest }));
  }
  const keys = ["a", "b/1", "b/2", "b/3/x", "c", "d/1", "e ü"];

  test("lists each object with its owner", async () => {
    const list = await fill(...keys);
    const { Contents = [], IsTruncated, Marker, NextMarker, MaxKeys } = await list({});
    expect(Contents.map(({ Key }) => Key)).toEqual(keys);
    expect(Contents[0]).toMatchObject({
      Size: 1,
      StorageClass: "STANDARD",
      Owner: { ID: expect.any(String) },
    });
    expect([IsTruncated, Marker, NextMarker, MaxKeys]).toEqual([false, "", undefined, 1000]);
  });

  test.each([1, 2, 3])("continues after a marker, in pages of %d", async (MaxKeys) => {
    const list = await fill(...keys);
    for (const given of [{}, { Delimiter: "/" }, { Prefix: "b/", Delimiter: "/" }, { Prefix: "b/" }]) {
      const names = ({ Contents = [], CommonPrefixes = [] }: ListObjectsCommandOutput) =>
        [...Contents.map(({ Key = "" }) => Key), ...CommonPrefixes.map(({ Prefix = "" }) => Prefix)].sort(
          byBytes,
        );
      const found: string[] = [];
      for (let Marker: string | undefined = ""; Marker !== undefined; ) {
        const page: ListObjectsCommandOutput = await list({ ...given, MaxKeys, Marker });
        const last = names(page).at(-1);
        found.push(...names(page));
        // Told only where there is a delimiter; the last key does it otherwise.
        expect(page.NextMarker).toBe(page.IsTruncated && "Delimiter" in given ? last : undefined);
        Marker = page.IsTruncated ? last : undefined;
      }
      expect(found).toEqual(names(await list(given)));
    }
  });

  test("returns encoded keys and markers", async () => {
    const list = await fill("x y/1", "x y/2", "z");
    const page = await list({ Delimiter: "/", MaxKeys: 1, Marker: "a b", EncodingType: "url" });
    expect([page.CommonPrefixes?.[0]?.Prefix, page.NextMarker, page.Marker]).toEqual(["x+y/", "x+y/", "a+b"]);
    expect(page.EncodingType).toBe("url");
  });

  test("omits deleted objects", async () => {
    const list = await fill("a", "b");
    const { Name: Bucket } = await list({});
    await local.s3.send(new DeleteObjectCommand({ Bucket, Key: "a" }));
    expect((await list({})).Contents?.map(({ Key }) => Key)).toEqual(["b"]);
  });
});

test("ListObjectsV2 returns owners if requested", async () => {
  const Bucket = await makeBucket();
  await local.s3.send(new PutObjectCommand({ Bucket, Key: "a", Body: "x" }));
  const list = async (FetchOwner: boolean) =>
    (await local.s3.send(new ListObjectsV2Command({ Bucket, FetchOwner }))).Contents?.[0]?.Owner;
  expect(await list(true)).toEqual({ ID: expect.any(String) });
  expect(await list(false)).toBeUndefined();
});

describe("ListBuckets", () => {
  test("lists in pages, by prefix and by Region", async () => {
    for (const name of ["paged-a", "paged-b", "paged-c", "other-a"]) {
      await local.s3.send(new CreateBucketCommand({ Bucket: name }));
    }
    const list = (rest: ListBucketsCommandInput) => local.s3.send(new ListBucketsCommand(rest));
    const found: (string | undefined)[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page: ListBucketsCommandOutput = await list({
        Prefix: "paged-",
        MaxBuckets: 2,
        ...(ContinuationToken !== undefined && { ContinuationToken }),
      });
      expect(page.Prefix).toBe("paged-");
      expect(page.Buckets?.every(({ BucketRegion }) => BucketRegion === "eu-central-1")).toBe(true);
      found.push(...(page.Buckets ?? []).map(({ Name }) => Name));
      ({ ContinuationToken } = page);
    } while (ContinuationToken !== undefined);
    expect(found).toEqual(["paged-a", "paged-b", "paged-c"]);
    expect((await list({ BucketRegion: "us-west-2" })).Buckets).toEqual([]);
    const all = await list({});
    expect(all.Buckets?.map(({ Name }) => Name)).toEqual(expect.arrayContaining(["other-a", "test-bucket"]));
    expect(all.Buckets?.[0]?.BucketRegion).toBeUndefined();
    expect(all.Owner?.ID).toBeDefined();
  });

  test.each(["0", "10001", "x"])("refuses pages of %s", async (size) => {
    const raw = await sendSigned(local.aws.s3Config, { path: "/", query: { "max-buckets": size } });
    expect(raw).toMatchObject({ status: 400, code: "InvalidArgument" });
  });
});

describe("ListObjectVersions", () => {
  async function fill(versionsOfEach: number) {
    const Bucket = await makeBucket();
    const put = async (Key: string) =>
      (await local.s3.send(new PutObjectCommand({ Bucket, Key, Body: "x" }))).VersionId;
    await put("b");
    const VersioningConfiguration = { Status: "Enabled" } as const;
    await local.s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
    for (const key of ["a", "b", "c"]) for (let turn = 0; turn < versionsOfEach; turn++) await put(key);
    const list = async (rest: { MaxKeys?: number; KeyMarker?: string; VersionIdMarker?: string } = {}) => {
      const page = await local.s3.send(new ListObjectVersionsCommand({ Bucket, ...rest }));
      return { ...page, found: (page.Versions ?? []).map(({ Key, VersionId }) => ({ Key, VersionId })) };
    };
    const remove = (target: { Key: string | undefined; VersionId: string | undefined }) =>
      local.s3.send(new DeleteObjectCommand({ Bucket, ...target }));
    return { Bucket, put, list, remove };
  }

  test.each([1, 2, 3, 5])(
    "are all found by who deletes them, %d at a time, before going on",
    async (MaxKeys) => {
      const { list, remove } = await fill(4);
      let markers = {};
      for (let more = true; more; ) {
        const { found, IsTruncated, NextKeyMarker, NextVersionIdMarker } = await list({
          MaxKeys,
          ...markers,
        });
        for (const version of found) await remove(version);
        markers = { KeyMarker: NextKeyMarker, VersionIdMarker: NextVersionIdMarker };
        more = IsTruncated === true;
      }
      expect((await list()).found).toEqual([]);
    },
  );

  test("omits versions newer than the marker's, even if that is gone", async () => {
    const { put, list, remove } = await fill(2);
    const { found } = await list();
    const ofB = found.filter(({ Key }) => Key === "b");
    const [, older, none] = ofB;
    expect(none?.VersionId).toBe("null");
    await remove({ Key: "b", VersionId: older?.VersionId });
    const newer = await put("b");
    const rest = await list({ KeyMarker: "b", VersionIdMarker: older?.VersionId });
    expect(rest.found).toEqual([none, ...found.filter(({ Key }) => Key === "c")]);
    await remove({ Key: "b", VersionId: "null" });
    const again = await list({ KeyMarker: "b", VersionIdMarker: "null" });
    expect(again.found.map(({ Key }) => Key)).toEqual(["b", "b", "c", "c"]);
    expect(again.found[0]?.VersionId).toBe(newer);
  });

  test.each([
    ["no key", { "version-id-marker": "null" }],
    ["an empty key", { "key-marker": "", "version-id-marker": "null" }],
    ["an empty id", { "key-marker": "a", "version-id-marker": "" }],
    ["an id that is none", { "key-marker": "a", "version-id-marker": "short" }],
  ])("refuses a marker with %s", async (_, markers) => {
    const { Bucket } = await fill(0);
    const raw = { path: `/${Bucket}`, query: { versions: "", ...markers } };
    expect(await sendSigned(local.aws.s3Config, raw)).toMatchObject({ status: 400, code: "InvalidArgument" });
  });
});

describe("ListMultipartUploads", () => {
  async function fill() {
    const Bucket = await makeBucket();
    const begin = async (Key: string, rest: Partial<CreateMultipartUploadCommandInput> = {}) => {
      const { UploadId } = await local.s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...rest }));
      return { Bucket, Key, UploadId };
    };
    const list = (rest: Partial<ListMultipartUploadsCommandInput> = {}) =>
      local.s3.send(new ListMultipartUploadsCommand({ Bucket, ...rest }));
    return { Bucket, begin, list };
  }

  test("lists uploads of one key in the order of their start, also after one that is gone", async () => {
    const { begin, list } = await fill();
    const ids: (string | undefined)[] = [];
    for (let turn = 0; turn < 8; turn++) ids.push((await begin("same")).UploadId);
    const [, , gone] = ids;
    expect((await list()).Uploads?.map(({ UploadId }) => UploadId)).toEqual(ids);
    const times = (await list()).Uploads?.map(({ Initiated }) => Initiated?.getTime() ?? 0) ?? [];
    expect(times).toEqual([...times].sort());
    const markers = { KeyMarker: "same", UploadIdMarker: gone };
    await local.s3.send(
      new AbortMultipartUploadCommand({ Bucket: (await list()).Bucket, Key: "same", UploadId: gone }),
    );
    expect((await list(markers)).Uploads?.map(({ UploadId }) => UploadId)).toEqual(ids.slice(3));
  });

  test.each([1, 2, 100])("lists up to a delimiter, in pages of %d", async (MaxUploads) => {
    const { begin, list } = await fill();
    for (const key of ["a b/1", "a b/2", "a b/2", "c", "d/1", "e", "e"]) await begin(key);
    const found: (string | undefined)[] = [];
    let markers = {};
    for (let more = true; more; ) {
      const page = await list({ Delimiter: "/", MaxUploads, ...markers });
      found.push(...(page.Uploads ?? []).map(({ Key }) => Key));
      found.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix));
      markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
      more = page.IsTruncated === true;
    }
    expect(found.sort()).toEqual(["a b/", "c", "d/", "e", "e"]);
    const terms = { Delimiter: "/", Prefix: "a b", EncodingType: "url" } as const;
    expect(await list(terms)).toMatchObject({
      ...terms,
      Prefix: "a+b",
      CommonPrefixes: [{ Prefix: "a+b/" }],
    });
    expect((await list()).Delimiter).toBeUndefined();
  });

  test("returns storage class and checksum of each upload", async () => {
    const { begin, list } = await fill();
    const terms = { StorageClass: "STANDARD_IA", ChecksumAlgorithm: "SHA256" } as const;
    const upload = await begin("a", terms);
    await begin("b");
    const expected = { ...terms, ChecksumType: "COMPOSITE" };
    const { Uploads: [first, second] = [] } = await list();
    expect(first).toMatchObject(expected);
    expect(second).toMatchObject({ StorageClass: "STANDARD" });
    expect(second).not.toHaveProperty("ChecksumAlgorithm");
    expect(await local.s3.send(new ListPartsCommand(upload))).toMatchObject(expected);
  });
});

describe("the order of keys", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test("is that of their bytes in UTF-8", () => {
    const keys = fc.string({
      unit: fc.constantFrom("a", "/", "\u00e4", "\ud7ff", "\ue000", "\uffff", "\u{1f600}"),
    });
    fc.assert(
      fc.property(keys, keys, (left, right) => {
        expect(byBytes(left, right)).toBe(Buffer.compare(Buffer.from(left), Buffer.from(right)));
      }),
    );
  });

  test("is computed once until keys change, without buffers", () => {
    const store = new ObjectStore(memoryBytes, noRecords);
    store.createBucket("bucket");
    const checksum = { algorithm: "crc64nvme", value: "", type: "FULL_OBJECT" } as const;
    const put = (key: string) =>
      store.put("bucket", key, { size: 0, extents: [], etag: '""', headers: {}, tags: {}, checksum });
    const list = () => store.versions("bucket").map(({ key }) => key);
    for (const key of ["b", "a", "c"]) put(key);
    const sort = vi.spyOn(Array.prototype, "sort");
    const compare = vi.spyOn(Buffer, "compare");
    expect([list(), list()]).toEqual([
      ["a", "b", "c"],
      ["a", "b", "c"],
    ]);
    put("a");
    expect(list()).toEqual(["a", "b", "c"]);
    expect(sort.mock.calls).toHaveLength(1);
    put("aa");
    store.delete("bucket", "b");
    expect(list()).toEqual(["a", "aa", "c"]);
    expect(sort.mock.calls).toHaveLength(2);
    expect(compare).not.toHaveBeenCalled();
  });
});
