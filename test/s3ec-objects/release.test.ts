import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { VerifiedBody } from "../../src/index.js";
import type { LegacyReadingOptions } from "../../src/legacy.js";
import { collectUntilError, expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { type LegacyFiles, localShapes, writeLegacy } from "../support/legacy-objects.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { readerOf, store } from "./support.js";

const local = useLocalAws();
const directory = mkdtempSync(join(tmpdir(), "s3e-release-"));
afterAll(() => rmSync(directory, { recursive: true }));
const plaintext = testBytes(3_000_000, 1);
const onLinux = process.platform === "linux";

async function stored(): Promise<LegacyFiles> {
  const files = await writeLegacy(plaintext, localShapes["115"]);
  await store(local, "k", files);
  local.operations();
  return files;
}

/** Files of the folder that this process has open, whether they still have a name or not. */
function openFiles(): string[] {
  if (!onLinux) return [];
  const links = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [[`/proc/self/fd/${fd}`, readlinkSync(`/proc/self/fd/${fd}`)] as const];
    } catch {
      return [];
    }
  });
  return links.filter(([, target]) => target.startsWith(directory)).map(([path]) => path);
}

async function expectNoFiles(): Promise<void> {
  await expect.poll(openFiles).toEqual([]);
  expect(readdirSync(directory)).toEqual([]);
}

const get = (options: Partial<LegacyReadingOptions>, call = {}, input = {}) =>
  readerOf(local, options).get({ Bucket, Key: "k", ...input }, call);
const toFile = {
  maxBufferedObjectBytes: 1000,
  largeObjects: "temporary-file",
  temporaryDirectory: directory,
} as const;
const inMemory = {};

/** Reads on until the first piece is there. */
async function firstPiece(body: VerifiedBody): Promise<void> {
  await new Promise((resolve, reject) => {
    body.once("readable", resolve);
    body.once("error", reject);
  });
}

describe("a legacy object that is held in memory until it is verified", () => {
  it("may be as large as the limit; a larger one is refused before its body is read", async () => {
    const { body } = await stored();
    const { length } = body;
    for (const maxBufferedObjectBytes of [length + 1, length]) {
      const { Body } = await get({ maxBufferedObjectBytes });
      expectBytes(await Body.transformToByteArray(), plaintext);
    }
    local.operations();
    const maxBufferedObjectBytes = length - 1;
    const connections = await local.aws.s3Connections();
    expect(await errorOf(() => get({ maxBufferedObjectBytes }))).toEqual(
      coded("LEGACY_TOO_LARGE", { maxBufferedObjectBytes, bytes: length }),
    );
    expect(local.operations()).toEqual(["GetObject"]);
    await expect.poll(() => local.aws.s3Connections()).toBeLessThanOrEqual(connections);
  });

  it("of unknown size is read up to the limit", async () => {
    const { body } = await stored();
    const s3 = {
      async send(...args: Parameters<typeof local.s3.send>) {
        return { ...((await local.s3.send(...args)) as unknown as object), ContentLength: undefined };
      },
    } as unknown as typeof local.s3;
    for (const [limit, isEnough] of [
      [body.length, true],
      [body.length - 1, false],
    ] as const) {
      const client = readerOf(local, { maxBufferedObjectBytes: limit }, { s3 });
      const { Body, ContentLength } = await client.get({ Bucket, Key: "k" });
      expect(ContentLength).toBeUndefined();
      const { released, error } = await collectUntilError(Body);
      expect(error).toEqual(isEnough ? undefined : coded("LEGACY_TOO_LARGE"));
      expect(released.length).toBe(isEnough ? plaintext.length : 0);
    }
    const client = readerOf(local, toFile, { s3 });
    const { Body } = await client.get({ Bucket, Key: "k" });
    expectBytes(await Body.transformToByteArray(), plaintext);
    await expectNoFiles();
  });

  it("takes one request, and its body is not read before the caller reads", async () => {
    await stored();
    const connections = await local.aws.s3Connections();
    const { Body, ContentLength } = await get(inMemory);
    expect(ContentLength).toBe(plaintext.length);
    Body.destroy();
    expect(local.operations()).toEqual(["GetObject"]);
    await expect.poll(() => local.aws.s3Connections()).toBeLessThanOrEqual(connections);
  });
});

