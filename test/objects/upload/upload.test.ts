import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ciphertextLength, type EnvelopeClient, type RandomAccessSource } from "../../../src/index.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { useEngines } from "../../support/engines.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, partBytes, s3PartBytes, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const { startedEngine } = useEngines();
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-upload-"));
const filePath = join(folder, "source");
const Key = "uploaded";
const encryptionContext = { tenant: "42" };
const object = { Bucket, Key, encryptionContext };
const bytes = testBytes(3 * partBytes + 12_345, 9);

beforeAll(() => writeFileSync(filePath, bytes));
afterAll(() => rmSync(folder, { recursive: true }));
/** Every test leaves nothing but the object and the source. */
afterEach(async () => {
  await local.client.delete({ Bucket, Key });
  expect(await local.removeAll()).toEqual({ keys: [], uploads: [] });
  expect(readdirSync(folder)).toEqual(["source"]);
});

async function read(client: EnvelopeClient = local.client): Promise<Buffer> {
  return Buffer.from(await (await client.get(object)).Body.transformToByteArray());
}

/** A source of bytes in memory. */
const sourceOf = (all: Uint8Array, read?: RandomAccessSource["read"]): RandomAccessSource => ({
  length: all.length,
  read: read ?? (async (start, end) => all.subarray(start, end)),
});

