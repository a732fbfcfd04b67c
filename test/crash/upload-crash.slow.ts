/** Uploads with a checkpoint, in processes that are killed at random moments, to an S3 that is killed as well. */
import { type ChildProcess, spawn } from "node:child_process";
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
import { Bucket, keyring, s3PartBytes as partBytes } from "../support/local.js";
import { type RecordingProxy, startRecordingProxy } from "./recording-proxy.js";

/** How many uploading processes are killed. `npm run prove -- upload-kills` kills more of them. */
const kills = Number(process.env.CRASH_KILLS ?? 10);
/** After each of these kills the S3 is killed as well, during an upload. */
const killsBetweenServers = 5;
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000);
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-upload-crash-"));
const filePath = join(folder, "source");
const checkpointPath = join(folder, "checkpoint");
const object = { Bucket, Key: "crashed", encryptionContext: { tenant: "42" } };
const input = { ...object, filePath, checkpointPath };
const built = (path: string) => JSON.stringify(new URL(`../../dist/${path}`, import.meta.url).href);

/** Loads the built package, which starts faster than the source, with the keyring of the tests. */
const uploader = `
  import { aesKeyring, createS3Client, EnvelopeClient } from ${built("index.js")};
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

/** The same credentials for each start of the S3, so that clients can continue after a restart. */
const credentials = { accessKeyId: "AKIAUPLOADCRASHTESTS", secretAccessKey: "secret of the tests" };
const s3Server = `
  import { startLocalAws } from ${built("testing/index.js")};
  process.once("disconnect", () => process.exit());
  const aws = await startLocalAws({ directory: ${JSON.stringify(join(folder, "s3"))}, minPartBytes: 1, credentials: ${JSON.stringify(credentials)} });
  process.send(aws.s3Config);
`;

/** All processes that were started, so that none is left when the test fails. */
const children = new Set<ChildProcess>();
let server: ChildProcess;
let proxy: RecordingProxy;
let config: LocalClientConfig;
let s3: S3Client;
let client: EnvelopeClient;

function start(code: string): ChildProcess {
  const args = ["--input-type=module", "--eval", code];
  const env = { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" };
  const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit", "ipc"], env });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

/** The next message of a process. Rejects if it ends without one. */
async function messageOf<T>(child: ChildProcess): Promise<T> {
  const ended = once(child, "exit").then(([code, signal]) => {
    throw new Error(`a process ended without an answer: ${code ?? signal}`);
  });
  ended.catch(() => undefined);
  const [message] = await Promise.race([once(child, "message"), ended]);
  return message as T;
}

async function startServer(): Promise<void> {
  server = start(s3Server);
  config = await messageOf<LocalClientConfig>(server);
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** Starts a process that has loaded everything and waits for its input. */
async function startUploader(): Promise<ChildProcess> {
  const child = start(uploader);
  await messageOf(child);
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
  await Promise.all([...children].map(killed));
  await proxy.close();
  rmSync(folder, { recursive: true });
});

/** Returns a generator of uniform numbers from 0 to 1 that the seed determines. */
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
    bytes = testBytes(3 * partBytes + 1000 * object, seed + object);
    writeFileSync(filePath, bytes);
    proxy.forget();
  };
  const settings = { wrappingKey: testBytes(32, 77).toString("hex"), partSizeBytes: partBytes };
  let [done, serverKills, objects, failures, emptyUploads] = [0, 0, 0, 0, 0];
  /** The duration of an upload that is not killed: of the first one, then a moving average. */
  let typicalMs: number | undefined;
  renew(objects);
  let next = startUploader();
  while (true) {
    const child = await next;
    next = startUploader();
    const answer = messageOf<Answer>(child);
    answer.catch(() => undefined);
    const started = performance.now();
    child.send({ config: { ...config, endpoint: proxy.endpoint }, input, ...settings });
    const end = new AbortController();
    const moment = typicalMs !== undefined && done < kills ? random() * typicalMs * 1.3 : 240_000;
    const outcomeOrKill = delay(moment, undefined, { signal: end.signal }).catch(() => undefined);
    let outcome = await Promise.race([answer, outcomeOrKill]);
    end.abort();
    if (typicalMs === undefined && !outcome) throw new Error("the first upload does not end");
    const killsServer = outcome === undefined && done >= (serverKills + 1) * killsBetweenServers;
    if (killsServer) {
      await killed(server);
      await startServer();
      proxy.target = new URL(config.endpoint);
      serverKills += 1;
      // It fails and keeps its checkpoint for the next process, or its retries last until the S3 is back.
      outcome = await answer;
    }
    await killed(child);
    if (outcome === undefined) {
      done += 1;
      continue;
    }
    if (!outcome.done) {
      // The S3 was killed during the upload.
      expect(outcome).toMatchObject({ code: "S3_UNAVAILABLE" });
      failures += 1;
      continue;
    }
    const took = performance.now() - started;
    typicalMs = typicalMs === undefined ? took : (typicalMs + took) / 2;
    const { Body } = await client.get(object);
    expectBytes(Buffer.from(await Body.transformToByteArray()), bytes);
    expect(existsSync(checkpointPath)).toBe(false);
    // A process that was killed before it recorded its upload has sent no part of it.
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
  // Otherwise the test has proved nothing.
  expect(proxy.sentAgain).toBeGreaterThan(0);
  expect(emptyUploads).toBeLessThanOrEqual(kills);
  console.log(
    `${kills} kills, ${serverKills} of the S3, ${objects} objects, ${failures} failures, ${proxy.sentAgain} parts sent again, ${emptyUploads} empty uploads`,
  );
});
