/** Each operation of the in-process S3, sent again as it was: a client that lost a response does so. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  DeleteObjectTaggingCommand,
  HeadBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { errorOf, failure } from "../support/errors.js";

let aws: LocalAws;
let s3: S3Client;
let buckets = 0;
beforeAll(async () => {
  aws = await startLocalAws({ minPartBytes: 1 });
  s3 = new S3Client({ ...aws.s3Config, maxAttempts: 1 });
});
afterAll(async () => {
  s3.destroy();
  await aws.close();
});

const Key = "key";
type Act = () => Promise<object>;

async function put(Bucket: string, rest: object = {}) {
  return s3.send(new PutObjectCommand({ Bucket, Key, Body: "content", ...rest }));
}

async function begin(Bucket: string) {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const upload = { Bucket, Key, UploadId };
  const { ETag } = await s3.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: "content" }));
  return { upload, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } };
}

/** Makes ready, and gives the request; then what it gets, and what it gets again. */
const retries: [string, (Bucket: string) => Promise<Act>, number, number | [string, number]][] = [
  ["PutObject", async (b) => () => put(b), 200, 200],
  [
    "PutObject if there is none",
    async (b) => () => put(b, { IfNoneMatch: "*" }),
    200,
    ["PreconditionFailed", 412],
  ],
  [
    "PutObject of other bytes in place of an object",
    async (b) => {
      const { ETag: IfMatch } = await put(b);
      return () => put(b, { Body: "other", IfMatch });
    },
    200,
    ["PreconditionFailed", 412],
  ],
  [
    "CopyObject",
    async (b) => {
      await put(b);
      return () => s3.send(new CopyObjectCommand({ Bucket: b, Key: "copy", CopySource: `${b}/${Key}` }));
    },
    200,
    200,
  ],
  ["DeleteObject", async (b) => () => s3.send(new DeleteObjectCommand({ Bucket: b, Key })), 204, 204],
  [
    "DeleteObject of an object that is there",
    async (b) => {
      await put(b);
      return () => s3.send(new DeleteObjectCommand({ Bucket: b, Key }));
    },
    204,
    204,
  ],
  [
    "DeleteObject of one ETag",
    async (b) => {
      const { ETag: IfMatch } = await put(b);
      return () => s3.send(new DeleteObjectCommand({ Bucket: b, Key, IfMatch }));
    },
    204,
    ["NoSuchKey", 404],
  ],
  [
    "DeleteObjects",
    async (b) => {
      await put(b);
      return () => s3.send(new DeleteObjectsCommand({ Bucket: b, Delete: { Objects: [{ Key }] } }));
    },
    200,
    200,
  ],
  [
    "PutObjectTagging",
    async (b) => {
      await put(b);
      const Tagging = { TagSet: [{ Key: "a", Value: "b" }] };
      return () => s3.send(new PutObjectTaggingCommand({ Bucket: b, Key, Tagging }));
    },
    200,
    200,
  ],
  [
    "DeleteObjectTagging",
    async (b) => {
      await put(b);
      return () => s3.send(new DeleteObjectTaggingCommand({ Bucket: b, Key }));
    },
    204,
    204,
  ],
  [
    "CreateMultipartUpload",
    async (b) => () => s3.send(new CreateMultipartUploadCommand({ Bucket: b, Key })),
    200,
    200,
  ],
  [
    "UploadPart",
    async (b) => {
      const { upload } = await begin(b);
      return () => s3.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: "again" }));
    },
    200,
    200,
  ],
  [
    "UploadPartCopy",
    async (b) => {
      await put(b);
      const { upload } = await begin(b);
      const CopySource = `${b}/${Key}`;
      return () => s3.send(new UploadPartCopyCommand({ ...upload, PartNumber: 1, CopySource }));
    },
    200,
    200,
  ],
  [
    "CompleteMultipartUpload",
    async (b) => {
      const { upload, MultipartUpload } = await begin(b);
      return () => s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload }));
    },
    200,
    ["NoSuchUpload", 404],
  ],
  [
    "AbortMultipartUpload",
    async (b) => {
      const { upload } = await begin(b);
      return () => s3.send(new AbortMultipartUploadCommand(upload));
    },
    204,
    ["NoSuchUpload", 404],
  ],
  [
    "PutBucketVersioning",
    async (b) => () =>
      s3.send(new PutBucketVersioningCommand({ Bucket: b, VersioningConfiguration: { Status: "Enabled" } })),
    200,
    200,
  ],
  [
    "CreateBucket",
    async (b) => () => s3.send(new CreateBucketCommand({ Bucket: `${b}-new` })),
    200,
    ["BucketAlreadyOwnedByYou", 409],
  ],
  [
    "DeleteBucket",
    async (b) => () => s3.send(new DeleteBucketCommand({ Bucket: b })),
    204,
    ["NoSuchBucket", 404],
  ],
];

