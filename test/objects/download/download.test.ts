import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { TransferProgress } from "../../../src/index.js";
import { download } from "../../../src/objects/download/download.js";
import { MemoryBudget } from "../../../src/transfer/memory-budget.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import {
  blockBytes,
  blockSealedBytes,
  chunksPerBlock,
  encryptionContext,
  Key,
  plaintext,
  useDownloads,
} from "../../support/download.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const { filePath, fetchFile, files, folder, ranges, settings } = useDownloads(local);

describe("a download", () => {
  it("writes the plaintext to the path and no other file, with one request for each block", async () => {
    const output = await fetchFile();
    expectBytes(readFileSync(filePath), plaintext);
    expect(files()).toEqual(["file"]);
    expect(ranges()).toHaveLength(11);
    expect(new Set(ranges()).size).toBe(11);
    expect(ranges()[0]).toBe(`bytes=0-${56 + blockSealedBytes - 1}`);
    const { headers: first } = local.aws.requests[0] ?? {};
    expect(first?.["if-match"]).toBeUndefined();
    for (const { headers } of local.aws.requests.slice(1)) expect(headers["if-match"]).toBe(output.ETag);
    expect(output).toMatchObject({
      filePath,
      ContentLength: plaintext.length,
      encryptionContext,
      resumedBytes: 0,
      Metadata: { note: "mine" },
    });
    expect(output).not.toHaveProperty("Body");
    expect(output).not.toHaveProperty("ContentRange");
  });

  it.each([0, 1, 16_383, 16_384, blockBytes - 1, blockBytes, blockBytes + 1, 2 * blockBytes])(
    "of %i bytes, with workers and without",
    async (length) => {
      const Body = testBytes(length, length);
      await local.client.put({ Bucket, Key: "sized", Body });
      for (const client of [{}, { engine: undefined }]) {
        await fetchFile({ Key: "sized", encryptionContext: {} }, {}, client);
        expectBytes(readFileSync(filePath), Body);
        expect(files()).toEqual(["file"]);
      }
    },
  );

  it("of EnvelopeClient uses blocks of 8 MiB", async () => {
    const Body = testBytes(9 * 1024 * 1024);
    await local.client.put({ Bucket, Key: "9-mib", Body });
    local.operations();
    await local.client.download({ Bucket, Key: "9-mib", filePath });
    expectBytes(readFileSync(filePath), Body);
    expect(ranges()).toEqual(["bytes=0-8396855", `bytes=8396856-${56 + Body.length + 577 * 16 - 1}`]);
  });

  it("reads an object with a sidecar", async () => {
    const client = { envelopeStorage: "sidecar" } as const;
    await local.clientWith(client).put({ Bucket, Key: "with-sidecar", Body: plaintext, encryptionContext });
    await fetchFile({ Key: "with-sidecar" });
    expectBytes(readFileSync(filePath), plaintext);
  });

  it("does not repeat conditions that the first response has met: one about time may no longer hold", async () => {
    const IfModifiedSince = new Date("2020-01-01");
    await fetchFile({ IfModifiedSince, IfNoneMatch: '"other"', RequestPayer: "requester" });
    const [first, ...others] = local.aws.requests.map(({ headers }) => headers);
    expect(first).toHaveProperty("if-modified-since");
    expect(first).toHaveProperty("if-none-match");
    expect(others).toHaveLength(10);
    for (const headers of others) {
      expect(headers).not.toHaveProperty("if-modified-since");
      expect(headers).not.toHaveProperty("if-none-match");
      expect(headers["x-amz-request-payer"]).toBe("requester");
    }
  });

  it("calls KMS once", async () => {
    await local.kmsClient.put({ Bucket, Key: "kms", Body: plaintext, encryptionContext });
    local.operations();
    await local.kmsClient.download({ Bucket, Key: "kms", filePath, encryptionContext });
    expect(local.operations()).toEqual(["GetObject", "Decrypt"]);
  });

  it.each([true, false])("replaces an existing file (fsync: %s)", async (fsync) => {
    writeFileSync(filePath, "old");
    await fetchFile({ fsync });
    expectBytes(readFileSync(filePath), plaintext);
  });

  it("creates a file that only its owner can read, unless another mode is stated", async () => {
    await fetchFile();
    expect(statSync(filePath).mode & 0o777).toBe(0o600);
    await fetchFile({ mode: 0o640 });
    expect(statSync(filePath).mode & 0o777).toBe(0o640);
  });

  it("reports its progress", async () => {
    const told: TransferProgress[] = [];
    await fetchFile({}, { onProgress: (progress) => told.push(progress) });
    const bytes = plaintext.length;
    const end = {
      operation: "download",
      Bucket,
      Key,
      bytes: bytes,
      totalBytes: bytes,
      parts: 11,
      totalParts: 11,
    };
    expect(told.at(-1)).toMatchObject(end);
    for (const { bytes, totalBytes } of told) expect(bytes).toBeLessThanOrEqual(totalBytes ?? 0);
  });

  it("holds the memory of its blocks at most, and releases it", async () => {
    const few = settings({ maxBufferedBytes: 16 * 1024 * 1024 });
    const input = { Bucket, Key, filePath, encryptionContext };
    let most = 0;
    const take = few.budget.acquire.bind(few.budget);
    few.budget.acquire = async (...args) => {
      const hold = await take(...args);
      most = Math.max(most, few.budget.heldBytes);
      return hold;
    };
    await download(few, input, {}, chunksPerBlock);
    expect(most).toBeLessThanOrEqual(4 * blockSealedBytes);
    expect(most).toBeGreaterThanOrEqual(2 * blockSealedBytes);
    expect(few.budget.heldBytes).toBe(0);
    local.aws.fault({ operation: "GetObject", skip: 3, times: 9, status: 403, code: "AccessDenied" });
    await errorOf(() => download(few, input, {}, chunksPerBlock));
    expect(few.budget.heldBytes).toBe(0);
  });

  it("keeps no memory of puts that ended before it", async () => {
    const own = settings();
    const hold = await own.budget.acquire({}, 100, new AbortController().signal);
    hold.release(Buffer.alloc(100));
    expect(own.budget.idleBytes).toBe(100);
    await download(own, { Bucket, Key, filePath, encryptionContext }, {}, chunksPerBlock);
    expect(own.budget.idleBytes).toBe(0);
  });

  it("completes beside many others on a client with few connections and little memory", async () => {
    // The SDK opens 50 connections; whoever has one must have memory to read what comes on it.
    const few = { ...settings(), budget: new MemoryBudget(3 * blockSealedBytes) };
    const paths = Array.from({ length: 80 }, (_, index) => `${filePath}-${index}`);
    const input = { Bucket, Key, encryptionContext, fsync: false };
    await Promise.all(paths.map((path) => download(few, { ...input, filePath: path }, {}, chunksPerBlock)));
    for (const path of paths) expectBytes(readFileSync(path), plaintext);
    expect(few.budget.heldBytes).toBe(0);
  });
});

