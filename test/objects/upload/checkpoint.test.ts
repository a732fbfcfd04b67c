/** The checkpoint file of an upload: who may have written it, which process owns it, and what a full disk leaves of it. */
import { createSecretKey } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { EnvelopeError } from "../../../src/index.js";
import { Checkpoint, parseCheckpoint, requireAuthentic } from "../../../src/objects/upload/checkpoint.js";
import { partRange, startedPart, uploadedPart } from "../../../src/objects/upload/parts.js";
import { RecordKey } from "../../../src/objects/upload/records.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../../support/local.js";
import { countTurns } from "../../support/turns.js";

const local = useLocalAws();
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-checkpoint-"));
const filePath = join(folder, "source");
const checkpointPath = join(folder, "checkpoint");
const Key = "checkpointed";
const input = { Bucket, Key, filePath, checkpointPath };
const bytes = testBytes(3 * partBytes + 9, 6);
const time = new Date("2026-01-02T03:04:05.678Z");

beforeEach(() => {
  writeFileSync(filePath, bytes);
  utimesSync(filePath, time, time);
});
afterEach(async () => {
  vi.restoreAllMocks();
  rmSync(checkpointPath, { force: true });
  await local.removeAll();
  expect(readdirSync(folder)).toEqual(["source"]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Uploads until part `part` fails permanently, and leaves a checkpoint. */
async function interrupt(part = 3): Promise<void> {
  local.aws.fault({ operation: "UploadPart", skip: part - 1, times: 1, status: 403, code: "AccessDenied" });
  const client = local.clientWith({ maxConcurrentParts: 1 });
  expect(await errorOf(() => client.upload(input))).toEqual(coded("S3_ACCESS_DENIED"));
  local.aws.clearFaults();
  local.operations();
}

async function expectObject(expected = bytes): Promise<void> {
  const { Body } = await local.client.get({ Bucket, Key });
  expectBytes(Buffer.from(await Body.transformToByteArray()), expected);
}

/** The prototype of all open files. */
async function fileHandles(): Promise<FileHandle> {
  const handle = await open(filePath);
  await handle.close();
  return Object.getPrototypeOf(handle) as FileHandle;
}

describe("a checkpoint that another user can have written", () => {
  it.each([
    ["writable by everybody", () => chmodSync(checkpointPath, 0o666), "let other users write"],
    ["with a second name", () => linkSync(checkpointPath, join(folder, "second")), "hard link"],
    [
      "behind a symbolic link",
      () => {
        renameSync(checkpointPath, join(folder, "second"));
        symlinkSync(join(folder, "second"), checkpointPath);
      },
      "symbolic link",
    ],
  ])(
    "upload and abortUpload refuse a checkpoint that another user can have written, and send nothing: %s",
    async (_, change, message) => {
      await interrupt();
      change();
      for (const call of [
        () => local.client.upload(input),
        () => local.client.abortUpload({ checkpointPath }),
      ]) {
        const error = await errorOf(call);
        expect(error).toEqual(coded("CHECKPOINT_INVALID", { path: checkpointPath }));
        expect(error.message).toContain(message);
      }
      expect(local.operations()).toEqual([]);
      rmSync(join(folder, "second"), { force: true });
    },
  );

  it("upload refuses a checkpoint that is a dangling symbolic link, and names it as a link", async () => {
    symlinkSync(join(folder, "nowhere"), checkpointPath);
    const error = await errorOf(() => local.client.upload(input));
    expect(error).toEqual(coded("CHECKPOINT_INVALID", { path: checkpointPath }));
    expect(error.message).toContain("symbolic link");
    expect(existsSync(join(folder, "nowhere"))).toBe(false);
    expect(local.operations()).toEqual([]);
  });
});

describe("a checkpoint that is the source", () => {
  it.each([
    ["by the same path", () => undefined],
    ["by a hard link", () => linkSync(filePath, checkpointPath)],
    ["by a symbolic link", () => symlinkSync(filePath, checkpointPath)],
  ])(
    "upload refuses a checkpoint that is its own source, and leaves the source unchanged: %s",
    async (_, link) => {
      link();
      const path = existsSync(checkpointPath) ? checkpointPath : `${folder}/./source`;
      for (const content of [bytes, Buffer.alloc(0), Buffer.from('{"format":"s3-env')]) {
        writeFileSync(filePath, content);
        const error = await errorOf(() => local.client.upload({ ...input, checkpointPath: path }));
        expect(error).toEqual(
          new TypeError("checkpointPath: expected another file than filePath, got the same one"),
        );
        expectBytes(readFileSync(filePath), content);
      }
      expect(local.operations()).toEqual([]);
    },
  );
});

describe("a full disk", () => {
  it.each([
    ["a part", '{"begun":2'],
    ["a claim", '\n{"resumed":'],
  ])(
    "a disk that is full within the line of %s fails the upload with checkpoint, upload id and cause, and a later call resumes",
    async (_, start) => {
      const isResuming = start.includes("resumed");
      if (isResuming) await interrupt();
      const prototype = await fileHandles();
      const { write } = prototype;
      const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
      let isFull = false;
      vi.spyOn(prototype, "write").mockImplementation(function (this: FileHandle, ...given: unknown[]) {
        const [line, offset = 0, length = 0] = given as [Buffer, number, number];
        if (isFull) return Promise.reject(full) as never;
        isFull = line.toString().startsWith(start);
        return Reflect.apply(write, this, [line, offset, isFull ? 20 : length]) as never;
      });
      const error = (await errorOf(() =>
        local.clientWith({ maxConcurrentParts: 1 }).upload(input),
      )) as EnvelopeError;
      expect(error).toEqual(
        coded("FILE_FAILED", { path: checkpointPath, fileError: "ENOSPC", checkpointPath: checkpointPath }),
      );
      expect(error.details.uploadId).toEqual(expect.any(String));
      expect(error.cause).toBe(full);
      vi.restoreAllMocks();
      await local.client.upload(input);
      await expectObject();
      expect(existsSync(checkpointPath)).toBe(false);
    },
  );

  it("upload resumes after several incomplete lines, each followed by the claim of the next call", async () => {
    await interrupt();
    for (let round = 0; round < 3; round++) {
      appendFileSync(checkpointPath, '{"begun":3,"tagDi');
      local.aws.fault({ operation: "UploadPart", status: 403, code: "AccessDenied" });
      expect(await errorOf(() => local.client.upload(input))).toEqual(coded("S3_ACCESS_DENIED"));
      local.aws.clearFaults();
    }
    await local.client.upload(input);
    await expectObject();
  });
});

describe("several processes with one checkpoint", () => {
  it("of several processes that claim a checkpoint at once, exactly the one with the last claim in the file owns it", async () => {
    await interrupt();
    const found = await Promise.all([1, 2, 3, 4].map(() => Checkpoint.find(checkpointPath)));
    const claims = found.map((checkpoint) => checkpoint?.takeOver());
    const outcomes = await Promise.allSettled(claims);
    const own = await Promise.all(found.map((checkpoint) => checkpoint?.isOwn()));
    expect(own.filter(Boolean)).toHaveLength(1);
    expect(outcomes[own.indexOf(true)]).toMatchObject({ status: "fulfilled" });
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toEqual(coded("CHECKPOINT_INVALID"));
    }
    for (const checkpoint of found) await checkpoint?.close();
  });

  it("of two calls that resume one upload at once, one uploads and the other stops with CHECKPOINT_INVALID", async () => {
    await interrupt();
    /** Resolved when both calls have reached the keyring. */
    const arrived: Promise<void>[] = [];
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const resumes = [1, 2].map(() => {
      let arrive = (): void => undefined;
      arrived.push(
        new Promise((resolve) => {
          arrive = resolve;
        }),
      );
      // The keyring is called before the file is claimed: both calls have read it by then.
      const client = local.clientWith({
        keyring: {
          async generateDataKey() {
            throw new Error("no new upload begins");
          },
          async unwrapDataKey(given) {
            arrive();
            await gate;
            return keyring.unwrapDataKey(given);
          },
        },
      });
      return client.upload(input);
    });
    await Promise.all(arrived);
    open();
    const outcomes = await Promise.allSettled(resumes);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const stopped = outcomes.find((outcome) => outcome.status === "rejected");
    expect(stopped).toMatchObject({ reason: coded("CHECKPOINT_INVALID", { path: checkpointPath }) });
    await expectObject();
    expect(existsSync(checkpointPath)).toBe(false);
  });

  it("a process whose checkpoint is claimed between its check and its line stops after the line", async () => {
    await interrupt();
    const first = await Checkpoint.find(checkpointPath);
    await first?.takeOver();
    const second = await Checkpoint.find(checkpointPath);
    const prototype = await fileHandles();
    const { write } = prototype;
    const spy = vi.spyOn(prototype, "write").mockImplementationOnce(async function (
      this: FileHandle,
      ...given: unknown[]
    ) {
      spy.mockRestore();
      await second?.takeOver();
      return Reflect.apply(write, this, given) as never;
    });
    const fingerprint = {
      tagDigest: "0".repeat(64),
      firstTag: "1".repeat(32),
      lastTag: "2".repeat(32),
      mac: `${"A".repeat(43)}=`,
    };
    expect(await errorOf(() => first?.recordStarted(4, fingerprint))).toEqual(coded("CHECKPOINT_INVALID"));
    expect(await second?.isOwn()).toBe(true);
    await first?.close();
    await second?.close();
  });
});

it("an upload that another process resumed right after its first line is not aborted by the first process", async () => {
  const prototype = await fileHandles();
  const { write } = prototype;
  let second: Checkpoint | undefined;
  const spy = vi.spyOn(prototype, "write").mockImplementationOnce(async function (
    this: FileHandle,
    ...given: unknown[]
  ) {
    spy.mockRestore();
    const result = await Reflect.apply(write, this, given);
    second = await Checkpoint.find(checkpointPath);
    await second?.takeOver();
    return result as never;
  });
  expect(await errorOf(() => local.client.upload(input))).toEqual(coded("CHECKPOINT_INVALID"));
  expect(local.operations()).toEqual(["CreateMultipartUpload"]);
  expect(await second?.isOwn()).toBe(true);
  await second?.close();
  await local.client.upload(input);
  await expectObject();
});

describe("an upload that does not exist any more since it was completed", () => {
  beforeEach(async () => {
    local.aws.fault({ operation: "CompleteMultipartUpload", reset: "after" });
    local.aws.fault({ operation: "HeadObject", status: 503 });
    expect(await errorOf(() => local.client.upload(input))).toEqual(coded("S3_UNAVAILABLE"));
    local.aws.clearFaults();
    local.operations();
  });
  const changed = Buffer.from(bytes);
  changed[partBytes + 7] = 1 ^ (changed[partBytes + 7] ?? 0);

  it.each([
    ["another modification time", () => utimesSync(filePath, time, new Date(time.getTime() + 1)), bytes],
    ["another size", () => truncateSync(filePath, bytes.length - 1), bytes.subarray(0, -1)],
    [
      "other bytes, with size and time restored",
      () => {
        writeFileSync(filePath, changed);
        utimesSync(filePath, time, time);
      },
      changed,
    ],
  ])(
    "upload does not report a completed upload as the result for a changed source, but uploads the source: %s",
    async (_, change, expected) => {
      change();
      const { mtimeMs } = statSync(filePath);
      await local.client.upload(input);
      expect(local.operations()).toContain("CompleteMultipartUpload");
      await expectObject(expected);
      expect(statSync(filePath).mtimeMs).toBe(mtimeMs);
    },
  );
});

it("a sidecar is kept when the caller aborts the resume of an upload whose object was completed and overwritten", async () => {
  const client = local.clientWith({ envelopeStorage: "sidecar" });
  local.aws.fault({ operation: "CompleteMultipartUpload", reset: "after" });
  local.aws.fault({ operation: "HeadObject", status: 503 });
  expect(await errorOf(() => client.upload(input))).toEqual(coded("S3_UNAVAILABLE"));
  local.aws.clearFaults();
  const sidecars = async () => (await local.contents()).keys.filter((key) => key.endsWith(".envelope"));
  const before = await sidecars();
  expect(before).toHaveLength(1);
  await local.client.put({ Bucket, Key, Body: "another" });
  local.operations();
  const held = local.aws.hold({ operation: "ListParts" });
  // S3 responds like this for completed uploads, too.
  local.aws.fault({ operation: "AbortMultipartUpload", status: 204 });
  const controller = new AbortController();
  const resumed = client.upload(input, { abortSignal: controller.signal });
  await held.arrived;
  controller.abort(new Error("enough"));
  expect(await errorOf(() => resumed)).toBe(controller.signal.reason);
  expect(await sidecars()).toEqual(before);
  await local.client.delete({ Bucket, Key: before[0] });
});

it("an aborted call keeps the upload while the owner of its checkpoint is unknown", async () => {
  const prototype = await fileHandles();
  const controller = new AbortController();
  const held = local.aws.hold({ operation: "UploadPart" });
  const running = local.client.upload(input, { abortSignal: controller.signal });
  await held.arrived;
  vi.spyOn(prototype, "stat").mockRejectedValue(Object.assign(new Error("EIO"), { code: "EIO" }));
  controller.abort(new Error("enough"));
  expect(await errorOf(() => running)).toBe(controller.signal.reason);
  vi.restoreAllMocks();
  held.release();
  expect((await local.contents()).uploads).toHaveLength(1);
  expect(existsSync(checkpointPath)).toBe(true);
  await local.clientWith({}).upload(input);
  await expectObject();
});

it("a part that S3 has stored is not sent with other bytes after its line was removed from the checkpoint", async () => {
  await interrupt();
  const changed = Buffer.from(bytes);
  changed[partBytes + 10_000] = 1 ^ (changed[partBytes + 10_000] ?? 0);
  writeFileSync(filePath, changed);
  utimesSync(filePath, time, time);
  const lines = readFileSync(checkpointPath, "utf8").split("\n");
  const isOfParts2And3 = (line: string) => /"(begun|PartNumber)":[23]/.test(line);
  writeFileSync(checkpointPath, lines.filter((line) => !isOfParts2And3(line)).join("\n"));
  const error = await errorOf(() => local.clientWith({}).upload(input));
  expect(error).toEqual(coded("SOURCE_CHANGED", { partNumber: 2, checkpointPath: checkpointPath }));
  const sent = local.aws.requests.filter(({ operation }) => operation === "UploadPart");
  expect(sent.map(({ query }) => query.partNumber)).not.toContain("2");
});

it("parsing and verifying the records of 10,000 parts yields to the event loop", async () => {
  const plaintextLength = 9_990 * partBytes;
  const ticket = await local.client.beginUpload({ Bucket, Key, plaintextLength });
  expect(ticket.partCount).toBe(10_000);
  const recordKey = new RecordKey(createSecretKey(testBytes(32)));
  const fingerprint = { tagDigest: "0".repeat(64), firstTag: "1".repeat(32), lastTag: "1".repeat(32) };
  const head = { format: "s3-envelope/checkpoint 1", ticket, fields: {} };
  const lines: object[] = [{ ...head, mac: recordKey.macOf("checkpoint", ticket.mac, head.fields) }];
  for (let PartNumber = 1; PartNumber <= ticket.partCount; PartNumber++) {
    const { start, end } = partRange(ticket, PartNumber);
    const part = { PartNumber, ETag: '"x"', size: end - start, checksums: {}, ...fingerprint };
    lines.push({ begun: PartNumber, ...startedPart(recordKey, ticket.mac, PartNumber, fingerprint) });
    lines.push({ done: uploadedPart(recordKey, ticket.mac, part) });
  }
  const text = lines.map((line) => JSON.stringify(line));
  const parsed = await countTurns(() => parseCheckpoint(checkpointPath, text));
  expect(parsed.result.completed.size).toBe(10_000);
  expect(parsed.turns).toBeGreaterThan(100);
  const verified = await countTurns(() => requireAuthentic(checkpointPath, recordKey, parsed.result));
  expect(verified.turns).toBeGreaterThan(100);
});