async function outcome(act: Act): Promise<number | [string, number | undefined]> {
  let output: object;
  try {
    output = await act();
  } catch (error) {
    return failure(() => Promise.reject(error));
  }
  const { httpStatusCode = 0 } = (output as { $metadata: { httpStatusCode?: number } }).$metadata;
  return httpStatusCode;
}

describe("a repeated request:", () => {
  it.each(retries)("%s", async (_, prepare, first, second) => {
    const Bucket = `retries-${++buckets}`;
    await s3.send(new CreateBucketCommand({ Bucket }));
    const act = await prepare(Bucket);
    expect(await outcome(act)).toEqual(first);
    expect(await outcome(act)).toEqual(second);
  });

  it("CreateBucket in us-east-1 succeeds and keeps the bucket's objects", async () => {
    await using oldest = await startLocalAws({ region: "us-east-1" });
    const Bucket = "test-bucket";
    await oldest.s3.send(new PutObjectCommand({ Bucket, Key, Body: "kept" }));
    await oldest.s3.send(new CreateBucketCommand({ Bucket }));
    const { Versions } = await oldest.s3.send(new ListObjectVersionsCommand({ Bucket }));
    expect(Versions).toHaveLength(1);
  });

  it("AbortMultipartUpload of a completed upload changes nothing", async () => {
    const Bucket = `retries-${++buckets}`;
    await s3.send(new CreateBucketCommand({ Bucket }));
    const { upload, MultipartUpload } = await begin(Bucket);
    await s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload }));
    const abort = () => s3.send(new AbortMultipartUploadCommand(upload));
    expect(await failure(abort)).toEqual(["NoSuchUpload", 404]);
    const { Versions } = await s3.send(new ListObjectVersionsCommand({ Bucket }));
    expect(Versions).toHaveLength(1);
  });

  it("DeleteObject adds a marker each time with versioning, and removes a named version once", async () => {
    const Bucket = `retries-${++buckets}`;
    await s3.send(new CreateBucketCommand({ Bucket }));
    const VersioningConfiguration = { Status: "Enabled" } as const;
    await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
    const { VersionId } = await put(Bucket);
    const remove = (rest: object) => s3.send(new DeleteObjectCommand({ Bucket, Key, ...rest }));
    await remove({});
    await remove({});
    await remove({ VersionId });
    await remove({ VersionId });
    const { Versions = [], DeleteMarkers = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket }));
    expect([Versions.length, DeleteMarkers.length]).toEqual([0, 2]);
  });
});

describe("a bucket with unfinished uploads", () => {
  it("is deleted with them", async () => {
    const Bucket = `retries-${++buckets}`;
    await s3.send(new CreateBucketCommand({ Bucket }));
    const { upload } = await begin(Bucket);
    await s3.send(new DeleteBucketCommand({ Bucket }));
    expect((await errorOf(() => s3.send(new HeadBucketCommand({ Bucket })))).name).toBe("NotFound");
    await s3.send(new CreateBucketCommand({ Bucket }));
    const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
    expect(Uploads).toBeUndefined();
    const part = new UploadPartCommand({ ...upload, PartNumber: 2, Body: "late" });
    expect(await failure(() => s3.send(part))).toEqual(["NoSuchUpload", 404]);
  });

  it("keeps them if it is not empty", async () => {
    const Bucket = `retries-${++buckets}`;
    await s3.send(new CreateBucketCommand({ Bucket }));
    await put(Bucket);
    await begin(Bucket);
    const remove = () => s3.send(new DeleteBucketCommand({ Bucket }));
    expect(await failure(remove)).toEqual(["BucketNotEmpty", 409]);
    const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
    expect(Uploads).toHaveLength(1);
  });
});
