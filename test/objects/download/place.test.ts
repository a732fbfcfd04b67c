/** The place that a download is for, and the names beside it. */
import { spawnSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import * as fs from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { expectBytes } from "../../support/bytes.js";
import { blockBytes, encryptionContext, Key, plaintext, useDownloads } from "../../support/download.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, keyring, useLocalAws } from "../../support/local.js";

vi.mock("node:fs/promises", async (load) => {
  const real = await load<typeof fs>();
  return { ...real, open: vi.fn(real.open) };
});

const local = useLocalAws();
const { filePath, fetchFile, files, folder, leavePartial, partialPath } = useDownloads(local);
const other = join(folder, "other");
const noWindows = process.platform === "win32";

/** What somebody may have at a path, in the order of making it; none of these is a regular file. */
let server: Server | undefined;
const kinds: Record<string, (path: string) => unknown> = {
  "a pipe": (path) => expect(spawnSync("mkfifo", [path]).status).toBe(0),
  "a socket": async (path) => {
    const listening = createServer();
    server = listening;
    await new Promise<void>((resolve) => listening.listen(path, resolve));
  },
  "a folder": (path) => mkdirSync(path),
  "a link to a file": (path) => {
    writeFileSync(other, "other");
    symlinkSync(other, path);
  },
  "a link to a pipe": (path) => {
    expect(spawnSync("mkfifo", [other]).status).toBe(0);
    symlinkSync(other, path);
  },
  "a link to a folder": (path) => {
    mkdirSync(other);
    symlinkSync(other, path);
  },
  "a link to nothing": (path) => symlinkSync(other, path),
};
const codes: Record<string, string> = { "a folder": "EISDIR", "a pipe": "EINVAL", "a socket": "EINVAL" };

afterEach(async () => {
  vi.mocked(fs.open).mockRestore();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
});

describe.skipIf(noWindows)("a special file at the path of a download", () => {
  it.each(Object.keys(kinds))("stays unchanged, and no request is sent: %s", async (kind) => {
    await kinds[kind]?.(filePath);
    const before = lstatSync(filePath);
    const error = await errorOf(() => fetchFile());
    const fileError = codes[kind] ?? "ELOOP";
    expect(error).toEqual(coded("FILE_FAILED", { path: filePath, fileError, bucket: Bucket, key: Key }));
    expect(local.operations()).toEqual([]);
    const after = lstatSync(filePath);
    expect([after.ino, after.mode]).toEqual([before.ino, before.mode]);
    expect(files()).toEqual(existsSync(other) ? ["file", "other"] : ["file"]);
    if (before.isSymbolicLink()) expect(readlinkSync(filePath)).toBe(other);
  });

  it.each(Object.keys(kinds))("stays unchanged when it appears during the download: %s", async (kind) => {
    let made: Promise<unknown> | undefined;
    const onProgress = () => {
      made ??= Promise.resolve(kinds[kind]?.(filePath));
    };
    const error = await errorOf(() => fetchFile({}, { onProgress }));
    await made;
    expect(error).toEqual(
      coded("FILE_FAILED", { fileError: codes[kind] ?? "ELOOP", partialPath: partialPath() }),
    );
    const after = lstatSync(filePath);
    expect(after.isFile()).toBe(false);
    if (after.isSymbolicLink()) expect(readlinkSync(filePath)).toBe(other);
    rmSync(filePath, { recursive: true });
    expect((await fetchFile()).resumedBytes).toBe(plaintext.length);
    expectBytes(readFileSync(filePath), plaintext);
  });

  it("is found in the folder that a symbolic link leads to", async () => {
    mkdirSync(other);
    symlinkSync(other, join(folder, "link"));
    await fetchFile({ filePath: join(folder, "link", "file") });
    expectBytes(readFileSync(join(other, "file")), plaintext);
  });
});

describe("a download path that names a folder", () => {
  it.each(["new/", "new/.", "new/..", "new//", ".", ".."])(
    "is refused before any request: %s",
    async (end) => {
      const error = await errorOf(() => fetchFile({ filePath: `${folder}/${end}` }));
      expect(error).toEqual(
        new RangeError("filePath: expected the path of a file, got one that ends as that of a folder does"),
      );
      expect(local.operations()).toEqual([]);
      expect(files()).toEqual([]);
    },
  );
});

describe("a long file name of a download", () => {
  const refused = {
    operation: "GetObject",
    times: Number.POSITIVE_INFINITY,
    status: 403,
    code: "AccessDenied",
  } as const;
  it.each([
    ["94 bytes", "a".repeat(94)],
    ["95 bytes", "a".repeat(95)],
    ["206 bytes", "a".repeat(206)],
    ["207 bytes", "a".repeat(207)],
    ["255 bytes", "a".repeat(255)],
    ["255 bytes of three each", "\u6587".repeat(85)],
    ["255 bytes with a pair where it is cut", `${"a".repeat(59)}${"\u{1f600}".repeat(49)}`],
  ])("of %s can be written and resumed", async (_, name) => {
    const path = join(folder, name);
    local.aws.fault({ skip: 4, ...refused });
    const error = await errorOf(() => fetchFile({ filePath: path }, {}, { maxConcurrentParts: 1 }));
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { partialPath: partialPath() }));
    for (const file of files()) expect(Buffer.byteLength(file)).toBeLessThanOrEqual(143);
    local.aws.clearFaults();
    expect((await fetchFile({ filePath: path })).resumedBytes).toBe(4 * blockBytes);
    expectBytes(readFileSync(path), plaintext);
    expect(files()).toEqual([name]);
  });

  it("of 256 bytes is refused before any request", async () => {
    const error = await errorOf(() => fetchFile({ filePath: join(folder, "a".repeat(256)) }));
    expect(error).toEqual(coded("FILE_FAILED", { fileError: "ENAMETOOLONG" }));
    expect(local.operations()).toEqual([]);
  });

  it("has partial files of its own, not shared with a name of the same first 200 characters", async () => {
    const [one, two] = ["1", "2"].map((end) => join(folder, `${"a".repeat(200)}${end}`));
    local.aws.fault({ skip: 4, ...refused });
    await errorOf(() => fetchFile({ filePath: one }, {}, { maxConcurrentParts: 1 }));
    local.aws.clearFaults();
    expect((await fetchFile({ filePath: two })).resumedBytes).toBe(0);
    expect((await fetchFile({ filePath: one })).resumedBytes).toBe(4 * blockBytes);
  });
});

