/** The in-process S3 on a folder: what is found after a restart, and what a process that dies leaves. */
import { randomUUID } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";
import { Bucket } from "../support/local.js";
import { steady } from "../support/until.js";

const bytes = testBytes(300_000, 9);
let directory: string;
let aws: LocalAws;

const start = async () => {
  aws = await startLocalAws({ directory, minPartBytes: 1 });
};
const restart = async () => {
  await aws.close();
  await start();
};
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "s3-envelope-"));
  await start();
});
afterEach(async () => {
  await aws.close();
  rmSync(directory, { recursive: true });
});

const put = (Key: string, Body: Uint8Array = bytes) =>
  aws.s3.send(new PutObjectCommand({ Bucket, Key, Body, Metadata: { a: "b" }, Tagging: "c=d" }));
async function read(Key: string, rest: { Range?: string; VersionId?: string } = {}): Promise<Buffer> {
  const { Body } = await aws.s3.send(new GetObjectCommand({ Bucket, Key, ...rest }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}
const files = (folder: string) => readdirSync(join(directory, folder));

async function begin(Key: string) {
  const { UploadId } = await aws.s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const upload = { Bucket, Key, UploadId };
  const part = async (PartNumber: number, Body: Uint8Array) => {
    const { ETag } = await aws.s3.send(new UploadPartCommand({ ...upload, PartNumber, Body }));
    return { PartNumber, ETag };
  };
  const complete = (Parts: { PartNumber: number; ETag: string | undefined }[]) =>
    aws.s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
  return { upload, part, complete };
}

test("a directory keeps objects with their headers, metadata and tags over a restart", async () => {
  await put("kept");
  const head = () => aws.s3.send(new HeadObjectCommand({ Bucket, Key: "kept", ChecksumMode: "ENABLED" }));
  const { $metadata: _before, ...before } = await head();
  await restart();
  const { $metadata: _after, ...after } = await head();
  expect(after).toEqual(before);
  expect(before).toMatchObject({ Metadata: { a: "b" }, ContentLength: bytes.length });
  expect((await read("kept")).equals(bytes)).toBe(true);
  expect((await read("kept", { Range: "bytes=99999-200000" })).equals(bytes.subarray(99_999, 200_001))).toBe(
    true,
  );
  const { TagSet } = await aws.s3.send(new GetObjectTaggingCommand({ Bucket, Key: "kept" }));
  expect(TagSet).toEqual([{ Key: "c", Value: "d" }]);
});

test("a directory keeps versions and delete markers in order over a restart", async () => {
  const VersioningConfiguration = { Status: "Enabled" } as const;
  await aws.s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  const { VersionId } = await put("v", Buffer.from("one"));
  await put("v", Buffer.from("two"));
  await aws.s3.send(new DeleteObjectCommand({ Bucket, Key: "v" }));
  const list = async () => {
    const { Versions, DeleteMarkers } = await aws.s3.send(new ListObjectVersionsCommand({ Bucket }));
    return { Versions, DeleteMarkers };
  };
  const before = await list();
  expect(before.Versions).toHaveLength(2);
  await restart();
  expect(await list()).toEqual(before);
  expect((await read("v", { VersionId })).toString()).toBe("one");
});

test("a directory keeps an unfinished upload over a restart", async () => {
  const { upload, part, complete } = await begin("resumed");
  const first = await part(1, bytes.subarray(0, 1000));
  await restart();
  const { Parts } = await aws.s3.send(new ListPartsCommand(upload));
  expect(Parts?.map(({ PartNumber, ETag, Size }) => [PartNumber, ETag, Size])).toEqual([
    [1, first.ETag, 1000],
  ]);
  await complete([first, await part(2, bytes.subarray(1000))]);
  expect((await read("resumed")).equals(bytes)).toBe(true);
  await restart();
  expect((await read("resumed", { Range: "bytes=990-1010" })).equals(bytes.subarray(990, 1011))).toBe(true);
  expect((await aws.s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads).toBeUndefined();
});

test("a directory keeps no file of replaced, deleted, aborted or omitted bytes", async () => {
  await put("k");
  await put("k");
  expect(files("data")).toHaveLength(1);
  const { upload, part, complete } = await begin("k");
  const unused = await part(3, bytes);
  await part(1, Buffer.from("first try"));
  await complete([await part(1, bytes)]);
  expect(unused.PartNumber).toBe(3);
  expect(files("data")).toHaveLength(1);
  const aborted = await begin("aborted");
  await aborted.part(1, bytes);
  await aws.s3.send(new AbortMultipartUploadCommand(aborted.upload));
  expect((await errorOf(() => aws.s3.send(new ListPartsCommand(upload)))).name).toBe("NoSuchUpload");
  await aws.s3.send(new DeleteObjectCommand({ Bucket, Key: "k" }));
  for (const folder of ["data", "versions", "uploads", "parts"]) expect(files(folder), folder).toEqual([]);
});

test("a start removes what a process that died had begun", async () => {
  await put("kept");
  await aws.close();
  const [data] = files("data");
  writeFileSync(join(directory, "data", randomUUID()), "half a body");
  writeFileSync(join(directory, "versions", "000000000099.json.new"), '{"bucket":"test-b');
  writeFileSync(
    join(directory, "parts", "gone.1.json"),
    JSON.stringify({ id: "gone", number: 1, extent: {} }),
  );
  await start();
  expect(files("data")).toEqual([data]);
  expect(files("versions")).toHaveLength(1);
  expect(files("parts")).toEqual([]);
  expect((await read("kept")).equals(bytes)).toBe(true);
});

test("a start removes an upload that had become an object when its process died", async () => {
  const { upload, part, complete } = await begin("done");
  const parts = [await part(1, bytes)];
  const saved = ["uploads", "parts"].map((folder) => [folder, join(directory, `saved-${folder}`)] as const);
  for (const [folder, copy] of saved) cpSync(join(directory, folder), copy, { recursive: true });
  await complete(parts);
  await aws.close();
  for (const [folder, copy] of saved) cpSync(copy, join(directory, folder), { recursive: true });
  expect(files("uploads")).toHaveLength(1);
  await start();
  for (const folder of ["uploads", "parts"]) expect(files(folder), folder).toEqual([]);
  const abort = () => aws.s3.send(new AbortMultipartUploadCommand(upload));
  expect((await errorOf(abort)).name).toBe("NoSuchUpload");
  expect((await read("done")).equals(bytes)).toBe(true);
});

test("a refused body leaves no file and does not change the object", async () => {
  await put("k", Buffer.from("old"));
  const wrong = new PutObjectCommand({ Bucket, Key: "k", Body: bytes, ChecksumCRC32: "AAAAAA==" });
  expect((await errorOf(() => aws.s3.send(wrong))).name).toBe("BadDigest");
  const late = new PutObjectCommand({ Bucket, Key: "k", Body: bytes, IfNoneMatch: "*" });
  expect((await errorOf(() => aws.s3.send(late))).name).toBe("PreconditionFailed");
  expect((await read("k")).toString()).toBe("old");
  expect(files("data")).toHaveLength(1);
});

test("an object that is replaced during a read is read to its end, then its file is removed", async () => {
  const long = testBytes(20 * 1024 * 1024, 2);
  await put("read", long);
  const { Body } = await aws.s3.send(new GetObjectCommand({ Bucket, Key: "read" }));
  await put("read", Buffer.from("new"));
  expect(files("data")).toHaveLength(2);
  expect(long.equals((await Body?.transformToByteArray()) ?? Buffer.alloc(0))).toBe(true);
  expect((await read("read")).toString()).toBe("new");
  await expect.poll(() => files("data")).toHaveLength(1);
});

test("one of sixteen concurrent writers with If-None-Match wins in a directory", async () => {
  const writers = Array.from({ length: 16 }, (_, index) => Buffer.alloc(70_000, index));
  const results = await Promise.allSettled(
    writers.map((Body) => aws.s3.send(new PutObjectCommand({ Bucket, Key: "race", Body, IfNoneMatch: "*" }))),
  );
  const winners = results.flatMap(({ status }, index) => (status === "fulfilled" ? [index] : []));
  expect(winners).toHaveLength(1);
  expect((await read("race")).equals(writers[winners[0] ?? -1] ?? bytes)).toBe(true);
  expect(files("data")).toHaveLength(1);
});

test("after close() nothing is written, and an interrupted copy is complete or absent", async () => {
  await put("source", testBytes(60 * 1024 * 1024, 3));
  const CopySource = `${Bucket}/source`;
  const copying = errorOf(() => aws.s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource })));
  const began = () => aws.requests.some(({ operation }) => operation === "CopyObject");
  await expect.poll(began, { interval: 1 }).toBe(true);
  await aws.close();
  await copying;
  const state = () => files("data").map((name) => [name, statSync(join(directory, "data", name)).size]);
  const before = state();
  // Whatever still wrote would have its turn.
  await steady(() => files("data").length);
  expect(state()).toEqual(before);
  await start();
  const { Contents = [] } = await aws.s3.send(new ListObjectsV2Command({ Bucket }));
  for (const { Key = "", Size } of Contents) expect(await read(Key), Key).toHaveLength(Size ?? -1);
});

