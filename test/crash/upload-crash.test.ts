/** Uploads with a checkpoint, in processes that are killed at random moments, to an S3 that is killed as well. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ListPartsCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EnvelopeClient } from "../../src/index.js";
import type { LocalClientConfig } from "../../src/testing/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { Bucket, keyring, partBytes } from "../support/local.js";
import { type RecordingProxy, startRecordingProxy } from "./recording-proxy.js";

/** So many uploading processes. */
const kills = 50;
/** Every so many kills the S3 is killed as well, amid an upload. */
const killsBetweenServers = 5;
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000);
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-upload-crash-"));
const FilePath = join(folder, "source");
const CheckpointPath = join(folder, "checkpoint");
const input = { Bucket, Key: "crashed", encryptionContext: { tenant: "42" }, FilePath, CheckpointPath };
const entry = new URL("../../dist/index.js", import.meta.url).href;

/** The package as it was built: it starts sooner than the source. The same keyring as in the tests. */
const uploader = `
  import { aesKeyring, createS3Client, EnvelopeClient } from ${JSON.stringify(entry)};
  process.once("disconnect", () => process.exit());
  process.once("message", async ({ config, input, wrappingKey, partSizeBytes }) => {
    const keyring = aesKeyring({ keyId: "test", wrappingKey: Buffer.from(wrappingKey, "hex") });
    const client = new EnvelopeClient({ s3: createS3Client({ ...config, maxAttempts: 2 }), keyring, partSizeBytes });
    await client.upload(input).then(
      () => process.send({ done: true }),
      ({ code, message }) => process.send({ code, message }),
    );
  });
  process.send("ready");
`;

let server: ChildProcess;
let proxy: RecordingProxy;
let config: LocalClientConfig;
let s3: S3Client;
let client: EnvelopeClient;

async function startServer(): Promise<void> {
  server = fork(new URL("../support/s3-process.ts", import.meta.url), [join(folder, "s3")], {
    execArgv: ["--import", "tsx"],
  });
  [config] = (await once(server, "message")) as [LocalClientConfig];
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** A process that has loaded everything and waits for what to do. */
async function startUploader(): Promise<ChildProcess> {
  const args = ["--input-type=module", "--eval", uploader];
  const env = { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" };
  const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit", "ipc"], env });
  await once(child, "message");
  return child;
}

beforeAll(async () => {
  await startServer();
  proxy = await startRecordingProxy(new URL(config.endpoint));
  s3 = new S3Client({ ...config, endpoint: proxy.endpoint });
  client = new EnvelopeClient({ s3, keyring });
});
afterAll(async () => {
  s3.destroy();
  await killed(server);
  await proxy.close();
  rmSync(folder, { recursive: true });
});

/** Uniform in 0 to 1, the same for the same seed. */
function randomNumbers(): () => number {
  let index = 0;
  return () => testBytes(4, seed * 1000 + index++).readUInt32BE() / 2 ** 32;
}

interface Answer {
  readonly done?: boolean;
  readonly code?: string;
  readonly message?: string;
}

test(`killed ${kills} times, the S3 too: every upload is gone on with and its object is whole (CRASH_SEED=${seed})`, async () => {
  const random = randomNumbers();
  let bytes: Buffer = Buffer.alloc(0);
  const renew = (object: number) => {
    bytes = testBytes(4 * partBytes + 1000 * object, seed + object);
    writeFileSync(FilePath, bytes);
    proxy.forget();
  };
  const settings = { wrappingKey: testBytes(32, 77).toString("hex"), partSizeBytes: partBytes };
  let [done, serverKills, objects, failures, emptyUploads] = [0, 0, 0, 0, 0];
  /** How long the first one takes, which is not killed. */
  let typicalMs: number | undefined;
  renew(objects);
  let next = startUploader();
  while (true) {
    const child = await next;
    next = startUploader();
    const answer = once(child, "message").then(([message]) => message as Answer);
    const started = performance.now();
    child.send({ config: { ...config, endpoint: proxy.endpoint }, input, ...settings });
    const end = new AbortController();
    const moment = typicalMs !== undefined && done < kills ? random() * typicalMs * 0.9 : 60_000;
    let outcome = await Promise.race([answer, delay(moment, undefined, { signal: end.signal })]).catch(
      () => undefined,
    );
    end.abort();
    const killsServer = outcome === undefined && done >= (serverKills + 1) * killsBetweenServers;
    if (killsServer) {
      await killed(server);
      await startServer();
      proxy.target = new URL(config.endpoint);
      serverKills += 1;
      // It fails, and keeps what the next process goes on with; or it has retried long enough.
      outcome = await answer;
    }
    await killed(child);
    if (outcome === undefined) {
      done += 1;
      continue;
    }
    if (!outcome.done) {
      // The S3 went away under it.
      expect(outcome).toMatchObject({ code: "S3_UNAVAILABLE" });
      failures += 1;
      continue;
    }
    typicalMs ??= performance.now() - started;
    const { Body } = await client.get(input);
    expectBytes(Buffer.from(await Body.transformToByteArray()), bytes);
    expect(existsSync(CheckpointPath)).toBe(false);
    // A process that was killed before it could write down its upload has sent nothing for it.
    for await (const { Key, UploadId } of client.listUploads({ Bucket })) {
      const { Parts = [] } = await s3.send(new ListPartsCommand({ Bucket, Key, UploadId }));
      expect(Parts).toEqual([]);
      emptyUploads += 1;
    }
    expect((await client.abortUploads({ Bucket, olderThanMs: 0 })).failed).toEqual([]);
    objects += 1;
    if (done >= kills) break;
    renew(objects);
  }
  await killed(await next);
  expect(proxy.faults).toEqual([]);
  // Otherwise this has shown nothing.
  expect(proxy.sentAgain).toBeGreaterThan(0);
  expect(emptyUploads).toBeLessThanOrEqual(kills);
  console.log(
    `${kills} kills, ${serverKills} of the S3, ${objects} objects, ${failures} failures, ${proxy.sentAgain} parts sent again, ${emptyUploads} empty uploads`,
  );
}, 120_000);
