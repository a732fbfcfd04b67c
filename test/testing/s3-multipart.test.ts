/** Multipart uploads of the in-process S3. */
import { createHash } from "node:crypto";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  paginateListParts,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { failure } from "../support/errors.js";
import { sendSigned } from "./raw.js";

const Bucket = "test-bucket";
const minPartBytes = 1000;

let aws: LocalAws;
let s3: S3Client;
beforeAll(async () => {
  aws = await startLocalAws({ minPartBytes });
  s3 = new S3Client({ ...aws.s3Config, maxAttempts: 1 });
});
afterAll(async () => {
  s3.destroy();
  await aws.close();
});

type Part = { PartNumber?: number; ETag?: string | undefined };

/** An upload that has begun, and what can be done with it. */
async function begin(Key: string, rest: Partial<CreateMultipartUploadCommandInput> = {}) {
  const { UploadId = "" } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...rest }));
  const upload = { Bucket, Key, UploadId };
  return {
    UploadId,
    async part(PartNumber: number, Body: Uint8Array): Promise<Part> {
      const { ETag } = await s3.send(new UploadPartCommand({ ...upload, PartNumber, Body }));
      return { PartNumber, ETag };
    },
    complete: (Parts: Part[], more: Partial<CompleteMultipartUploadCommandInput> = {}) =>
      s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, ...more })),
    abort: () => s3.send(new AbortMultipartUploadCommand(upload)),
    list: async () => (await s3.send(new ListPartsCommand(upload))).Parts ?? [],
  };
}

async function read(Key: string): Promise<Uint8Array> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
  return (await Body?.transformToByteArray()) ?? new Uint8Array();
}

const uploads = async (Prefix: string) =>
  (await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix }))).Uploads ?? [];
const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest();
const quoted = (digest: Buffer) => `"${digest.toString("hex")}"`;

test("parts in any order become one object", async () => {
  const [one, two, three] = [testBytes(1000, 1), testBytes(1500, 2), testBytes(1, 3)];
  const given = { Metadata: { a: "b" }, ContentType: "text/x", ServerSideEncryption: "AES256" } as const;
  const upload = await begin("whole", given);
  expect(await uploads("who")).toMatchObject([{ Key: "whole", UploadId: upload.UploadId }]);
  expect(await uploads("other")).toEqual([]);
  expect(await failure(() => read("whole"))).toEqual(["NoSuchKey", 404]);
  const last = await upload.part(10_000, three);
  await upload.part(1, testBytes(2000, 9));
  const first = await upload.part(1, one);
  const middle = await upload.part(7, two);
  expect([first.ETag, middle.ETag, last.ETag]).toEqual([one, two, three].map((part) => quoted(md5(part))));
  expect(await upload.list()).toMatchObject([
    { ...first, Size: 1000 },
    { ...middle, Size: 1500 },
    { ...last, Size: 1 },
  ]);
  const done = await upload.complete([first, middle, last], { MpuObjectSize: 2501 });
  const digests = Buffer.concat([one, two, three].map(md5));
  const ETag = `"${md5(digests).toString("hex")}-3"`;
  expect(done).toMatchObject({ Bucket, Key: "whole", ETag, ServerSideEncryption: "AES256" });
  expectBytes(await read("whole"), Buffer.concat([one, two, three]));
  const told = await s3.send(new HeadObjectCommand({ Bucket, Key: "whole" }));
  expect(told).toMatchObject({ ...given, ETag, ContentLength: 2501 });
  const across = await s3.send(new GetObjectCommand({ Bucket, Key: "whole", Range: "bytes=999-2500" }));
  expectBytes(
    (await across.Body?.transformToByteArray()) ?? one,
    Buffer.concat([one.subarray(999), two, three]),
  );
  expect(await uploads("who")).toEqual([]);
  expect(await failure(() => upload.complete([first]))).toEqual(["NoSuchUpload", 404]);
});

test("parts that are not listed are omitted from the object", async () => {
  const upload = await begin("subset");
  const first = await upload.part(1, testBytes(1000, 1));
  await upload.part(2, testBytes(1000, 2));
  const third = await upload.part(3, testBytes(1000, 3));
  expect((await upload.complete([first, third])).ETag).toMatch(/^"[0-9a-f]{32}-2"$/);
  expectBytes(await read("subset"), Buffer.concat([testBytes(1000, 1), testBytes(1000, 3)]));
});

