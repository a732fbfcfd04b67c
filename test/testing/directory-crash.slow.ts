/** The in-process S3 on a folder, in a process that is killed while many write. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { LocalClientConfig } from "../../src/testing/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { Bucket } from "../support/local.js";

/** `npm run prove -- store-kills` kills it more often. */
const rounds = Number(process.env.CRASH_KILLS ?? 6);
const writers = 8;
const script = new URL("../support/s3-process.ts", import.meta.url);
const bytesOf = (seed: number) => testBytes((seed * 7919) % 400_000, seed);

let directory: string;
let server: ChildProcess;
let s3: S3Client;
let seeds = 0;

async function start(): Promise<void> {
  server = fork(script, [directory], { execArgv: ["--import", "tsx"] });
  const [config] = (await once(server, "message")) as [LocalClientConfig];
  s3 = new S3Client({ ...config, maxAttempts: 1 });
}

async function kill(): Promise<void> {
  const exited = once(server, "exit");
  server.kill("SIGKILL");
  await exited;
  s3.destroy();
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "s3-envelope-crash-"));
  await start();
});
afterAll(async () => {
  await kill();
  rmSync(directory, { recursive: true });
});

/** What a writer has been told of each key: the seeds that may be there now. None stands for no object. */
type Possible = Map<string, (number | undefined)[]>;

/** Puts, uploads in parts and deletes under a few keys of its own until the server is gone. */
async function write(writer: number, possible: Possible): Promise<void> {
  for (let turn = 0; ; turn++) {
    const Key = `${writer}/${turn % 3}`;
    const seed = ++seeds;
    const at = { Bucket, Key };
    const removes = turn % 5 === 4;
    const before = possible.get(Key) ?? [undefined];
    possible.set(Key, [...before, removes ? undefined : seed]);
    try {
      if (removes) await s3.send(new DeleteObjectCommand(at));
      else if (turn % 2 === 0) {
        await s3.send(new PutObjectCommand({ ...at, Body: bytesOf(seed), Metadata: { seed: `${seed}` } }));
      } else await upload(at, seed);
    } catch {
      return;
    }
    possible.set(Key, [removes ? undefined : seed]);
  }
}

async function upload(at: { Bucket: string; Key: string }, seed: number): Promise<void> {
  const metadata = { Metadata: { seed: `${seed}` } };
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...at, ...metadata }));
  const middle = Math.floor(bytesOf(seed).length / 2);
  const Parts = [];
  for (const [index, Body] of [bytesOf(seed).subarray(0, middle), bytesOf(seed).subarray(middle)].entries()) {
    const PartNumber = index + 1;
    const { ETag } = await s3.send(new UploadPartCommand({ ...at, UploadId, PartNumber, Body }));
    Parts.push({ PartNumber, ETag });
  }
  await s3.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }));
}

async function requireOneOf(Key: string, expected: readonly (number | undefined)[]): Promise<void> {
  try {
    const { Body, Metadata } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    expect(expected).toContain(Number(Metadata?.seed));
    expectBytes((await Body?.transformToByteArray()) ?? Buffer.alloc(1), bytesOf(Number(Metadata?.seed)));
  } catch (error) {
    if ((error as Error).name !== "NoSuchKey") throw error;
    expect(expected).toContain(undefined);
  }
}

test(`a directory survives ${rounds} kills during writes: confirmed objects are complete, and nothing else is stored`, async () => {
  const possible: Possible = new Map();
  for (let round = 0; round < rounds; round++) {
    const writing = Array.from({ length: writers }, (_, writer) => write(writer, possible));
    // Each time in the midst of other writes.
    const enough = seeds + 2 * round;
    await expect.poll(() => seeds).toBeGreaterThan(enough);
    await kill();
    await Promise.all(writing);
    await start();
    for (const [Key, expected] of possible) await requireOneOf(Key, expected);
  }
  expect(seeds).toBeGreaterThan(rounds * writers);

  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
  for (const { Key } of Contents) await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
  for (const { Key, UploadId } of Uploads) {
    await s3.send(new ListPartsCommand({ Bucket, Key, UploadId }));
    await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  }
  for (const folder of ["data", "versions", "uploads", "parts"]) {
    expect(readdirSync(join(directory, folder)), folder).toEqual([]);
  }
});
