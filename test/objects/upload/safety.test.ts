import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { lstat, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { uploadPartRange } from "../../../src/index.js";
import { Checkpoint } from "../../../src/objects/upload/checkpoint.js";
import { PartGuard } from "../../../src/objects/upload/part-guard.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, partBytes, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-safety-"));
const filePath = join(folder, "source");
const checkpointPath = join(folder, "checkpoint");
const Key = "safe";
const input = { Bucket, Key, filePath, checkpointPath };
const bytes = testBytes(2 * partBytes + 9, 6);
writeFileSync(filePath, bytes);

afterEach(async () => {
  await local.clientWith({ envelopeStorage: "sidecar" }).delete({ Bucket, Key });
  expect(await local.contents()).toEqual({ keys: [], uploads: [] });
  expect(readdirSync(folder)).toEqual(["source"]);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("another file at the path of the checkpoint", () => {
  it.each(["one line without an end", '{"format":"s3-envelope/checkpoint 2","t', "\0".repeat(100), "a\nb"])(
    "upload and abortUpload leave another file at the path of the checkpoint unchanged: %j",
    async (text) => {
      writeFileSync(checkpointPath, text);
      for (const call of [
        () => local.client.upload(input),
        () => local.client.abortUpload({ checkpointPath }),
      ]) {
        expect(await errorOf(call)).toEqual(coded("CHECKPOINT_INVALID", { path: checkpointPath }));
        expect(readFileSync(checkpointPath, "utf8")).toBe(text);
      }
      expect(local.operations()).toEqual([]);
      rmSync(checkpointPath);
    },
  );

  it("upload refuses a pipe at the path of the checkpoint and leaves it", async () => {
    execFileSync("mkfifo", [checkpointPath]);
    expect(await errorOf(() => local.client.upload(input))).toEqual(coded("CHECKPOINT_INVALID"));
    expect(existsSync(checkpointPath)).toBe(true);
    rmSync(checkpointPath);
  });

  it("a checkpoint that another process has created is not written to", async () => {
    const first = await Checkpoint.create(checkpointPath);
    expect(await errorOf(() => Checkpoint.create(checkpointPath))).toEqual(
      coded("CHECKPOINT_INVALID", { path: checkpointPath }),
    );
    await first.remove();
    await first.close();
  });
});

describe("a source file without a size", () => {
  it("upload refuses a pipe and a folder as its source", async () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    for (const [path, fileError] of [
      [pipe, "EINVAL"],
      [folder, "EISDIR"],
    ] as const) {
      const error = await errorOf(() => local.client.upload({ Bucket, Key, filePath: path }));
      expect(error).toEqual(coded("FILE_FAILED", { path, fileError }));
    }
    rmSync(pipe);
    expect(local.operations()).toEqual([]);
  });

  it("upload refuses a file that states a size of 0 and has contents", async () => {
    const path = join(folder, "stating-0");
    writeFileSync(path, "something");
    const file = await open(path);
    const stat = vi.spyOn(Object.getPrototypeOf(file), "stat");
    stat.mockResolvedValue(Object.assign(await lstat(path), { size: 0 }));
    const error = await errorOf(() => local.client.upload({ Bucket, Key, filePath: path }));
    stat.mockRestore();
    await file.close();
    rmSync(path);
    expect(error).toEqual(coded("SOURCE_CHANGED", { path }));
    expect(local.operations()).toEqual([]);
  });
});

it("uploadPart refuses a Body whose memory was transferred to another thread during the call", async () => {
  const ticket = await local.client.beginUpload({ Bucket, Key, plaintextLength: 1000 });
  const Body = new Uint8Array(1000);
  local.operations();
  const sending = local.client.uploadPart({ ticket, PartNumber: 1, Body, tagDigest: "first-attempt" });
  structuredClone(Body.buffer, { transfer: [Body.buffer] });
  expect(await errorOf(() => sending)).toEqual(coded("SOURCE_CHANGED", { size: 0 }));
  expect(local.operations()).toEqual([]);
  await local.client.abortUpload({ ticket });
});

it("a source that does not respond leaves no timer after the call", async () => {
  const [set, cleared] = [vi.spyOn(globalThis, "setTimeout"), vi.spyOn(globalThis, "clearTimeout")];
  const client = local.clientWith({ idleTimeoutMs: 123_456 });
  const controller = new AbortController();
  const read = () => {
    setImmediate(() => controller.abort(new Error("enough")));
    return new Promise<never>(() => undefined);
  };
  const options = { abortSignal: controller.signal };
  const error = await errorOf(() => client.upload({ Bucket, Key, source: { length: 5, read } }, options));
  expect(error).toBe(controller.signal.reason);
  const place = set.mock.calls.findIndex(([, milliseconds]) => milliseconds === 123_456);
  expect(cleared.mock.calls.flat()).toContain(set.mock.results[place]?.value);
  vi.restoreAllMocks();
});

describe("a resumed upload", () => {
  async function interrupt(): Promise<void> {
    local.aws.fault({ operation: "UploadPart", skip: 1, status: 403, code: "AccessDenied" });
    const client = local.clientWith({ maxConcurrentParts: 1 });
    expect(await errorOf(() => client.upload(input))).toEqual(coded("S3_ACCESS_DENIED"));
    local.operations();
  }

  it("a resume that fails at ListParts keeps the upload, and its error names the checkpoint", async () => {
    await interrupt();
    local.aws.fault({ operation: "ListParts", status: 503 });
    const error = await errorOf(() => local.client.upload(input));
    expect(error).toEqual(coded("S3_UNAVAILABLE", { checkpointPath: checkpointPath }));
    await local.client.abortUpload({ checkpointPath });
  });

  it("a resume that the caller aborts during ListParts removes upload and checkpoint", async () => {
    await interrupt();
    const held = local.aws.hold({ operation: "ListParts" });
    const controller = new AbortController();
    const call = local.client.upload(input, { abortSignal: controller.signal });
    await held.arrived;
    controller.abort(new Error("enough"));
    expect(await errorOf(() => call)).toBe(controller.signal.reason);
    expect(existsSync(checkpointPath)).toBe(false);
  });
});

it("PartGuard does not keep the memory of a part alive", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const guard = new PartGuard({ plaintextLength: 1000, partBytes, partCount: 1 });
  const fingerprint = { tagDigest: "0".repeat(64), firstTag: "1".repeat(32), lastTag: "2".repeat(32) };
  const memory = (() => {
    const part = { ...fingerprint, slab: new ArrayBuffer(partBytes) };
    guard.require(1, part);
    return new WeakRef(part.slab);
  })();
  await new Promise(setImmediate);
  collect();
  expect(memory.deref()).toBe(undefined);
  expect(() => guard.require(1, { ...fingerprint, tagDigest: "3".repeat(64) })).toThrow(
    "part 1 differs from what was sent",
  );
});

describe("a sidecar", () => {
  it("abortUpload keeps the sidecar of a completed upload whose abort S3 reports as successful", async () => {
    const client = local.clientWith({ envelopeStorage: "sidecar" });
    for (const listed of [false, true]) {
      const ticket = await client.beginUpload({ Bucket, Key, plaintextLength: bytes.length });
      const parts = [];
      for (let PartNumber = 1; PartNumber <= ticket.partCount; PartNumber++) {
        const { start, end } = uploadPartRange(ticket, PartNumber);
        const Body = bytes.subarray(start, end);
        parts.push(await client.uploadPart({ ticket, PartNumber, Body, tagDigest: "first-attempt" }));
      }
      await client.completeUpload({ ticket, parts });
      // S3 responds like this for some hours; also, the upload may be completed between the two requests.
      local.aws.fault({ operation: "AbortMultipartUpload", status: 204 });
      if (listed) local.aws.fault({ operation: "ListParts", status: 403, code: "AccessDenied" });
      await client.abortUpload({ ticket });
      const { Body } = await client.get({ Bucket, Key });
      expectBytes(Buffer.from(await Body.transformToByteArray()), bytes);
      await client.delete({ Bucket, Key });
    }
  });
});