test("AbortMultipartUpload removes the upload and its parts", async () => {
  const upload = await begin("aborted");
  const part = await upload.part(1, testBytes(1000));
  expect((await upload.abort()).$metadata.httpStatusCode).toBe(204);
  expect(await uploads("aborted")).toEqual([]);
  for (const act of [
    () => upload.part(2, testBytes(1)),
    () => upload.complete([part]),
    () => upload.list(),
    () => upload.abort(),
  ]) {
    expect(await failure(act)).toEqual(["NoSuchUpload", 404]);
  }
  expect(await failure(() => read("aborted"))).toEqual(["NoSuchKey", 404]);
});

test("an upload belongs to one key", async () => {
  const { UploadId, list } = await begin("mine");
  const other = { Bucket, Key: "other", UploadId };
  const act = () => s3.send(new UploadPartCommand({ ...other, PartNumber: 1, Body: "x" }));
  expect(await failure(act)).toEqual(["NoSuchUpload", 404]);
  expect(await failure(() => s3.send(new AbortMultipartUploadCommand(other)))).toEqual(["NoSuchUpload", 404]);
  expect(await list()).toEqual([]);
});

describe("part numbers", () => {
  test.each([0, 10_001, -1, 1.5])("%d is refused", async (number) => {
    const upload = await begin("numbers");
    expect(await failure(() => upload.part(number, testBytes(1)))).toEqual(["InvalidArgument", 400]);
    expect(await upload.list()).toEqual([]);
  });

  test.each(["", "x", "1e3"])("%j is refused", async (partNumber) => {
    const { UploadId, list } = await begin("numbers");
    const query = { uploadId: UploadId, partNumber };
    const raw = { method: "PUT", path: `/${Bucket}/numbers`, query, body: "x" };
    expect(await sendSigned(aws.s3Config, raw)).toMatchObject({ status: 400, code: "InvalidArgument" });
    expect(await list()).toEqual([]);
  });
});