describe("a legacy object that is kept in a temporary file until it is verified", () => {
  it("is stored encrypted, for this process alone, and deleted after the read", async () => {
    const { body } = await stored();
    const { Body, legacy } = await get(toFile);
    expect(legacy?.authenticated).toBe("before-release");
    expect(openFiles()).toEqual([]);
    await firstPiece(Body);
    if (onLinux) {
      // It has no name any more.
      expect(readdirSync(directory)).toEqual([]);
      const [path = ""] = openFiles();
      expectBytes(readFileSync(path), body);
      expect(statSync(path).mode & 0o777).toBe(0o600);
    }
    expectBytes(await collectRest(Body), plaintext);
    await expectNoFiles();
    expect(local.operations()).toEqual(["GetObject"]);
  });

  it.runIf(onLinux)("returns nothing that was changed in the file after the verification", async () => {
    await stored();
    const { Body } = await get(toFile);
    await firstPiece(Body);
    const [path = ""] = openFiles();
    const file = openSync(path, "r+");
    writeSync(file, Buffer.alloc(10), 0, 10, 2_500_000);
    closeSync(file);
    const { released, error } = await collectUntilError(Body);
    expect(error).toEqual(coded("FILE_FAILED"));
    expectBytes(released, plaintext.subarray(0, released.length));
    expect(released.length).toBeLessThanOrEqual(2_500_000);
    await expectNoFiles();
  });

  it("is not stored if it is within the limit", async () => {
    const { body } = await stored();
    const { Body } = await get({ ...toFile, maxBufferedObjectBytes: body.length });
    await firstPiece(Body);
    expect(openFiles()).toEqual([]);
    Body.destroy();
  });

  it("fails with FILE_FAILED if the file cannot be written", async () => {
    await stored();
    const temporaryDirectory = join(directory, "nowhere");
    const { Body } = await get({ ...toFile, temporaryDirectory });
    const { released, error } = await collectUntilError(Body);
    expect(released.length).toBe(0);
    expect(error).toEqual(coded("FILE_FAILED", { path: expect.stringContaining(temporaryDirectory) }));
  });
});

async function collectRest(body: VerifiedBody): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece as Uint8Array);
  return Buffer.concat(pieces);
}

describe.each([
  ["memory", inMemory],
  ["a temporary file", toFile],
] as const)("through %s", (_where, options) => {
  it("returns nothing of a changed object", async () => {
    const { body, metadata } = await stored();
    for (const at of [0, 1_500_000, body.length - 1]) {
      const changed = Buffer.from(body);
      changed[at] = (changed[at] ?? 0) ^ 0x80;
      await local.putRaw("k", changed, metadata);
      const { Body } = await get(options);
      const { released, error } = await collectUntilError(Body);
      expect([released.length, error]).toEqual([0, coded("DECRYPTION_FAILED")]);
      await expectNoFiles();
    }
  });

  it("returns nothing when the connection breaks or stalls", async () => {
    await stored();
    for (const [fault, code] of [
      [{ truncateBodyBytes: 2_000_000 }, "BODY_INTERRUPTED"],
      [{ stallBodyBytes: 2_000_000 }, "BODY_STALLED"],
    ] as const) {
      local.aws.fault({ operation: "GetObject", ...fault });
      const client = readerOf(local, options, { idleTimeoutMs: "stallBodyBytes" in fault ? 100 : 240_000 });
      const { Body } = await client.get({ Bucket, Key: "k" });
      const { released, error } = await collectUntilError(Body);
      expect([released.length, error]).toEqual([0, coded(code)]);
      await expectNoFiles();
    }
  });

  it("can be aborted before the first byte or later", async () => {
    await stored();
    const reason = new Error("enough");
    const early = new AbortController();
    local.aws.fault({ operation: "GetObject", stallBodyBytes: 1_000_000 });
    const stalled = await get(options, { abortSignal: early.signal });
    const reading = collectUntilError(stalled.Body);
    if (options === toFile && onLinux) await expect.poll(() => openFiles().length).toBe(1);
    early.abort(reason);
    expect(await reading).toEqual({ released: Buffer.alloc(0), error: reason });
    await expectNoFiles();
    const late = new AbortController();
    const { Body } = await get(options, { abortSignal: late.signal });
    await firstPiece(Body);
    late.abort(reason);
    expect((await collectUntilError(Body)).error).toBe(reason);
    await expectNoFiles();
  });

  it("releases everything when its body is destroyed, read or not", async () => {
    await stored();
    (await get(options)).Body.destroy();
    await expectNoFiles();
    const { Body } = await get(options);
    await firstPiece(Body);
    Body.destroy();
    await expectNoFiles();
    local.aws.fault({ operation: "GetObject", stallBodyBytes: 1_000_000 });
    const stalled = (await get(options)).Body;
    stalled.read();
    if (options === toFile && onLinux) await expect.poll(() => openFiles().length).toBe(1);
    stalled.destroy();
    await expectNoFiles();
  });

  it("reports the progress of the bytes that the reader received", async () => {
    await stored();
    const told: number[] = [];
    const onProgress = ({ bytes, totalBytes }: { bytes: number; totalBytes: number | undefined }) => {
      expect(totalBytes).toBe(plaintext.length);
      told.push(bytes);
    };
    const { Body } = await get(options, { onProgress });
    expect(told).toEqual([]);
    expectBytes(await Body.transformToByteArray(), plaintext);
    expect(told.at(-1)).toBe(plaintext.length);
  });
});
