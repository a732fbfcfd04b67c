/** Objects and listings of the in-process S3, through the SDK's own client. */
import { createHash } from "node:crypto";
import { createConnection } from "node:net";
import { Readable } from "node:stream";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectAclCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  PutObjectAclCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { unsupportedCondition } from "../../src/testing/s3/request/supported.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { failure } from "../support/errors.js";
import { sendSigned, signedHeaders } from "./raw.js";

const Bucket = "test-bucket";
const bytes = testBytes(1000, 3);
const etag = `"${createHash("md5").update(bytes).digest("hex")}"`;

let aws: LocalAws;
let s3: S3Client;
beforeAll(async () => {
  aws = await startLocalAws({ buckets: [Bucket, "listed"] });
  s3 = new S3Client({ ...aws.s3Config, maxAttempts: 1 });
  await put({ Key: "read" });
});
afterAll(async () => {
  s3.destroy();
  await aws.close();
});

const put = (rest: Partial<PutObjectCommandInput>) =>
  s3.send(new PutObjectCommand({ Bucket, Key: "key", Body: bytes, ...rest }));
const head = (rest: Partial<GetObjectCommandInput> = {}) =>
  s3.send(new HeadObjectCommand({ Bucket, Key: "read", ...rest }));
async function get(rest: Partial<GetObjectCommandInput> = {}) {
  const answer = await s3.send(new GetObjectCommand({ Bucket, Key: "read", ...rest }));
  return { ...answer, body: (await answer.Body?.transformToByteArray()) ?? new Uint8Array() };
}

