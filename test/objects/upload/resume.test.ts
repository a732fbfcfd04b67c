import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ListMultipartUploadsCommand, UploadPartCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EnvelopeError, UploadInput } from "../../../src/index.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, partBytes, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-resume-"));
const filePath = join(folder, "source");
const checkpointPath = join(folder, "checkpoint");
const Key = "resumed";
const encryptionContext = { tenant: "very secret tenant" };
const input: UploadInput = {
  Bucket,
  Key,
  encryptionContext,
  filePath,
  checkpointPath,
  Metadata: { b: "1", a: "2" },
  ContentType: "text/x",
};
const bytes = testBytes(3 * partBytes + 1000, 9);
const time = new Date("2026-01-02T03:04:05.678Z");

beforeEach(() => {
  writeFileSync(filePath, bytes);
  utimesSync(filePath, time, time);
});
afterEach(async () => {
  await local.client.abortUpload({ checkpointPath });
  await local.clientWith({ envelopeStorage: "sidecar" }).delete({ Bucket, Key });
  expect(await local.removeAll()).toEqual({ keys: [], uploads: [] });
  expect(readdirSync(folder)).toEqual(["source"]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Uploads until part `part` fails permanently, and returns the error. */
async function interrupt(part: number, more: Partial<UploadInput> = {}): Promise<EnvelopeError> {
  local.aws.fault({ operation: "UploadPart", skip: part - 1, times: 1, status: 403, code: "AccessDenied" });
  const client = local.clientWith({ maxConcurrentParts: 1 });
  const error = await errorOf(() => client.upload({ ...input, ...more }));
  local.aws.clearFaults();
  local.operations();
  return error as EnvelopeError;
}

/** A promise and the function that resolves it. Node 20 has no `Promise.withResolvers`. */
function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Numbers of the parts that were sent since the last call of `operations`. */
const partsSent = () =>
  local.aws.requests
    .filter(({ operation }) => operation === "UploadPart")
    .map(({ query }) => Number(query.partNumber))
    .sort();

async function expectObject(): Promise<void> {
  const { Body, ContentType, Metadata } = await local.client.get({ Bucket, Key, encryptionContext });
  expectBytes(Buffer.from(await Body.transformToByteArray()), bytes);
  expect({ ContentType, Metadata }).toMatchObject({ ContentType: "text/x", Metadata: { a: "2", b: "1" } });
}

describe("an upload that failed and has a checkpoint", () => {
  it("a failed upload with a checkpoint is kept, and its error names both", async () => {
    const error = await interrupt(3);
    const { Uploads = [] } = await local.s3.send(new ListMultipartUploadsCommand({ Bucket }));
    const uploadId = Uploads[0]?.UploadId;
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { checkpointPath: checkpointPath, uploadId }));
    expect(error.message).toContain("call upload again to resume");
    expect(statSync(checkpointPath).mode & 0o777).toBe(0o600);
    const lines = readFileSync(checkpointPath, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => Object.keys(line)[0])).toEqual([
      "format",
      ...["begun", "done", "begun", "done", "begun"],
    ]);
  });

  it("a resumed upload sends only the missing parts, after one ListParts and one unwrapped key", async () => {
    await interrupt(3);
    const reported: number[] = [];
    const { length } = bytes;
    const output = await local.client.upload(input, { onProgress: ({ bytes }) => void reported.push(bytes) });
    expect(partsSent()).toEqual([3, 4]);
    expect(local.operations().filter((operation) => operation !== "UploadPart")).toEqual([
      "ListParts",
      "CompleteMultipartUpload",
    ]);
    expect(output).toMatchObject({ plaintextLength: length, ETag: expect.stringMatching(/-4"$/) });
    expect(reported[0]).toBeGreaterThan(2 * partBytes - 20_000);
    expect(reported.at(-1)).toBe(length);
    await expectObject();
  });

  it("an upload with a sidecar is resumed by another client with another part size", async () => {
    await interrupt(2, { envelopeStorage: "sidecar" });
    expect((await local.contents()).keys).toHaveLength(1);
    const client = local.clientWith({ partSizeBytes: 2 * partBytes });
    await client.upload({ ...input, envelopeStorage: "sidecar" });
    await expectObject();
  });

  it("a resumed upload sends a part again when S3 has another one than the checkpoint records", async () => {
    await interrupt(3);
    const { ticket } = JSON.parse(readFileSync(checkpointPath, "utf8").split("\n")[0] ?? "");
    const { UploadId } = ticket;
    await local.s3.send(
      new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 2, Body: testBytes(partBytes) }),
    );
    local.operations();
    local.aws.clearRequests();
    await local.client.upload(input);
    expect(partsSent()).toEqual([2, 3, 4]);
    await expectObject();
  });

  it("upload ignores an incomplete last line, and replaces a checkpoint whose first line is incomplete", async () => {
    await interrupt(3);
    appendFileSync(checkpointPath, '{"done":{"PartNu');
    await local.client.upload(input);
    expect(partsSent()).toEqual([3, 4]);
    await expectObject();
    for (const torn of ["", '{"format":"s3-env']) {
      writeFileSync(checkpointPath, torn);
      local.operations();
      await local.client.upload(input);
      expect(partsSent()).toEqual([1, 2, 3, 4]);
    }
  });

  it("an aborted upload without object begins again under another key", async () => {
    await interrupt(3, { envelopeStorage: "sidecar" });
    const before = JSON.parse(readFileSync(checkpointPath, "utf8").split("\n")[0] ?? "").ticket;
    await local.client.abortUploads({ Bucket, olderThanMs: 0, Prefix: Key });
    local.operations();
    await local.client.upload({ ...input, envelopeStorage: "sidecar" });
    expect(partsSent()).toEqual([1, 2, 3, 4]);
    expect((await local.getRaw(Key)).metadata["s3e-salt"]).not.toBe(before.envelope["s3e-salt"]);
    await expectObject();
    // The first sidecar is kept: an older version may need it.
    const { keys } = await local.contents();
    expect(keys).toHaveLength(3);
    const salt = Buffer.from(before.envelope["s3e-salt"], "base64").toString("hex");
    await local.client.delete({ Bucket, Key: keys.find((key) => key.includes(salt)) });
  });

  it("a completed upload is reported as a success by the next call, which sends no part", async () => {
    const error = await interruptCompletion();
    expect(error).toEqual(coded("S3_UNAVAILABLE", { checkpointPath: checkpointPath }));
    const output = await local.client.upload(input);
    expect(local.operations()).toEqual(["ListParts", "HeadObject"]);
    expect(output).toMatchObject({ plaintextLength: bytes.length, ETag: expect.stringMatching(/-4"$/) });
    await expectObject();
  });

  it("no new upload begins while S3 does not tell whether the object exists", async () => {
    await interruptCompletion();
    local.aws.fault({ operation: "HeadObject", status: 503 });
    expect(await errorOf(() => local.client.upload(input))).toEqual(coded("S3_UNAVAILABLE"));
    expect(local.operations()).toEqual(["ListParts", "HeadObject"]);
    expect(existsSync(checkpointPath)).toBe(true);
  });

  async function interruptCompletion(): Promise<Error> {
    local.aws.fault({ operation: "CompleteMultipartUpload", reset: "after" });
    local.aws.fault({ operation: "HeadObject", status: 503 });
    const error = await errorOf(() => local.client.upload(input));
    local.operations();
    return error;
  }

  it("abortUpload and the caller's signal abort the upload of a checkpoint and remove the checkpoint", async () => {
    await interrupt(3);
    await local.client.abortUpload({ checkpointPath });
    expect(local.operations()).toEqual(["AbortMultipartUpload"]);
    expect(existsSync(checkpointPath)).toBe(false);
    await interrupt(3);
    const controller = new AbortController();
    const reason = new Error("enough");
    const onProgress = () => controller.abort(reason);
    expect(
      await errorOf(() => local.client.upload(input, { abortSignal: controller.signal, onProgress })),
    ).toBe(reason);
    expect(existsSync(checkpointPath)).toBe(false);
  });
});

describe("a source that has changed", () => {
  const changed = (at: number) => {
    const other = Buffer.from(bytes);
    other[at] = (other[at] ?? 0) ^ 1;
    return other;
  };
  it.each([
    ["another size", () => appendFileSync(filePath, "x"), true],
    ["another modification time", () => utimesSync(filePath, time, new Date(time.getTime() + 1)), true],
    ["another byte in a completed part", () => writeFileSync(filePath, changed(5)), false],
    ["another byte in a started part", () => writeFileSync(filePath, changed(2.5 * partBytes)), false],
    [
      "another byte in a chunk that two started parts share",
      () => writeFileSync(filePath, changed(partBytes)),
      false,
    ],
  ])(
    "a resume stops before it sends anything when the source has %s, and continues once the source is restored",
    async (_, change, keepsTime) => {
      await interrupt(3);
      change();
      if (!keepsTime) utimesSync(filePath, time, time);
      const error = await errorOf(() => local.client.upload(input));
      expect(error).toEqual(coded("SOURCE_CHANGED", { checkpointPath: checkpointPath }));
      expect(local.operations()).toEqual(["ListParts"]);
      writeFileSync(filePath, bytes);
      utimesSync(filePath, time, time);
      await local.client.upload(input);
      expect(partsSent()).toEqual([3, 4]);
      await expectObject();
    },
  );
});

describe("a checkpoint of another upload", () => {
  it.each([
    ["another key", { Key: "other" }, "Key"],
    ["other metadata", { Metadata: { a: "2" } }, "Metadata"],
    ["another content type", { ContentType: "text/y" }, "ContentType"],
    ["no condition", { IfNoneMatch: "*" }, "IfNoneMatch"],
    ["another storage of the envelope", { envelopeStorage: "sidecar" as const }, "envelopeStorage"],
    ["no customer-provided key", { SSECustomerKey: "k".repeat(32), SSECustomerAlgorithm: "AES256" }, ""],
  ])("upload refuses a checkpoint that began with %s", async (_, other, field) => {
    await interrupt(2);
    const error = await errorOf(() => local.client.upload({ ...input, ...other }));
    expect(error).toEqual(coded("CHECKPOINT_INVALID", field ? { field, path: checkpointPath } : {}));
    expect(local.operations()).toEqual([]);
  });

  it("upload refuses a checkpoint with another encryption context before it calls the keyring or S3", async () => {
    await interrupt(2);
    const error = await errorOf(() => local.client.upload({ ...input, encryptionContext: { tenant: "43" } }));
    expect(error).toEqual(coded("CONTEXT_MISMATCH"));
    expect(local.operations()).toEqual([]);
  });

  it("upload resumes when the same metadata is given in another order", async () => {
    await interrupt(2);
    await local.client.upload({ ...input, Metadata: { a: "2", b: "1" } });
    await expectObject();
  });

  it("upload refuses a damaged checkpoint, and the error names line or field", async () => {
    await interrupt(3);
    const text = readFileSync(checkpointPath, "utf8");
    const lines = text.trimEnd().split("\n");
    const header = JSON.parse(lines[0] ?? "");
    const write = (...changed: string[]) => writeFileSync(checkpointPath, `${changed.join("\n")}\n`);
    const withTicket = (change: object) =>
      JSON.stringify({ ...header, ticket: { ...header.ticket, ...change } });
    const rest = lines.slice(1);
    const digest = "0".repeat(64);
    const cases: [string, string[], Record<string, unknown>][] = [
      ["no JSON", ["nonsense", ...rest], { line: 1 }],
      ["another format", [JSON.stringify({ ...header, format: "x" }), ...rest], { field: "line 1.format" }],
      ["a ticket with another upload", [withTicket({ UploadId: 5 }), ...rest], { field: "ticket.UploadId" }],
      ["other sizes", [withTicket({ partCount: 3 }), ...rest], { field: "ticket.partCount" }],
      ["no envelope", [withTicket({ envelope: {} }), ...rest], { field: "ticket.envelope" }],
      ["an unknown field", [withTicket({ more: 1 }), ...rest], { field: "ticket" }],
      ["an unknown line", [...lines, '{"x":1}'], { line: lines.length + 1 }],
      [
        "a part without its first line",
        [lines[0] ?? "", ...rest.filter((line) => !line.includes("begun"))],
        {},
      ],
      ["two digests of a part", [...lines, rest[0]?.replace(/[0-9a-f]{64}/, digest) ?? ""], {}],
      ["an impossible part", [...lines, rest[0]?.replace('"begun":1', '"begun":9') ?? ""], {}],
    ];
    for (const [name, changed, details] of cases) {
      write(...changed);
      const error = await errorOf(() => local.client.upload(input));
      expect(error, name).toEqual(coded("CHECKPOINT_INVALID", details));
      expect(local.operations(), name).toEqual([]);
    }
    // Only the MAC detects these changes.
    for (const change of [
      { ExpectedBucketOwner: "111122223333" },
      { IfNoneMatch: "*" },
      { partBytes: partBytes + 1 },
    ]) {
      write(withTicket(change), lines[0] === undefined ? "" : '{"resumed":"x"}');
      const error = await errorOf(() => local.client.upload(input));
      expect(error).toEqual(coded("CHECKPOINT_INVALID", { field: "ticket" }));
      expect(local.operations()).toEqual([]);
    }
    writeFileSync(checkpointPath, text);
  });
});

it("a process whose checkpoint another one has taken over stops before its next request, and aborts nothing", async () => {
  const { filePath: _file, ...others } = input;
  /** An upload that waits before it reads the end of part 2. */
  const start = (abortSignal?: AbortSignal) => {
    const [reading, gate] = [withResolvers(), withResolvers()];
    const read = async (from: number, to: number) => {
      if (to > 1.5 * partBytes) {
        reading.resolve();
        await gate.promise;
      }
      return bytes.subarray(from, to);
    };
    const client = local.clientWith({ maxConcurrentParts: 1 });
    const settled = client
      .upload({ ...others, source: { length: bytes.length, read } }, { abortSignal })
      .catch((error) => error);
    return { waits: reading.promise, proceed: gate.resolve, settled };
  };
  const first = start();
  await first.waits;
  expect(partsSent()).toEqual([1]);
  const second = start();
  await second.waits;
  local.operations();
  first.proceed();
  expect(await first.settled).toEqual(coded("CHECKPOINT_INVALID", { path: checkpointPath }));
  expect(local.operations()).toEqual([]);
  second.proceed();
  expect(await second.settled).toMatchObject({ plaintextLength: bytes.length });
  await expectObject();

  // The signal of its caller aborts nothing either. It would abort an upload of its own.
  const controller = new AbortController();
  const third = start(controller.signal);
  await third.waits;
  const fourth = start();
  await fourth.waits;
  const reason = new Error("enough");
  controller.abort(reason);
  expect(await third.settled).toBe(reason);
  fourth.proceed();
  expect(await fourth.settled).toMatchObject({ plaintextLength: bytes.length });
});

it("a process stops when another one has completed the upload and removed the checkpoint", async () => {
  const { filePath: _file, ...others } = input;
  const [reading, gate] = [withResolvers(), withResolvers()];
  const slow = async (from: number, to: number) => {
    if (from > 1.5 * partBytes) {
      reading.resolve();
      await gate.promise;
    }
    return bytes.subarray(from, to);
  };
  const read = async (from: number, to: number) => bytes.subarray(from, to);
  const source = (read: typeof slow) => ({ ...others, source: { length: bytes.length, read } });
  const first = errorOf(() => local.clientWith({ maxConcurrentParts: 1 }).upload(source(slow)));
  await reading.promise;
  await local.client.upload(source(read));
  local.operations();
  gate.resolve();
  expect(await first).toEqual(coded("CHECKPOINT_INVALID", { path: checkpointPath }));
  expect(local.operations()).toEqual([]);
  await expectObject();
});

it("a checkpoint contains no customer-provided key", async () => {
  const SSECustomerKey = "customer-provided-key-of-32-byte";
  const error = await interrupt(2, { SSECustomerKey, SSECustomerAlgorithm: "AES256" });
  if (!existsSync(checkpointPath)) return expect(error.details).toMatchObject({ httpStatusCode: 400 });
  const text = readFileSync(checkpointPath, "utf8");
  expect(text).not.toContain(SSECustomerKey);
  expect(text).not.toContain(Buffer.from(SSECustomerKey).toString("base64"));
  expect(text).toContain("SSECustomerKeyMD5");
  const wrong = { SSECustomerKey: "k".repeat(32), SSECustomerAlgorithm: "AES256" };
  expect(await errorOf(() => local.client.upload({ ...input, ...wrong }))).toEqual(
    coded("CHECKPOINT_INVALID"),
  );
  return undefined;
});
