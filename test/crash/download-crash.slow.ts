/** Downloads in processes that are killed at random moments, from an S3 in a process that is sometimes killed as well. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EnvelopeClient } from "../../src/index.js";
import type { LocalClientConfig } from "../../src/testing/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { startDownload } from "../support/download-process.js";
import { Bucket, keyring } from "../support/local.js";
import { randomOf } from "../support/random.js";

/** `npm run prove -- download-kills` kills more of them. */
const kills = Number(process.env.CRASH_KILLS ?? 10);
/** Whether the S3 is killed with this download. */
const isServerKilled = (kill: number) => kill % 10 === 5;
const maxDelayMs = 200;
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000);
const random = randomOf(seed);
const plaintext = testBytes(24 * 1024 * 1024 + 12_345, 9);
const object = { Bucket, Key: "object" };
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-crash-"));
const target = join(folder, "target");
const filePath = join(target, "file");

let server: ChildProcess;
let config: LocalClientConfig;

async function startServer(): Promise<void> {
  const script = new URL("../support/s3-process.ts", import.meta.url);
  const earlier = config === undefined ? [] : [JSON.stringify(config)];
  server = fork(script, [join(folder, "s3"), ...earlier], { execArgv: ["--import", "tsx"] });
  [config] = (await once(server, "message")) as [LocalClientConfig];
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

beforeAll(async () => {
  mkdirSync(target);
  await startServer();
  const s3 = new S3Client({ ...config });
  await new EnvelopeClient({ s3, keyring }).put({ ...object, Body: plaintext });
  s3.destroy();
});
afterAll(async () => {
  await kill(server);
  rmSync(folder, { recursive: true });
});

/** Starts a download and kills it some time later. Returns its outcome if it ended before that. */
async function tryDownload(kill: { from: "begun" | "moving"; afterMs: number } | undefined, restart = false) {
  const process = startDownload(config, { ...object, filePath, fsync: false });
  const { child, ended } = process;
  await process.begun;
  if (kill) {
    // A download that fails because the server was just killed sends no such message.
    await process[kill.from].catch(() => undefined);
    await Promise.race([delay(kill.afterMs), ended]);
    if (restart) await restartServer();
    child.kill("SIGKILL");
  }
  return ended;
}

async function restartServer(): Promise<void> {
  await kill(server);
  await startServer();
}

test(`killed ${kills} times and resumed, what is at the final name is whole (CRASH_SEED=${seed})`, async () => {
  const seen = { partials: 0, completed: 0, resumedBytes: 0 };
  const requireWhole = () => {
    expectBytes(readFileSync(filePath), plaintext);
    seen.completed += 1;
    rmSync(filePath);
  };
  for (let count = 1; count <= kills; count++) {
    // Some kills come before the first block is written; if all did, a slow machine would make no progress.
    const from = count % 2 === 0 ? "begun" : "moving";
    const result = await tryDownload({ from, afterMs: random() * maxDelayMs }, isServerKilled(count));
    if (result?.code !== undefined) expect(["S3_UNAVAILABLE", "BODY_INTERRUPTED"]).toContain(result.code);
    seen.resumedBytes += result?.resumedBytes ?? 0;
    if (readdirSync(target).some((name) => name.endsWith(".partial"))) seen.partials += 1;
    if (existsSync(filePath)) requireWhole();
  }
  // This one leaves a partial file in any case: it is killed as soon as the first block is written.
  await tryDownload({ from: "moving", afterMs: 0 });
  if (existsSync(filePath)) requireWhole();
  const last = await tryDownload(undefined);
  seen.resumedBytes += last?.resumedBytes ?? 0;
  expect(last).toEqual({ resumedBytes: expect.any(Number) });
  expect(readdirSync(target)).toEqual(["file"]);
  requireWhole();
  // Otherwise the test has proved nothing.
  expect(seen.partials).toBeGreaterThan(kills / 5);
  expect(seen.resumedBytes).toBeGreaterThan(0);
});