describe("objects of the in-process S3", () => {
  test.each([0, 1, 1000, 100_000])("of %d bytes are put, read and deleted", async (length) => {
    const Key = `object-${length}`;
    const Body = testBytes(length, length);
    const ETag = `"${createHash("md5").update(Body).digest("hex")}"`;
    expect((await put({ Key, Body })).ETag).toBe(ETag);
    const read = await get({ Key });
    expectBytes(read.body, Body);
    for (const answer of [read, await head({ Key })]) {
      expect(answer).toMatchObject({ ETag, ContentLength: length, AcceptRanges: "bytes" });
      expect(Math.abs(Date.now() - (answer.LastModified?.getTime() ?? 0))).toBeLessThan(3_600_000);
    }
    const gone = await s3.send(new DeleteObjectCommand({ Bucket, Key }));
    expect(gone.$metadata.httpStatusCode).toBe(204);
    expect(await failure(() => get({ Key }))).toEqual(["NoSuchKey", 404]);
    expect(await failure(() => head({ Key }))).toEqual(["NotFound", 404]);
    await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  });

  test("are replaced whole by a second put", async () => {
    await put({ Key: "twice", Metadata: { one: "1" }, ContentType: "text/plain" });
    await put({ Key: "twice", Body: "second" });
    const { body, Metadata, ContentType } = await get({ Key: "twice" });
    expectBytes(body, Buffer.from("second"));
    expect([Metadata, ContentType]).toEqual([{}, "application/octet-stream"]);
  });

  test("are returned with their headers and metadata", async () => {
    const kept = {
      ContentType: "text/x-test; charset=utf-8",
      CacheControl: "max-age=60",
      ContentDisposition: 'attachment; filename="a b"',
      ContentLanguage: "de",
      ContentEncoding: "identity",
      ServerSideEncryption: "aws:kms",
      SSEKMSKeyId: "alias/some",
      Metadata: { "x-key": "a value,  with blanks", empty: "", json: '{"a":"b"}', upper: "UPPER" },
    } as const;
    const answer = await put({ Key: "headers", ...kept });
    expect(answer).toMatchObject({ ServerSideEncryption: "aws:kms", SSEKMSKeyId: "alias/some" });
    expect(await head({ Key: "headers" })).toMatchObject(kept);
    const read = await get({
      Key: "headers",
      ResponseContentType: "text/html",
      ResponseCacheControl: "no-store",
    });
    expect(read).toMatchObject({ ...kept, ContentType: "text/html", CacheControl: "no-store" });
  });

  test("have up to 2,048 bytes of metadata, names and values counted", async () => {
    const Metadata = { ab: "x".repeat(1000), cde: "y".repeat(2048 - 1000 - 5) };
    await put({ Key: "metadata", Metadata });
    expect((await head({ Key: "metadata" })).Metadata).toEqual(Metadata);
    const more = { ...Metadata, ab: `${Metadata.ab}x` };
    expect(await failure(() => put({ Key: "metadata", Metadata: more }))).toEqual(["MetadataTooLarge", 400]);
    expect((await head({ Key: "metadata" })).Metadata).toEqual(Metadata);
  });

  test("are returned with non-ASCII metadata in encoded words, as S3 does", async () => {
    // The example of the S3 documentation: UTF-8, each byte taken for a character.
    const value = Buffer.from("ÄMÄZÕÑ S3").toString("latin1");
    const path = `/${Bucket}/words`;
    const headers = { "x-amz-meta-nonascii": value, "x-amz-meta-ascii": "=?~" };
    expect(await sendSigned(aws.s3Config, { method: "PUT", path, headers })).toMatchObject({ status: 200 });
    const nonascii = "=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=";
    expect((await head({ Key: "words" })).Metadata).toEqual({ nonascii, ascii: "=?~" });
  });

  test("are returned with the headers that the reader overrides, as far as headers can carry them", async () => {
    const read = (query: Record<string, string>) =>
      sendSigned(aws.s3Config, { path: `/${Bucket}/read`, query });
    const names = ["cache-control", "disposition", "encoding", "language", "type"].map((name, index) =>
      index === 0 ? name : `content-${name}`,
    );
    for (const name of [...names, "expires"]) {
      expect((await read({ [`response-${name}`]: "some-value" })).headers[name]).toBe("some-value");
      for (const value of ["a\r\nb:c", "a\u0100"]) {
        const refused = { status: 400, code: "InvalidArgument" };
        expect(await read({ [`response-${name}`]: value })).toMatchObject(refused);
      }
    }
    for (const name of ["response-etag", "response-content-length", "response-x-amz-meta-a"]) {
      expect(await read({ [name]: "1" })).toMatchObject({ status: 501, code: "NotImplemented" });
    }
  });

  test("are returned without the MD5 trailer that the SDK for Java offers to accept", async () => {
    const offer = { path: `/${Bucket}/read`, headers: { "x-amz-te": "append-md5" } };
    const plain = await sendSigned(aws.s3Config, { path: offer.path });
    const answer = await sendSigned(aws.s3Config, offer);
    expect([answer.status, answer.text]).toEqual([200, plain.text]);
    expect(answer.headers["x-amz-transfer-encoding"]).toBe(undefined);
  });

  test("are not found by a path that is badly encoded", async () => {
    for (const path of [`/${Bucket}/%zz`, `/${Bucket}/%ff`, "/%/k", `/${Bucket}/%E0%A4%A`]) {
      for (const method of ["GET", "PUT"]) {
        const raw = await sendSigned(aws.s3Config, { method, path });
        expect(raw).toMatchObject({ status: 400, code: "InvalidURI" });
      }
    }
  });

  test("have keys of up to 1024 bytes", async () => {
    const Key = "ä".repeat(512);
    await put({ Key });
    expectBytes((await get({ Key })).body, bytes);
    expect(await failure(() => put({ Key: `${Key}x` }))).toEqual(["KeyTooLongError", 400]);
  });

  test("are absent after an interrupted PutObject", async () => {
    const Key = "broken";
    const body = testBytes(100_000);
    const path = `/${Bucket}/${Key}`;
    const headers = await signedHeaders(aws.s3Config, { method: "PUT", path, body });
    const { hostname, port } = new URL(aws.s3Config.endpoint);
    aws.clearRequests();
    const socket = createConnection({ host: hostname, port: Number(port) });
    const lines = Object.entries({ ...headers, "content-length": "100000" });
    socket.write(
      `PUT ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
    );
    socket.write(body.subarray(0, 50_000));
    await expect.poll(() => aws.requests.map(({ operation }) => operation)).toEqual(["PutObject"]);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.destroy();
    await closed;
    await expect.poll(() => aws.s3Connections()).toBeLessThanOrEqual(1);
    expect(await failure(() => get({ Key }))).toEqual(["NoSuchKey", 404]);
    expect(aws.requests[0]).toMatchObject({ operation: "PutObject", status: 0 });
    // The same request, whole, is good.
    expect(await sendSigned(aws.s3Config, { method: "PUT", path, body })).toMatchObject({ status: 200 });
  });
});

describe("ranges of GetObject", () => {
  test.each([
    ["bytes=0-0", 0, 1],
    ["bytes=0-99", 0, 100],
    ["bytes=100-199", 100, 200],
    ["bytes=999-999", 999, 1000],
    ["bytes=900-", 900, 1000],
    ["bytes=0-", 0, 1000],
    ["bytes=-1", 999, 1000],
    ["bytes=-100", 900, 1000],
    ["bytes=-5000", 0, 1000],
    ["bytes=990-5000", 990, 1000],
  ])("%s", async (Range, start, end) => {
    const read = await get({ Range });
    expectBytes(read.body, bytes.subarray(start, end));
    for (const answer of [read, await head({ Range })]) {
      expect(answer).toMatchObject({
        ContentLength: end - start,
        ContentRange: `bytes ${start}-${end - 1}/1000`,
      });
      expect(answer.$metadata.httpStatusCode).toBe(206);
      expect(answer.ETag).toBe(etag);
    }
  });

  test.each(["bytes=5-4", "bytes=-", "bytes=1", "bytes=0-1,3-4", "items=0-1"])(
    "%s is no range, and the whole object comes",
    async (Range) => {
      const { body, ContentRange, $metadata } = await get({ Range });
      expectBytes(body, bytes);
      expect([ContentRange, $metadata.httpStatusCode]).toEqual([undefined, 200]);
    },
  );

  test.each([
    ["read", "bytes=1000-", 1000],
    ["read", "bytes=1000-1001", 1000],
    ["read", "bytes=-0", 1000],
    ["empty", "bytes=0-", 0],
    ["empty", "bytes=0-0", 0],
    ["empty", "bytes=-1", 0],
  ])("of %s, %s is refused", async (key, range, size) => {
    await put({ Key: "empty", Body: new Uint8Array(0) });
    expect(await failure(() => get({ Key: key, Range: range }))).toEqual(["InvalidRange", 416]);
    const raw = await sendSigned(aws.s3Config, { path: `/${Bucket}/${key}`, headers: { range } });
    expect(raw).toMatchObject({ status: 416, code: "InvalidRange" });
    expect(raw.headers["content-range"]).toBe(`bytes */${size}`);
  });
});

describe("conditions of reads", () => {
  const before = new Date(Date.now() - 3_600_000);
  const after = new Date(Date.now() + 3_600_000);
  const cases: [string, Partial<GetObjectCommandInput>, number][] = [
    ["If-Match with the tag", { IfMatch: etag }, 200],
    ["If-Match without quotes", { IfMatch: etag.slice(1, -1) }, 200],
    ["If-Match with a list", { IfMatch: `"a", ${etag}` }, 200],
    ["If-Match *", { IfMatch: "*" }, 200],
    ["If-Match with another tag", { IfMatch: '"a"' }, 412],
    ["If-None-Match with the tag", { IfNoneMatch: etag }, 304],
    ["If-None-Match *", { IfNoneMatch: "*" }, 304],
    ["If-None-Match with another tag", { IfNoneMatch: '"a"' }, 200],
    ["both, and the first fails", { IfMatch: '"a"', IfNoneMatch: etag }, 412],
    ["If-Modified-Since before", { IfModifiedSince: before }, 200],
    ["If-Modified-Since after", { IfModifiedSince: after }, 304],
    ["If-Unmodified-Since before", { IfUnmodifiedSince: before }, 412],
    ["If-Unmodified-Since after", { IfUnmodifiedSince: after }, 200],
    ["If-Match before If-Unmodified-Since", { IfMatch: etag, IfUnmodifiedSince: before }, 200],
    ["If-None-Match before If-Modified-Since", { IfNoneMatch: '"a"', IfModifiedSince: after }, 200],
  ];
  test.each(cases)("%s", async (_, given, status) => {
    if (status === 200) {
      expectBytes((await get(given)).body, bytes);
      expect((await head(given)).ETag).toBe(etag);
      return;
    }
    const [name, answered] = await failure(() => get(given));
    expect(answered).toBe(status);
    if (status === 412) expect(name).toBe("PreconditionFailed");
    expect((await failure(() => head(given)))[1]).toBe(status);
  });

  test("a 304 response has the ETag and no body", async () => {
    const path = `/${Bucket}/read`;
    const raw = await sendSigned(aws.s3Config, { path, headers: { "if-none-match": etag } });
    expect([raw.status, raw.headers.etag, raw.text]).toEqual([304, etag, ""]);
  });
});

test.each([
  ["If-None-Match * on nothing", false, { IfNoneMatch: "*" }, undefined],
  ["If-None-Match * on an object", true, { IfNoneMatch: "*" }, ["PreconditionFailed", 412]],
  ["If-None-Match with a tag", false, { IfNoneMatch: '"a"' }, ["NotImplemented", 501]],
  ["If-Match on nothing", false, { IfMatch: etag }, ["NoSuchKey", 404]],
  ["If-Match with the tag", true, { IfMatch: etag }, undefined],
  ["If-Match with another tag", true, { IfMatch: '"a"' }, ["PreconditionFailed", 412]],
])("conditions of writes: %s", async (_, exists, given, expected) => {
  const Key = "conditional";
  await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  if (exists) await put({ Key });
  const write = () => put({ Key, Body: "new", ...given });
  if (expected) expect(await failure(write)).toEqual(expected);
  else await write();
  if (expected && !exists) expect(await failure(() => get({ Key }))).toEqual(["NoSuchKey", 404]);
  else expectBytes((await get({ Key })).body, expected ? bytes : Buffer.from("new"));
});

describe("conditions that an operation does not have", () => {
  const all = [
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "content-range",
    "x-amz-copy-source-if-match",
  ];
  const [match, none, modified, unmodified, , , source] = all;
  test.each([
    ["GetObject", [match, none, modified, unmodified]],
    ["HeadObject", [match, none, modified, unmodified]],
    ["PutObject", [match, none]],
    ["CompleteMultipartUpload", [match, none]],
    ["CopyObject", [match, none, source]],
    ["UploadPartCopy", [source]],
    ["DeleteObject", [match]],
    ["UploadPart", []],
    ["CreateMultipartUpload", []],
    ["DeleteObjects", []],
    ["constructor", []],
  ])("are refused: %s", (operation, taken) => {
    for (const name of all) {
      const refused = unsupportedCondition(operation, { host: "a", range: "bytes=0-1", [name]: "*" });
      expect(refused, name).toBe(taken.includes(name) ? undefined : name);
    }
  });
});

test("a write whose condition fails while its body arrives is refused", async () => {
  const Key = "overtaken";
  aws.clearRequests();
  let release = () => {};
  const overtaken = new Promise<void>((resolve) => {
    release = resolve;
  });
  const piece = testBytes(10_000);
  async function* body() {
    yield piece;
    await overtaken;
    yield piece;
  }
  const slow = failure(() =>
    put({ Key, IfNoneMatch: "*", Body: Readable.from(body()), ContentLength: 2 * piece.length }),
  );
  await expect.poll(() => aws.requests.length).toBe(1);
  await put({ Key, Body: "first" });
  release();
  expect(await slow).toEqual(["PreconditionFailed", 412]);
  expectBytes((await get({ Key })).body, Buffer.from("first"));
});

test("one of three concurrent writes with If-None-Match * wins", async () => {
  const write = () => put({ Key: "race", IfNoneMatch: "*", Body: testBytes(200_000) });
  const outcomes = await Promise.allSettled([write(), write(), write()]);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
});

describe("buckets", () => {
  test("that do not exist are NoSuchBucket", async () => {
    const none = { Bucket: "no-such-bucket" };
    for (const act of [
      () => put(none),
      () => get(none),
      () => s3.send(new DeleteObjectCommand({ ...none, Key: "key" })),
      () => s3.send(new ListObjectsV2Command(none)),
    ]) {
      expect(await failure(act)).toEqual(["NoSuchBucket", 404]);
    }
    expect(await failure(() => s3.send(new HeadBucketCommand(none)))).toEqual(["NotFound", 404]);
  });

  test("can be created", async () => {
    const made = { Bucket: "made-later" };
    await s3.send(new CreateBucketCommand(made));
    await s3.send(new HeadBucketCommand(made));
    await put(made);
    expectBytes((await get({ ...made, Key: "key" })).body, bytes);
    const again = () => s3.send(new CreateBucketCommand(made));
    expect(await failure(again)).toEqual(["BucketAlreadyOwnedByYou", 409]);
    const bad = () => s3.send(new CreateBucketCommand({ Bucket: "No_Name" }));
    expect(await failure(bad)).toEqual(["InvalidBucketName", 400]);
  });
});

describe("ListObjectsV2", () => {
  const keys = [
    "a",
    "a&b <c>",
    "a/",
    "a/1",
    "a/2/x",
    "a/2/y",
    "b/1",
    "b/2",
    "c d",
    "z",
    "\uff5e",
    "\u{1f600}",
  ];
  beforeAll(async () => {
    for (const Key of [...keys].reverse()) await put({ Bucket: "listed", Key, Body: Key });
  });
  const list = (rest: Partial<ListObjectsV2CommandInput> = {}) =>
    s3.send(new ListObjectsV2Command({ Bucket: "listed", ...rest }));
  async function names(rest: Partial<ListObjectsV2CommandInput>): Promise<string[]> {
    const { Contents = [], CommonPrefixes = [] } = await list(rest);
    return [...Contents.map(({ Key = "" }) => Key), ...CommonPrefixes.map(({ Prefix = "" }) => `${Prefix}*`)];
  }

  test("lists each object in the order of the keys' bytes", async () => {
    const { Contents = [], KeyCount, IsTruncated, Name } = await list();
    expect(Contents.map(({ Key }) => Key)).toEqual(keys);
    expect([KeyCount, IsTruncated, Name]).toEqual([keys.length, false, "listed"]);
    expect(Contents.map(({ Size }) => Size)).toEqual(keys.map((key) => Buffer.byteLength(key)));
    expect(Contents[0]?.ETag).toBe(`"${createHash("md5").update("a").digest("hex")}"`);
  });

  test.each([
    [{ Prefix: "a/" }, ["a/", "a/1", "a/2/x", "a/2/y"]],
    [{ Prefix: "nothing" }, []],
    [{ Delimiter: "/" }, ["a", "a&b <c>", "c d", "z", "\uff5e", "\u{1f600}", "a/*", "b/*"]],
    [{ Prefix: "a/", Delimiter: "/" }, ["a/", "a/1", "a/2/*"]],
    [{ Prefix: "a/2", Delimiter: "/" }, ["a/2/*"]],
    [{ StartAfter: "b/1" }, ["b/2", "c d", "z", "\uff5e", "\u{1f600}"]],
    [{ StartAfter: "\uff5e" }, ["\u{1f600}"]],
    [{ StartAfter: "a/1", Prefix: "a/" }, ["a/2/x", "a/2/y"]],
    [{ MaxKeys: 2 }, ["a", "a&b <c>"]],
    [{ MaxKeys: 0 }, []],
  ])("with %j", async (given, expected) => {
    expect(await names(given)).toEqual(expected);
  });

  test.each([1, 2, 3, 5, 12, 1000])("loses and repeats nothing in pages of %d", async (MaxKeys) => {
    for (const given of [{}, { Delimiter: "/" }, { Prefix: "a/", Delimiter: "/" }]) {
      const found: string[] = [];
      let ContinuationToken: string | undefined;
      do {
        const page = { ...given, MaxKeys, ...(ContinuationToken !== undefined && { ContinuationToken }) };
        const { IsTruncated, NextContinuationToken, KeyCount = 0 } = await list(page);
        found.push(...(await names(page)));
        expect(KeyCount).toBeLessThanOrEqual(MaxKeys);
        expect(NextContinuationToken !== undefined).toBe(IsTruncated);
        ContinuationToken = NextContinuationToken;
      } while (ContinuationToken !== undefined);
      expect(found.sort()).toEqual((await names(given)).sort());
    }
  });

  test("is not truncated if there are no keys", async () => {
    expect(await list({ MaxKeys: 0 })).toMatchObject({ IsTruncated: false, KeyCount: 0 });
  });

  test.each(["-1", "x", "1.5"])("refuses max-keys %j", async (maxKeys) => {
    const query = { "list-type": "2", "max-keys": maxKeys };
    const raw = await sendSigned(aws.s3Config, { path: "/listed", query });
    expect(raw).toMatchObject({ status: 400, code: "InvalidArgument" });
  });
});

describe("an unsupported request is refused and has no effect", () => {
  const target = { Bucket, Key: "not-implemented" };
  const cases: [string, () => Promise<unknown>][] = [
    ["GetObjectAcl", () => s3.send(new GetObjectAclCommand({ Bucket, Key: "read" }))],
    ["PutObjectAcl", () => s3.send(new PutObjectAclCommand({ ...target, ACL: "private" }))],
    ["an ACL header", () => put({ ...target, ACL: "public-read" })],
  ];
  test.each([
    ["x-amz-grant-read", 'id="1"'],
    ["x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z"],
    ["x-amz-write-offset-bytes", "0"],
    ["x-amz-mfa", "1 2"],
    ["x-amz-if-match-size", "1"],
    ["x-amz-what-is-to-come", "1"],
  ])("the header %s", async (name, value) => {
    const path = `/${Bucket}/${target.Key}`;
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await sendSigned(aws.s3Config, { method, path, headers: { [name]: value } });
      expect(answer, method).toMatchObject({ status: 501, code: "NotImplemented" });
      expect(answer.text).toContain(name);
    }
    expect(await failure(() => get(target))).toEqual(["NoSuchKey", 404]);
  });

  test.each(cases)("%s", async (_, act) => {
    expect(await failure(act)).toEqual(["NotImplemented", 501]);
    expect(await failure(() => get(target))).toEqual(["NoSuchKey", 404]);
  });

  test("PATCH", async () => {
    const raw = await sendSigned(aws.s3Config, { method: "PATCH", path: `/${Bucket}/read` });
    expect(raw).toMatchObject({ status: 501, code: "NotImplemented" });
    expect(aws.requests.at(-1)?.operation).toBe("Unknown");
  });
});

test("discardBodies counts and verifies bodies, stores none, and refuses reads", async () => {
  await using discarding = await startLocalAws({ discardBodies: true });
  const client = new S3Client({ ...discarding.s3Config, maxAttempts: 1 });
  const write = (rest: Partial<PutObjectCommandInput>) =>
    client.send(new PutObjectCommand({ Bucket, Key: "key", Body: bytes, ...rest }));
  expect((await write({})).ETag).toBe(etag);
  const told = await client.send(new HeadObjectCommand({ Bucket, Key: "key" }));
  expect(told).toMatchObject({ ContentLength: 1000, ETag: etag });
  expect(await failure(() => write({ ChecksumCRC32: "AAAAAA==" }))).toEqual(["BadDigest", 400]);
  const read = () => client.send(new GetObjectCommand({ Bucket, Key: "key" }));
  expect(await failure(read)).toEqual(["NotImplemented", 501]);
  client.destroy();
});

test("S3 requests are recorded without customer-provided keys", async () => {
  aws.clearRequests();
  const SSECustomerKey = Buffer.alloc(32, 7).toString("base64");
  await put({ Key: "own key", SSECustomerAlgorithm: "AES256", SSECustomerKey });
  expect(aws.requests[0]?.headers).toHaveProperty("x-amz-server-side-encryption-customer-key-md5");
  expect(JSON.stringify(aws.requests)).not.toContain(SSECustomerKey);
});

test("S3 requests are recorded without the authorization", async () => {
  aws.clearRequests();
  await get({ Key: "read", Range: "bytes=0-1", ResponseContentType: "a/b c" });
  expect(aws.requests).toHaveLength(1);
  expect(aws.requests[0]).toMatchObject({
    service: "s3",
    operation: "GetObject",
    method: "GET",
    path: `/${Bucket}/read`,
    query: { "response-content-type": "a/b c" },
    headers: { range: "bytes=0-1" },
    status: 206,
  });
  expect(JSON.stringify(aws.requests)).not.toMatch(/AWS4-HMAC-SHA256|authorization/i);
});