test("a request that waits at close() takes no effect and delays nothing", async () => {
  const held = aws.hold({ operation: "PutObject" });
  const waiting = errorOf(() => put("late"));
  await held.arrived;
  await restart();
  await waiting;
  expect((await errorOf(() => read("late"))).name).toBe("NoSuchKey");
});

test("a directory in use is refused and not changed", async () => {
  await put("kept");
  const before = files("data");
  writeFileSync(join(directory, "data", randomUUID()), "being written");
  const { port } = new URL(aws.s3Config.endpoint);
  expect((await errorOf(() => startLocalAws({ directory, s3Port: Number(port) }))).message).toContain(
    `is in use by process ${process.pid}`,
  );
  expect(files("data")).toHaveLength(before.length + 1);
  await aws.close();
  await aws.close();
  const lock = join(directory, "lock");
  writeFileSync(lock, `${process.ppid} claim`);
  expect((await errorOf(start)).message).toContain(`is in use by process ${process.ppid}`);
  // The number of a process that is no more; then our own, as of one that ran in another container.
  writeFileSync(lock, "2147483647 claim");
  await start();
  await aws.close();
  expect(readdirSync(directory)).not.toContain("lock");
  writeFileSync(lock, `${process.pid} claim`);
  expect((await errorOf(start)).message).toContain(`is in use by process ${process.pid}`);
  utimesSync(lock, 1, 1);
  await start();
  expect((await read("kept")).equals(bytes)).toBe(true);
});

