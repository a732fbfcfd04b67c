import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EnvelopeClient, EnvelopeError } from "../../src/index.js";
import { legacyAesKeyring, legacyReading, migrateObject } from "../../src/legacy.js";
import { configOf } from "../../src/objects/client.js";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { type HttpProxy, startHttpProxy } from "../support/http-proxy.js";
import { kek, localShapes, writeLegacy } from "../support/legacy-objects.js";
import { Bucket, keyring } from "../support/local.js";
import { everyNth } from "../support/tier.js";
import { type Act, acts, type Deviation, deviations } from "./store-deviations.js";

const partBytes = 1024 * 1024;
const small = testBytes(20_000, 1);
const medium = testBytes(150_000, 3);
/** Three parts. */
const large = testBytes(2 * partBytes + 50_000, 2);
const contents = async (key: string) => {
  const { Body } = await direct.send(new GetObjectCommand({ Bucket, Key: key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
};

let aws: LocalAws;
let proxy: HttpProxy;
/** A client that bypasses the proxy. */
let direct: S3Client;
let s3: S3Client;
let folder: string;
let count = 0;

/** Parts of 1 MiB, which the in-process S3 accepts and no option allows. */
function withSmallParts(client: EnvelopeClient): EnvelopeClient {
  return Object.assign(client, Object.assign(configOf("client", client), { partSizeBytes: partBytes }) && {});
}

function clientOf(through: S3Client, options: Partial<ConstructorParameters<typeof EnvelopeClient>[0]> = {}) {
  return withSmallParts(new EnvelopeClient({ s3: through, keyring, idleTimeoutMs: 5_000, ...options }));
}
const readsLegacy = () =>
  legacyReading({ keyring: legacyAesKeyring({ wrappingKey: kek }), enableLegacyUnauthenticatedModes: true });

beforeAll(async () => {
  aws = await startLocalAws({ minPartBytes: 1 });
  direct = new S3Client({ ...aws.s3Config, maxAttempts: 1 });
  proxy = await startHttpProxy(aws.s3Config.endpoint);
  folder = mkdtempSync(join(tmpdir(), "s3-envelope-deviations-"));
  writeFileSync(join(folder, "source"), large);
  const client = clientOf(direct);
  await client.put({ Bucket, Key: "small", Body: small });
  await client.put({ Bucket, Key: "medium", Body: medium });
  await client.put({ Bucket, Key: "sidecar", Body: small, envelopeStorage: "sidecar" });
  await storeLegacy("legacy");
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  direct.destroy();
  await proxy.close();
  await aws.close();
});

async function storeLegacy(Key: string): Promise<void> {
  const { body, metadata } = await writeLegacy(small, localShapes["115"]);
  await direct.send(new PutObjectCommand({ Bucket, Key, Body: body, Metadata: metadata }));
}

async function read(body: AsyncIterable<unknown>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece as Uint8Array);
  return Buffer.concat(pieces);
}

/** Stores what a call needs, bypassing the proxy. */
async function prepare(act: Act, Key: string): Promise<void> {
  if (act === "delete") await clientOf(direct).put({ Bucket, Key, Body: small });
  if (act === "migrate") await storeLegacy(Key);
  if (act === "abortUploads") await clientOf(direct).beginUpload({ Bucket, Key, plaintextLength: 1 });
  if (act === "upload resumed") {
    aws.fault({
      operation: "UploadPart",
      skip: 2,
      times: Number.POSITIVE_INFINITY,
      status: 403,
      code: "AccessDenied",
    });
    const failed = clientOf(direct).upload({
      Bucket,
      Key,
      filePath: join(folder, "source"),
      checkpointPath: join(folder, Key),
    });
    await expect(failed).rejects.toThrow(EnvelopeError);
    aws.clearFaults();
  }
}

/** Makes the call, and compares the bytes that it returned or stored. */
async function perform(act: Act, Key: string): Promise<void> {
  const client = clientOf(s3);
  const stored = async (expected: Uint8Array) =>
    expectBytes(await read((await clientOf(direct).get({ Bucket, Key })).Body), expected);
  const get = async (key: string, expected: Uint8Array, more: object, legacy = false) => {
    const reader = legacy ? clientOf(s3, { legacy: readsLegacy() }) : client;
    expectBytes(await read((await reader.get({ Bucket, Key: key, ...more })).Body), expected);
  };
  switch (act) {
    case "put":
      await client.put({ Bucket, Key, Body: small });
      return stored(small);
    case "put multipart":
      await client.put({ Bucket, Key, Body: large });
      return stored(large);
    case "put sidecar":
      await client.put({ Bucket, Key, Body: small, envelopeStorage: "sidecar" });
      return stored(small);
    case "get":
      return get("medium", medium, {});
    case "get sidecar":
      return get("sidecar", small, {});
    case "range":
      return get("medium", medium.subarray(40_000, 60_001), { Range: "bytes=40000-60000" });
    case "whole range":
      return get("small", small, { Range: "bytes=0-" });
    case "suffix":
      return get("small", small.subarray(-100), { Range: "bytes=-100" });
    case "parallel":
      return get("medium", medium, { parallel: true });
    case "verifyLength":
      return get("small", small, { verifyLength: true });
    case "open": {
      using object = await client.open({ Bucket, Key: "medium" });
      expectBytes(await object.read(100_000, 100_500), medium.subarray(100_000, 100_500));
      expectBytes(await object.read(medium.length - 10, medium.length + 90), medium.subarray(-10));
      return;
    }
    case "download":
      await client.download({ Bucket, Key: "medium", filePath: join(folder, Key) });
      expectBytes(readFileSync(join(folder, Key)), medium);
      return;
    case "upload":
    case "upload resumed": {
      const checkpointPath = act === "upload" ? undefined : join(folder, Key);
      await client.upload({ Bucket, Key, filePath: join(folder, "source"), checkpointPath });
      return stored(large);
    }
    case "head":
      {
        const { encrypted, ContentLength = medium.length } = await client.head({ Bucket, Key: "medium" });
        expect({ encrypted, ContentLength }).toEqual({ encrypted: true, ContentLength: medium.length });
      }
      return;
    case "delete":
      await client.delete({ Bucket, Key });
      await expect(clientOf(direct).head({ Bucket, Key })).rejects.toThrow(EnvelopeError);
      return;
    case "abortUploads": {
      const { failed } = await client.abortUploads({
        Bucket,
        Prefix: Key,
        initiatedBefore: new Date(Date.now() + 60_000),
      });
      for (const { error } of failed) throw error;
      return;
    }
    case "legacy get":
      return get("legacy", small, {}, true);
    case "legacy range":
      return get("legacy", small.subarray(5_000, 5_100), { Range: "bytes=5000-5099" }, true);
    case "migrate":
      await migrateObject(clientOf(s3, { legacy: readsLegacy() }), { Bucket, Key });
      return stored(small);
  }
}

async function uploadsOf(Prefix: string): Promise<number> {
  const { Uploads = [] } = await direct.send(new ListMultipartUploadsCommand({ Bucket, Prefix }));
  return Uploads.length;
}

async function run({ begin, alter, respond, fails, failsAll, mayFail }: Deviation, act: Act): Promise<void> {
  const Key = `row-${++count}-`;
  await prepare(act, Key);
  s3 = new S3Client({ ...aws.s3Config, endpoint: proxy.endpoint, maxAttempts: 1 });
  const warnings: unknown[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on("warning", onWarning);
  begin?.();
  Object.assign(proxy, { alter, answer: respond });
  const error = await perform(act, Key).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  Object.assign(proxy, { alter: undefined, answer: undefined });
  process.off("warning", onWarning);
  s3.destroy();
  const failure = fails?.[act] ?? failsAll ?? (error === undefined ? undefined : mayFail);
  expect(warnings).toEqual([]);
  if (!failure) {
    expect(error).toBeUndefined();
    expect(await uploadsOf(Key)).toBe(0);
    return;
  }
  expect(error).toBeInstanceOf(EnvelopeError);
  const { code, retryable, message, details } = error as EnvelopeError;
  expect({ code, retryable }).toEqual({ code: failure.code, retryable: failure.retryable });
  expect(message).toMatch(failure.says);
  const isNamed = details.orphanedUploadId !== undefined || details.uploadId !== undefined;
  if (act !== "abortUploads" && !isNamed && !failure.leavesUpload) expect(await uploadsOf(Key)).toBe(0);
}

for (const [index, deviation] of deviations((key) => contents(key)).entries()) {
  const some = everyNth(acts, 8, index);
  const { fails = {} } = deviation;
  const ours = acts.filter((act) => act in fails || some.includes(act));
  describe(`a store that sends ${deviation.name}`, () => {
    it.each(ours)(`%s with a store that sends ${deviation.name}`, (act) => run(deviation, act));
  });
}