describe("an invalid download sends no request", () => {
  it.each([
    [{ filePath: 1 }, new TypeError("filePath: expected a string, got the number 1")],
    [{ filePath: "a\0b" }, new RangeError("filePath: expected a path, got one with a null character")],
    [{ Range: "bytes=0-1" }, new TypeError("Range: a file is downloaded whole: use get")],
    [{ PartNumber: 1 }, new TypeError("PartNumber: a file is downloaded whole: use get")],
    [
      { unencrypted: "allow" },
      new TypeError("unencrypted: an object that is not encrypted is not downloaded: use get"),
    ],
    [{ fsync: 1 }, new TypeError("fsync: expected one of true, false, got the number 1")],
    [{ mode: 0o1000 }, new RangeError("mode: expected an integer from 0 to 511, got 512")],
    [{ keepPartial: "no" }, new RangeError("keepPartial: expected one of true, false, got another string")],
  ])("when its input has %o", async (input, error) => {
    expect(await errorOf(() => fetchFile(input as never))).toEqual(error);
    expect(local.operations()).toEqual([]);
  });

  it("when the folder does not exist or is no folder, or the path is a folder", async () => {
    mkdirSync(join(folder, "folder"));
    writeFileSync(join(folder, "a-file"), "");
    for (const [name, fileError] of [
      ["none/file", "ENOENT"],
      ["a-file/file", "ENOTDIR"],
      ["folder", "EISDIR"],
    ] as const) {
      const path = join(folder, name);
      expect(await errorOf(() => fetchFile({ filePath: path }))).toEqual(
        coded("FILE_FAILED", { path, fileError }),
      );
    }
    expect(local.operations()).toEqual([]);
  });

  it("when another download to the same path is in progress", async () => {
    const first = fetchFile();
    await expect(fetchFile()).rejects.toEqual(coded("FILE_FAILED", { path: filePath }));
    await first;
    await fetchFile();
  });
});