describe("a refused CompleteMultipartUpload does not change the upload:", () => {
  const cases: [
    string,
    (parts: Part[]) => Part[],
    Partial<CompleteMultipartUploadCommandInput>,
    string,
    number,
  ][] = [
    ["a small part before the last", ([a = {}, b = {}, c = {}]) => [a, b, c], {}, "EntityTooSmall", 400],
    ["a wrong tag", ([a = {}, b]) => [{ ...a, ETag: b?.ETag }], {}, "InvalidPart", 400],
    ["a part that is not there", ([a = {}]) => [a, { ...a, PartNumber: 9 }], {}, "InvalidPart", 400],
    ["no tag", () => [{ PartNumber: 1 }], {}, "InvalidPart", 400],
    ["a wrong order", ([a = {}, b = {}]) => [b, a], {}, "InvalidPartOrder", 400],
    ["a part twice", ([a = {}]) => [a, a], {}, "InvalidPartOrder", 400],
    ["a size too small", ([a = {}]) => [a], { MpuObjectSize: 999 }, "InvalidRequest", 400],
    ["a size too large", ([a = {}]) => [a], { MpuObjectSize: 1001 }, "InvalidRequest", 400],
    ["no parts", () => [], {}, "MalformedXML", 400],
    ["an object that is there", ([a = {}]) => [a], { IfNoneMatch: "*" }, "PreconditionFailed", 412],
    ["another object", ([a = {}]) => [a], { IfMatch: '"a"' }, "PreconditionFailed", 412],
    ["another upload", ([a = {}]) => [a], { UploadId: "none" }, "NoSuchUpload", 404],
  ];
  test.each(cases)("%s", async (_, choose, more, name, status) => {
    await s3.send(new PutObjectCommand({ Bucket, Key: "refused", Body: "before" }));
    const upload = await begin("refused");
    const parts = [
      await upload.part(1, testBytes(1000, 1)),
      await upload.part(2, testBytes(999, 2)),
      await upload.part(3, testBytes(1000, 3)),
    ];
    expect(await failure(() => upload.complete(choose(parts), more))).toEqual([name, status]);
    expectBytes(await read("refused"), Buffer.from("before"));
    expect(await upload.list()).toMatchObject(parts);
    await upload.complete(parts.slice(0, 2));
    expectBytes(await read("refused"), Buffer.concat([testBytes(1000, 1), testBytes(999, 2)]));
  });

  test("If-Match on a key with no object", async () => {
    const upload = await begin("nothing-here");
    const part = await upload.part(1, testBytes(1));
    expect(await failure(() => upload.complete([part], { IfMatch: '"a"' }))).toEqual(["NoSuchKey", 404]);
    await upload.complete([part], { IfNoneMatch: "*" });
    expectBytes(await read("nothing-here"), testBytes(1));
  });

  const tag = "<ETag>&quot;x&quot;</ETag>";
  const root = (text: string) => `<CompleteMultipartUpload>${text}</CompleteMultipartUpload>`;
  test.each([
    ["nothing", ""],
    ["no XML", "{}"],
    ["another root", `<Complete><Part><PartNumber>1</PartNumber>${tag}</Part></Complete>`],
    ["an open element", root(`<Part><PartNumber>1</PartNumber>${tag}`)],
    ["text between the parts", root(`<Part><PartNumber>1</PartNumber>${tag}</Part>text`)],
    ["text in a part", root(`<Part>text<PartNumber>1</PartNumber>${tag}</Part>`)],
    ["no part number", root(`<Part>${tag}</Part>`)],
    ["a part number that is none", root(`<Part><PartNumber>one</PartNumber>${tag}</Part>`)],
  ])("XML: %s", async (_, body) => {
    const { UploadId, list } = await begin("xml");
    const raw = { method: "POST", path: `/${Bucket}/xml`, query: { uploadId: UploadId }, body };
    expect(await sendSigned(aws.s3Config, raw)).toMatchObject({ status: 400, code: "MalformedXML" });
    expect(await list()).toEqual([]);
  });

  test.each([
    [
      "a declaration, a namespace, blanks",
      (etag: string) =>
        `<?xml version="1.0"?>\n<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
        <Part> <ETag>&quot;${etag}&#34;</ETag> <PartNumber>1</PartNumber> </Part>\n</CompleteMultipartUpload>\n`,
    ],
    [
      "a tag without quotes",
      (etag: string) => root(`<Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part>`),
    ],
  ])("but this XML is accepted: %s", async (_, xml) => {
    const upload = await begin("xml");
    const { ETag = "" } = await upload.part(1, testBytes(10));
    const query = { uploadId: upload.UploadId };
    const raw = { method: "POST", path: `/${Bucket}/xml`, query, body: xml(ETag.slice(1, -1)) };
    expect(await sendSigned(aws.s3Config, raw)).toMatchObject({ status: 200 });
    expectBytes(await read("xml"), testBytes(10));
  });
});

test("an upload needs a bucket, metadata that fits, and a key that fits", async () => {
  const create = (rest: Partial<CreateMultipartUploadCommandInput>) =>
    failure(() => s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "unborn", ...rest })));
  expect(await create({ Bucket: "no-such-bucket" })).toEqual(["NoSuchBucket", 404]);
  expect(await create({ Metadata: { a: "x".repeat(2048) } })).toEqual(["MetadataTooLarge", 400]);
  expect(await create({ Key: `unborn${"x".repeat(1024)}` })).toEqual(["KeyTooLongError", 400]);
  expect(await create({ ACL: "public-read" })).toEqual(["NotImplemented", 501]);
  expect(await uploads("unborn")).toEqual([]);
});