describe("the partial file of a download", () => {
  it("of another user is not resumed", async (context) => {
    if (process.getuid?.() !== 0) {
      console.warn("skipped: only root can give a file to another user");
      return context.skip();
    }
    for (const kind of ["partial", "journal"]) {
      const partial = await leavePartial();
      chownSync(partial.replace(/partial$/, kind), 12_345, 12_345);
      expect((await fetchFile()).resumedBytes).toBe(0);
      expectBytes(readFileSync(filePath), plaintext);
      expect(files()).toEqual(["file"]);
      rmSync(filePath);
    }
  });

  it.each(["partial", "journal"])(
    "is named in the error only if it exists (without its %s)",
    async (kind) => {
      local.aws.fault({ operation: "GetObject", skip: 4, times: 100, status: 403, code: "AccessDenied" });
      const onProgress = () => {
        for (const name of files()) if (name.endsWith(kind)) rmSync(join(folder, name));
      };
      const error = await errorOf(() => fetchFile({}, { onProgress }, { maxConcurrentParts: 1 }));
      expect(error.message).not.toContain(`${folder}/file.s3e-`);
      expect(error).not.toHaveProperty("details.partialPath");
    },
  );

  const early: [string, () => Promise<unknown>][] = [
    [
      "was aborted before it began",
      () => fetchFile({ keepPartial: false }, { abortSignal: AbortSignal.abort(new Error("early")) }),
    ],
    ["states the wrong context", () => fetchFile({ keepPartial: false, encryptionContext: {} })],
    ["asks for what is not there", () => fetchFile({ keepPartial: false, Key: "none" })],
    [
      "has no key for the object",
      () =>
        fetchFile({ keepPartial: false }, {}, { keyring: { ...keyring, unwrapDataKey: async () => null } }),
    ],
  ];
  it.each(early)(
    "of an earlier call is removed with keepPartial: false when the call %s",
    async (_, call) => {
      await leavePartial();
      await errorOf(call);
      expect(files()).toEqual([]);
    },
  );

  it("of an earlier call is kept by default when the call states the wrong context", async () => {
    const partial = await leavePartial();
    await errorOf(() => fetchFile({ encryptionContext: {} }));
    expect(existsSync(partial)).toBe(true);
  });

  it("of a download in progress stays when another one to the same path is refused", async () => {
    let refused: Promise<Error> | undefined;
    const onProgress = () => {
      refused ??= errorOf(() => fetchFile({ keepPartial: false }));
    };
    await fetchFile({}, { onProgress });
    expect(await refused).toEqual(coded("FILE_FAILED"));
    expectBytes(readFileSync(filePath), plaintext);
  });
});

it("a download works with the file handles of Yarn's Plug'n'Play, which cannot sync", async () => {
  const { open } = await vi.importActual<typeof fs>("node:fs/promises");
  let handles = 0;
  vi.mocked(fs.open).mockImplementation(async (...input) => {
    handles += 1;
    const handle = await open(...input);
    const missing = ["sync", "datasync", "readv", "writev", "utimes"];
    return new Proxy(handle, {
      get: (target, name) => {
        const value: unknown = missing.includes(String(name)) ? undefined : Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  });
  await fetchFile({ fsync: true });
  expectBytes(readFileSync(filePath), plaintext);
  const checkpointPath = join(folder, "checkpoint");
  const client = local.clientWith({ partSizeBytes: 5 * 1024 * 1024 });
  const source = {
    length: 6 * 1024 * 1024,
    read: async (start: number, end: number) => Buffer.alloc(end - start),
  };
  await client.upload({ Bucket, Key: "uploaded", source, checkpointPath, encryptionContext });
  expect(handles).toBeGreaterThan(3);
});