describe("upload", () => {
  it("upload stores a file in equal parts, with one request for each, and get returns it", async () => {
    const output = await local.client.upload({
      ...object,
      filePath,
      ContentType: "text/x",
      Metadata: { a: "b" },
    });
    expect(local.operations().sort()).toEqual([
      "CompleteMultipartUpload",
      "CreateMultipartUpload",
      ...Array.from({ length: 4 }, () => "UploadPart"),
    ]);
    expect(output).toMatchObject({
      plaintextLength: bytes.length,
      ciphertextLength: ciphertextLength(bytes.length),
      ETag: expect.stringMatching(/-4"$/),
    });
    expect((await local.getRaw(Key)).bytes.length).toBe(output.ciphertextLength);
    expect(await local.client.head({ Bucket, Key })).toMatchObject({
      ContentType: "text/x",
      Metadata: { a: "b" },
    });
    expectBytes(await read(), bytes);
  });

  it.each([0, 1, 16_383, 16_384, 100_000, partBytes - 100_000])(
    "upload stores %i bytes by one PutObject",
    async (length) => {
      const source = sourceOf(bytes.subarray(0, length));
      const checkpointPath = join(folder, "none");
      await local.client.upload({ ...object, source, checkpointPath });
      expect(local.operations()).toEqual(["PutObject"]);
      expectBytes(await read(), bytes.subarray(0, length));
    },
  );

  it("upload works with workers, with a sidecar, with KMS, and from a random-access source", async () => {
    const engine = await startedEngine();
    const client = local.clientWith({
      engine,
      envelopeStorage: "sidecar",
      maxConcurrentParts: 2,
      partSizeBytes: s3PartBytes,
    });
    const large = testBytes(2 * s3PartBytes, 6);
    const reads: number[] = [];
    const source = sourceOf(large, async (start, end) => {
      reads.push(end - start);
      return large.subarray(start, end);
    });
    await client.upload({ ...object, source });
    expectBytes(await read(client), large);
    expect(Math.max(...reads)).toBe(1024 * 1024);
    await client.delete({ Bucket, Key });
    await local.kmsClient.upload({ ...object, filePath });
    expect(local.operations().filter((operation) => operation === "GenerateDataKey")).toHaveLength(1);
    expectBytes(await read(local.kmsClient), bytes);
  });

  it("uploads lease the memory of their parts from the client's budget and release it", async () => {
    const client = local.clientWith({ maxBufferedBytes: 16 * 1024 * 1024, maxConcurrentParts: 8 });
    await Promise.all([client.upload({ ...object, filePath }), client.upload({ ...object, filePath })]);
    expectBytes(await read(), bytes);
  });

  it("upload reuses the memory of parts, for one part at a time", async () => {
    const long = testBytes(9 * partBytes, 3);
    await local.clientWith({ maxConcurrentParts: 3 }).upload({ ...object, source: sourceOf(long) });
    expectBytes(await read(), long);
  });

  it("upload reports its progress in plaintext bytes and parts, up to the totals", async () => {
    const reported: unknown[] = [];
    await local.client.upload(
      { ...object, filePath },
      { onProgress: (progress) => void reported.push(progress) },
    );
    expect(reported.at(-1)).toMatchObject({
      operation: "upload",
      Bucket,
      Key,
      bytes: bytes.length,
      totalBytes: bytes.length,
      parts: 4,
      totalParts: 4,
    });
  });

  it("a retried part is sent from memory, and the source is read once", async () => {
    const client = local.clientWith({ s3: local.aws.s3 });
    let reads = 0;
    const source = sourceOf(bytes, async (start, end) => {
      reads += end - start;
      return bytes.subarray(start, end);
    });
    local.aws.fault({ operation: "UploadPart", status: 503, times: 2 });
    await client.upload({ ...object, source });
    expect(local.operations().filter((operation) => operation === "UploadPart")).toHaveLength(6);
    // A chunk that two parts share is read for both.
    expect(reads).toBeLessThan(bytes.length + 4 * 16_384);
    expectBytes(await read(), bytes);
  });

  it("upload completes under IfNoneMatch, and aborts when the condition does not hold", async () => {
    await local.putRaw(Key, testBytes(3));
    const checkpointPath = join(folder, "checkpoint");
    const error = await errorOf(() =>
      local.client.upload({ ...object, filePath, checkpointPath, IfNoneMatch: "*" }),
    );
    expect(error).toEqual(coded("S3_PRECONDITION_FAILED"));
    expectBytes((await local.getRaw(Key)).bytes, testBytes(3));
  });

  it("upload succeeds after a lost response to the completion when the object exists", async () => {
    local.aws.fault({ operation: "CompleteMultipartUpload", reset: "after" });
    await local.client.upload({ ...object, filePath, checkpointPath: join(folder, "checkpoint") });
    expectBytes(await read(), bytes);
  });
});

it("a failed upload keeps its sidecar when somebody may have completed the upload", async () => {
  const client = local.clientWith({ envelopeStorage: "sidecar" });
  local.aws.fault({ operation: "UploadPart", status: 403, code: "AccessDenied" });
  local.aws.fault({ operation: "AbortMultipartUpload", status: 404, code: "NoSuchUpload", handled: true });
  const error = await errorOf(() => client.upload({ ...object, filePath }));
  const { keys } = await local.contents();
  expect(keys).toHaveLength(1);
  expect(error).toEqual(coded("S3_ACCESS_DENIED", { possiblyOrphanedSidecarKey: keys[0] }));
  await local.client.delete({ Bucket, Key: keys[0] });
});

describe("a failed upload", () => {
  it.each(["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])(
    "a failed upload without a checkpoint leaves nothing: %s fails",
    async (operation) => {
      local.aws.fault({ operation, status: 500 });
      const client = local.clientWith({ envelopeStorage: "sidecar" });
      const error = await errorOf(() => client.upload({ ...object, filePath }));
      expect(error).toEqual(coded("S3_UNAVAILABLE", { operation }));
      if (operation !== "CompleteMultipartUpload") return;
      const { possiblyOrphanedSidecarKey = "" } = (error as unknown as { details: Record<string, string> })
        .details;
      await local.client.delete({ Bucket, Key: possiblyOrphanedSidecarKey });
    },
  );

  it("an upload that the caller aborts leaves nothing, with and without a checkpoint", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const onProgress = () => controller.abort(reason);
    const checkpointPath = join(folder, "checkpoint");
    const options = { abortSignal: controller.signal, onProgress };
    for (const more of [{}, { checkpointPath }]) {
      expect(await errorOf(() => local.client.upload({ ...object, filePath, ...more }, options))).toBe(
        reason,
      );
    }
  });

  it("an upload whose listener throws leaves nothing, also with a checkpoint", async () => {
    const mine = new Error("mine");
    const checkpointPath = join(folder, "checkpoint");
    const onProgress = () => {
      throw mine;
    };
    expect(
      await errorOf(() => local.client.upload({ ...object, filePath, checkpointPath }, { onProgress })),
    ).toBe(mine);
  });

  it("an upload fails and leaves nothing when the modification time or the size of its file changes", async () => {
    const changes: [string, () => void][] = [
      ["modified", () => utimesSync(filePath, 1, 1)],
      ["shorter", () => truncateSync(filePath, bytes.length - 1)],
    ];
    for (const [, change] of changes) {
      const { atime, mtime } = statSync(filePath);
      let changed = false;
      const onProgress = () => {
        if (!changed) change();
        changed = true;
      };
      const error = await errorOf(() => local.client.upload({ ...object, filePath }, { onProgress }));
      expect(error).toEqual(coded("SOURCE_CHANGED"));
      writeFileSync(filePath, bytes);
      utimesSync(filePath, atime, mtime);
    }
  });

  it("an upload fails and leaves nothing when a chunk that two parts share was read differently for each", async () => {
    let reads = 0;
    const source = sourceOf(bytes, async (start, end) => {
      const read = Buffer.from(bytes.subarray(start, end));
      if (start <= partBytes && end > partBytes) read[partBytes - 1000 - start] = reads++;
      return read;
    });
    // The first chunk boundary before the end of part 1 makes both parts read byte partBytes - 1000.
    const client = local.clientWith({ maxConcurrentParts: 1 });
    const error = await errorOf(() => client.upload({ ...object, source }));
    expect(error).toEqual(coded("SOURCE_CHANGED", { partNumber: 1 }));
    expect(local.operations().filter((operation) => operation === "UploadPart")).toHaveLength(1);
  });

  it("an upload fails and leaves nothing when its source fails, is short, stalls, or returns no bytes", async () => {
    const failure = new Error("disk on fire");
    const upload = (read: RandomAccessSource["read"]) =>
      errorOf(() =>
        local.clientWith({ idleTimeoutMs: 50 }).upload({ ...object, source: sourceOf(bytes, read) }),
      );
    const failed = await upload(() => Promise.reject(failure));
    expect(failed).toEqual(coded("SOURCE_FAILED"));
    expect(failed.cause).toBe(failure);
    expect(await upload(async () => testBytes(5))).toEqual(coded("SOURCE_CHANGED", { bytes: 5 }));
    expect(await upload(() => new Promise(() => undefined))).toEqual(coded("SOURCE_STALLED"));
    expect(await upload(async () => "text" as never)).toEqual(
      new TypeError("source.read: its result: expected a Uint8Array, got a string"),
    );
  });

  it("an upload without its file, or without the folder of its checkpoint, sends nothing", async () => {
    const path = join(folder, "nowhere");
    const error = await errorOf(() => local.client.upload({ ...object, filePath: path }));
    expect(error).toEqual(coded("FILE_FAILED", { path }));
    expect(error.cause).toMatchObject({ code: "ENOENT" });
    const unwritable = { ...object, filePath, checkpointPath: join(path, "deep") };
    expect(await errorOf(() => local.client.upload(unwritable))).toEqual(coded("FILE_FAILED"));
    expect(local.operations()).toEqual([]);
  });
});

it.each([
  ["no source", {}, "filePath, source: expected one of them"],
  ["two sources", { filePath, source: sourceOf(bytes) }, "filePath, source: expected one of them"],
  ["a body", { filePath, Body: "x" }, "Body: the source is filePath or source: leave it out"],
  [
    "a length",
    { filePath, ContentLength: 1 },
    "ContentLength: the source is filePath or source: leave it out",
  ],
  ["a source without read", { source: { length: 1 } }, "source.read: expected a function, got undefined"],
  ["a source without length", { source: { read() {} } }, "source.length: expected an integer, got undefined"],
  [
    "a checkpoint path that is not a string",
    { filePath, checkpointPath: 5 },
    "checkpointPath: expected a string",
  ],
  ["a checksum", { filePath, ChecksumCRC32: "x" }, "ChecksumCRC32: it describes"],
])("upload refuses %s before any request", async (_, input, message) => {
  const error = await errorOf(() => local.client.upload({ ...object, ...input } as never));
  expect([TypeError, RangeError]).toContain(error.constructor);
  expect(error.message).toContain(message);
  expect(local.operations()).toEqual([]);
  expectBytes(readFileSync(filePath), bytes);
});