test("parts are listed in pages, of 1,000 at most", async () => {
  const { UploadId } = await begin("paged");
  const upload = { Bucket, Key: "paged", UploadId };
  const numbers = [10_000, 7, 1, ...Array.from({ length: 1000 }, (_, index) => index + 100)];
  for (const PartNumber of numbers)
    await s3.send(new UploadPartCommand({ ...upload, PartNumber, Body: "x" }));
  const expected = numbers.sort((left, right) => left - right);
  const first = await s3.send(new ListPartsCommand(upload));
  expect(first).toMatchObject({ IsTruncated: true, MaxParts: 1000, NextPartNumberMarker: "1097" });
  expect(first.Parts?.map(({ PartNumber }) => PartNumber)).toEqual(expected.slice(0, 1000));
  const pages = paginateListParts({ client: s3, pageSize: 400 }, upload);
  const found = [];
  for await (const { Parts = [] } of pages) found.push(Parts.map(({ PartNumber }) => PartNumber));
  expect(found.map((page) => page.length)).toEqual([400, 400, 203]);
  expect(found.flat()).toEqual(expected);
  const bad = new ListPartsCommand({ ...upload, PartNumberMarker: "x" });
  expect(await failure(() => s3.send(bad))).toEqual(["InvalidArgument", 400]);
});

test("uploads are listed in pages, by key", async () => {
  const keys = ["page/b", "page/a", "page/b", "page/c", "page/b"];
  for (const Key of keys) await begin(Key);
  const found = [];
  const list = { Bucket, Prefix: "page/", MaxUploads: 2 };
  let markers = {};
  for (let page = 0; page < 3; page++) {
    const {
      Uploads = [],
      IsTruncated,
      NextKeyMarker,
      NextUploadIdMarker,
    } = await s3.send(new ListMultipartUploadsCommand({ ...list, ...markers }));
    found.push(...Uploads);
    expect(IsTruncated).toBe(page < 2);
    markers = { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker };
  }
  expect(found.map(({ Key }) => Key)).toEqual([...keys].sort());
  expect(new Set(found.map(({ UploadId }) => UploadId)).size).toBe(5);
  const after = await s3.send(
    new ListMultipartUploadsCommand({ Bucket, Prefix: "page/", KeyMarker: "page/b" }),
  );
  expect(after.Uploads?.map(({ Key }) => Key)).toEqual(["page/c"]);
});

test("parts have at least 5 MiB by default, and Upload of lib-storage works", async () => {
  await using strict = await startLocalAws();
  const client = new S3Client({ ...strict.s3Config, maxAttempts: 1 });
  const partSize = 5 * 1024 * 1024;
  const Body = testBytes(partSize + 1);
  await new Upload({ client, partSize, params: { Bucket, Key: "upload", Body } }).done();
  const got = await client.send(new GetObjectCommand({ Bucket, Key: "upload" }));
  expect(got.ETag).toMatch(/-2"$/);
  expectBytes((await got.Body?.transformToByteArray()) ?? new Uint8Array(), Body);
  const target = { Bucket, Key: "small" };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(target));
  const Parts = [];
  for (const [PartNumber, length] of [
    [1, partSize - 1],
    [2, 1],
  ] as const) {
    const part = { ...target, UploadId, PartNumber, Body: Body.subarray(0, length) };
    const { ETag } = await client.send(new UploadPartCommand(part));
    Parts.push({ PartNumber, ETag });
  }
  const complete = new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } });
  expect(await failure(() => client.send(complete))).toEqual(["EntityTooSmall", 400]);
  client.destroy();
});

test("discardBodies counts parts and stores none", async () => {
  await using discarding = await startLocalAws({ discardBodies: true, minPartBytes });
  const target = { Bucket, Key: "discarded" };
  const { UploadId } = await discarding.s3.send(new CreateMultipartUploadCommand(target));
  const Parts = [];
  for (const PartNumber of [1, 2]) {
    const part = { ...target, UploadId, PartNumber, Body: testBytes(1000, PartNumber) };
    const { ETag } = await discarding.s3.send(new UploadPartCommand(part));
    expect(ETag).toBe(quoted(md5(part.Body)));
    Parts.push({ PartNumber, ETag });
  }
  const given = { ...target, UploadId, MultipartUpload: { Parts }, MpuObjectSize: 2000 };
  await discarding.s3.send(new CompleteMultipartUploadCommand(given));
  expect(await discarding.s3.send(new HeadObjectCommand(target))).toMatchObject({ ContentLength: 2000 });
  expect(await failure(() => discarding.s3.send(new GetObjectCommand(target)))).toEqual([
    "NotImplemented",
    501,
  ]);
});
