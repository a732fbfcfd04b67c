import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { describe, expect, it, vi } from "vitest";
import type { DownloadInput, TransferProgress } from "../../../src/index.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import {
  blockBytes,
  chunksPerBlock,
  encryptionContext,
  Key,
  plaintext,
  useDownloads,
} from "../../support/download.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, keyring, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const { filePath, fetchFile, files, folder, leavePartial, partialPath, ranges } = useDownloads(local);

describe("the next call", () => {
  it("fetches only what is missing, and tells it apart", async () => {
    const partial = await leavePartial();
    expect(statSync(partial).mode & 0o777).toBe(0o600);
    expect(existsSync(filePath)).toBe(false);
    const told: TransferProgress[] = [];
    const output = await fetchFile({}, { onProgress: (progress) => told.push(progress) });
    expectBytes(readFileSync(filePath), plaintext);
    expect(output.resumedBytes).toBe(10 * blockBytes);
    expect(ranges()).toHaveLength(2);
    expect(files()).toEqual(["file"]);
    expect(told.at(-1)).toMatchObject({ bytes: plaintext.length, parts: 11 });
  });

  it("unwraps the key and compares the context again", async () => {
    await leavePartial();
    expect(await errorOf(() => fetchFile({ encryptionContext: {} }))).toEqual(coded("CONTEXT_MISMATCH"));
    await fetchFile();
    expectBytes(readFileSync(filePath), plaintext);
  });

  it.each([undefined, "one thread"])("fetches again what was changed in the file (%s)", async (how) => {
    const partial = await leavePartial();
    const bytes = readFileSync(partial);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    bytes[3 * blockBytes + 20_000] = (bytes[3 * blockBytes + 20_000] ?? 0) ^ 128;
    writeFileSync(partial, bytes);
    const output = await fetchFile({}, {}, how ? { engine: undefined } : {});
    expectBytes(readFileSync(filePath), plaintext);
    expect(output.resumedBytes).toBe(8 * blockBytes);
  });

  it("fetches again what the file has lost, and drops what is behind its end", async () => {
    let partial = await leavePartial();
    writeFileSync(partial, readFileSync(partial).subarray(0, 5 * blockBytes + 3));
    expect((await fetchFile()).resumedBytes).toBe(5 * blockBytes);
    expectBytes(readFileSync(filePath), plaintext);
    partial = await leavePartial();
    writeFileSync(partial, Buffer.concat([readFileSync(partial), testBytes(3 * blockBytes)]));
    await fetchFile();
    expectBytes(readFileSync(filePath), plaintext);
  });

  it("takes a file that is whole as it is: one request", async () => {
    const onProgress = () => mkdirSync(filePath, { recursive: true });
    const error = await errorOf(() => fetchFile({}, { onProgress }));
    expect(error).toEqual(coded("FILE_FAILED", { fileError: "EISDIR", partialPath: partialPath() }));
    expect(readdirSync(filePath)).toEqual([]);
    rmSync(filePath, { recursive: true });
    local.operations();
    expect((await fetchFile()).resumedBytes).toBe(plaintext.length);
    expect(local.operations()).toEqual(["GetObject"]);
    expectBytes(readFileSync(filePath), plaintext);
    expect(files()).toEqual(["file"]);
  });

  it.each([0o644, 0o664, 0o444])(
    "keeps what a call could not give its final name, whatever mode it was to have: %o",
    async (mode) => {
      const onProgress = () => mkdirSync(filePath, { recursive: true });
      const error = await errorOf(() => fetchFile({ mode }, { onProgress }));
      expect(error).toEqual(coded("FILE_FAILED", { fileError: "EISDIR", partialPath: partialPath() }));
      // Others must not be able to write to what the next call goes on with.
      expect(statSync(partialPath()).mode & 0o777).toBe(0o600);
      rmSync(filePath, { recursive: true });
      expect((await fetchFile()).resumedBytes).toBe(plaintext.length);
      expect(statSync(filePath).mode & 0o777).toBe(0o600);
    },
  );

  const spoil: Record<string, (text: string) => string> = {
    "is of another release": (text) => text.replace("download 1", "download 2"),
    "is of another object": (text) => text.replace('"large"', '"other"'),
    "is of another version": (text) => text.replace(/"ETag":"[^,]*,/, '"ETag":"x",'),
    "is garbage": () => "\0\x01garbage\n\n",
    "is empty": () => "",
  };
  it.each(Object.keys(spoil))("begins anew when the journal %s", async (what) => {
    const partial = await leavePartial();
    const journal = partial.replace(/partial$/, "journal");
    writeFileSync(journal, spoil[what]?.(readFileSync(journal, "utf8")) ?? "");
    expect((await fetchFile()).resumedBytes).toBe(0);
    expectBytes(readFileSync(filePath), plaintext);
    expect(files()).toEqual(["file"]);
  });

  it("passes over lines that are not whole, and blocks that are not there", async () => {
    const partial = await leavePartial();
    const journal = partial.replace(/partial$/, "journal");
    const lines = readFileSync(journal, "utf8").split("\n");
    const [head, first = "", second = "", ...others] = lines;
    const torn = [head, first.slice(0, 20) + second, ...others.slice(0, 3), `999 ${"ab".repeat(32)}`, "3 x"];
    writeFileSync(journal, `${torn.join("\n")}\n${others[3]}`);
    expect((await fetchFile()).resumedBytes).toBe(3 * blockBytes);
    expectBytes(readFileSync(filePath), plaintext);
  });

  it("begins anew when the object was overwritten, the journal is gone, or the file is", async () => {
    await leavePartial();
    await local.client.put({ Bucket, Key, Body: plaintext, encryptionContext, Metadata: { note: "mine" } });
    expect((await fetchFile()).resumedBytes).toBe(0);
    for (const name of ["journal", "partial"]) {
      const partial = await leavePartial();
      rmSync(partial.replace(/partial$/, name));
      expect((await fetchFile()).resumedBytes).toBe(0);
      expectBytes(readFileSync(filePath), plaintext);
      expect(files()).toEqual(["file"]);
    }
  });

  it("is not kept from its work by what it cannot remove", async () => {
    const name = `file.s3e-${crypto.randomUUID()}`;
    for (const kind of ["partial", "journal"]) mkdirSync(join(folder, `${name}.${kind}`));
    expect((await fetchFile()).resumedBytes).toBe(0);
    expectBytes(readFileSync(filePath), plaintext);
  });

  it("follows no link that somebody has put in the place of the file", async () => {
    const partial = await leavePartial();
    const victim = join(folder, "victim");
    writeFileSync(victim, readFileSync(partial));
    const before = readFileSync(victim);
    rmSync(partial);
    symlinkSync(victim, partial);
    expect((await fetchFile()).resumedBytes).toBe(0);
    expectBytes(readFileSync(victim), before);
    expect(files()).toEqual(["file", "victim"]);
  });

  it("writes into no file that has another name as well", async () => {
    const partial = await leavePartial();
    linkSync(partial, join(folder, "elsewhere"));
    expect((await fetchFile()).resumedBytes).toBe(0);
    expect(statSync(join(folder, "elsewhere")).ino).not.toBe(statSync(filePath).ino);
  });

  it("leaves alone what only looks like it", async () => {
    const names = [
      "file.s3e-xyz.partial",
      "file2.s3e-01234567-89ab-4cde-8f01-23456789abcd.partial",
      "file.s3e-01234567-89ab-4cde-8f01-23456789abcd.partial.bak",
    ];
    for (const name of names) writeFileSync(join(folder, name), "mine");
    await fetchFile();
    expect(files()).toEqual(["file", ...names].sort());
  });

  it("from another process takes over; the one that was slower fails and spoils nothing", async () => {
    // Another copy of the module is another process, for all that it knows.
    vi.resetModules();
    const other = await import("../../../src/objects/download/download.js");
    const settings = (await import("../../../src/objects/encrypted/config.js")).configArgument({
      s3: local.s3,
      keyring,
    });
    const input = { Bucket, Key, filePath, encryptionContext };
    let second: Promise<unknown> | undefined;
    let requests = 0;
    const s3 = new S3Client(local.aws.s3Config);
    // After three requests it is so slow that the other has ended before the next.
    s3.middlewareStack.add(
      (next) => async (args) => {
        requests += 1;
        if (requests > 3) second ??= other.download(settings, input, {}, chunksPerBlock);
        await second;
        return next(args);
      },
      { step: "initialize" },
    );
    const slow = errorOf(() => fetchFile({}, {}, { maxConcurrentParts: 1, s3 }));
    expect(await slow).toEqual(coded("FILE_FAILED", { fileError: "ENOENT" }));
    // It did not go on to the end for nothing.
    expect(requests).toBeLessThan(8);
    await second;
    s3.destroy();
    expectBytes(readFileSync(filePath), plaintext);
    expect(files()).toEqual(["file"]);
  });
});

describe("what a failed call leaves", () => {
  const aborted = async (input: Partial<DownloadInput>) => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const onProgress = () => controller.abort(reason);
    const options = { abortSignal: controller.signal, onProgress };
    expect(await errorOf(() => fetchFile(input, options))).toBe(reason);
  };

  it("is nothing when it was aborted, unless that was asked for", async () => {
    await aborted({});
    expect(files()).toEqual([]);
    await aborted({ keepPartial: true });
    expect(files()).toHaveLength(2);
    expect((await fetchFile()).resumedBytes).toBeGreaterThan(0);
    expectBytes(readFileSync(filePath), plaintext);
  });

  it("is nothing when nothing shall be kept", async () => {
    local.aws.fault({ operation: "GetObject", skip: 3, times: 100, status: 403, code: "AccessDenied" });
    const error = await errorOf(() => fetchFile({ keepPartial: false }));
    expect(error).toEqual(coded("S3_ACCESS_DENIED"));
    expect(error).not.toHaveProperty("details.partialPath");
    expect(files()).toEqual([]);
  });

  it("is nothing when the listener throws", async () => {
    const reason = new Error("mine");
    const onProgress = () => {
      throw reason;
    };
    expect(await errorOf(() => fetchFile({}, { onProgress }))).toBe(reason);
    expect(files()).toEqual([]);
  });

  it("before anything was asked for, is nothing", async () => {
    const reason = new Error("early");
    expect(await errorOf(() => fetchFile({}, { abortSignal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(local.operations()).toEqual([]);
  });

  it("ends all requests when it is aborted", async () => {
    const controller = new AbortController();
    local.aws.fault({ operation: "GetObject", skip: 1, times: 100, stallBodyBytes: 100 });
    const failing = errorOf(() => fetchFile({}, { abortSignal: controller.signal }));
    while (local.aws.requests.length < 4) await new Promise(setImmediate);
    controller.abort(new Error("enough"));
    expect(await failing).toBe(controller.signal.reason);
    while ((await local.aws.s3Connections()) > 1) await new Promise(setImmediate);
    expect(files()).toEqual([]);
  });
});