test("a directory in use is refused under another name", async () => {
  const other = `${directory}-link`;
  symlinkSync(directory, other);
  expect((await errorOf(() => startLocalAws({ directory: other }))).message).toContain("is in use");
  rmSync(other);
});

test("close() releases only its own claim on a directory", async () => {
  await aws.close();
  const next = await startLocalAws({ directory });
  await aws.close();
  expect(readdirSync(directory)).toContain("lock");
  await next.close();
  await start();
});

test("a start on a port in use releases the directory", async () => {
  const { port } = new URL(aws.s3Config.endpoint);
  const other = mkdtempSync(join(tmpdir(), "s3-envelope-"));
  const options = { directory: other, s3Port: Number(port) };
  expect(await errorOf(() => startLocalAws(options))).toMatchObject({ code: "EADDRINUSE" });
  await (await startLocalAws({ directory: other })).close();
  rmSync(other, { recursive: true });
});

test("a KMS that cannot listen stops the S3 and releases the directory", async () => {
  const other = mkdtempSync(join(tmpdir(), "s3-envelope-"));
  const servers: Server[] = [];
  const listen = Server.prototype.listen;
  const spy = vi.spyOn(Server.prototype, "listen").mockImplementation(function (this: Server, ...args) {
    servers.push(this);
    if (servers.length === 1) return Reflect.apply(listen, this, args);
    process.nextTick(() => this.emit("error", new Error("no port is free")));
    return this;
  });
  const error = await errorOf(() => startLocalAws({ directory: other }));
  spy.mockRestore();
  expect(error.message).toBe("no port is free");
  expect(servers.map(({ listening }) => listening)).toEqual([false, false]);
  await (await startLocalAws({ directory: other })).close();
  rmSync(other, { recursive: true });
});

test("a directory with other files is refused and not changed", async () => {
  const other = mkdtempSync(join(tmpdir(), "s3-envelope-"));
  mkdirSync(join(other, "data"));
  writeFileSync(join(other, "data", "precious.csv"), "1,2");
  const refused = await errorOf(() => startLocalAws({ directory: other }));
  expect(refused).toBeInstanceOf(RangeError);
  expect(refused.message).toMatch(/^options\.directory: expected a folder that is empty/);
  expect(readFileSync(join(other, "data", "precious.csv"), "utf8")).toBe("1,2");
  expect(readdirSync(other)).toEqual(["data"]);
  rmSync(other, { recursive: true });
});

test("a start keeps files that are not its own", async () => {
  for (const folder of ["data", "versions"]) writeFileSync(join(directory, folder, "notes.txt"), "mine");
  await restart();
  for (const folder of ["data", "versions"]) expect(files(folder)).toContain("notes.txt");
});
