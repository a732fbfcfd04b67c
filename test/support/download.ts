/** Downloads in small blocks, for test files about them. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import type { DownloadInput, DownloadOutput, EnvelopeClientOptions } from "../../src/index.js";
import { download } from "../../src/objects/download/download.js";
import { configArgument } from "../../src/objects/encrypted/config.js";
import type { TransferOptions } from "../../src/transfer/call.js";
import { testBytes } from "./bytes.js";
import { useEngines } from "./engines.js";
import { coded, errorOf } from "./errors.js";
import { Bucket, keyring, type Local } from "./local.js";

/** Blocks of four chunks. */
export const chunksPerBlock = 4;
/** The plaintext bytes of a block. */
export const blockBytes = chunksPerBlock * 16_384;
/** The bytes of a block in the object. */
export const blockSealedBytes = chunksPerBlock * 16_400;
/** The context of {@link Key}. */
export const encryptionContext = { tenant: "42" };
/** Ten full blocks and a short one. */
export const plaintext = testBytes(10 * blockBytes + 777, 3);
/** The key of the object that {@link useDownloads} stores. */
export const Key = "large";

/** The result of {@link useDownloads}. */
export interface Downloads {
  readonly folder: string;
  readonly filePath: string;
  /** Downloads the object to {@link filePath}, unless the input states otherwise. */
  fetchFile(
    input?: Partial<DownloadInput>,
    options?: TransferOptions,
    client?: Partial<EnvelopeClientOptions>,
  ): Promise<DownloadOutput>;
  /** The settings of its client. */
  settings(client?: Partial<EnvelopeClientOptions>): ReturnType<typeof configArgument>;
  /** The names of all files in the folder. */
  files(): string[];
  /** The path of the only partial file. */
  partialPath(): string;
  /** The ranges of the requests so far. */
  ranges(): string[];
  /** Leaves a partial file without its last block, and returns its path. */
  leavePartial(): Promise<string>;
}

/** Provides a folder that is emptied before each test, an engine with workers, and an object. */
export function useDownloads(local: Local): Downloads {
  const { startedEngine } = useEngines();
  const folder = mkdtempSync(join(tmpdir(), "s3-envelope-download-"));
  const filePath = join(folder, "file");
  let engine: Awaited<ReturnType<typeof startedEngine>>;
  beforeAll(async () => {
    engine = await startedEngine();
    await local.client.put({ Bucket, Key, Body: plaintext, encryptionContext, Metadata: { note: "mine" } });
  });
  beforeEach(() => {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
    local.operations();
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const settings: Downloads["settings"] = (client) =>
    configArgument({ s3: local.s3, keyring, engine, ...client });
  const fetchFile: Downloads["fetchFile"] = (input, options = {}, client = {}) =>
    download(
      settings(client),
      { Bucket, Key, filePath, encryptionContext, ...input },
      options,
      chunksPerBlock,
    );
  const files = () => readdirSync(folder).sort();
  const partialPath = () => join(folder, files().filter((name) => name.endsWith(".partial"))[0] ?? "none");
  return {
    folder,
    filePath,
    fetchFile,
    settings,
    files,
    partialPath,
    ranges: () => local.aws.requests.map(({ headers }) => headers.range ?? ""),
    async leavePartial() {
      const refused = { status: 403, code: "AccessDenied" } as const;
      local.aws.fault({ operation: "GetObject", skip: 10, times: Number.POSITIVE_INFINITY, ...refused });
      const error = await errorOf(() => fetchFile({}, {}, { maxConcurrentParts: 1 }));
      local.aws.clearFaults();
      local.operations();
      expect(error).toEqual(coded("S3_ACCESS_DENIED", { partialPath: partialPath() }));
      return partialPath();
    },
  };
}
