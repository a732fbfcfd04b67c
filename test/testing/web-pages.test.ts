/** The in-process AWS does nothing for web pages, nor for anybody who has not got the credentials of this start. */
import { CreateKeyCommand, KMSClient, ListKeysCommand } from "@aws-sdk/client-kms";
import { HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import { type LocalClientConfig, startLocalAws } from "../../src/testing/index.js";
import { errorOf } from "../support/errors.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { presignedUrl, type RawRequest, send, sendSigned, signedHeaders } from "./raw.js";

const local = useLocalAws();
const Key = "kept";
const object = `/${Bucket}/${Key}`;

/** Signs a request for the host that it names. */
async function sendFrom(config: LocalClientConfig, raw: RawRequest, host: string, more: object) {
  const { port } = new URL(config.endpoint);
  const named = { ...config, endpoint: `http://${host}:${port}` };
  return send(config, raw, { ...(await signedHeaders(named, raw)), ...more });
}

const cases: [string, string, Record<string, string>, boolean][] = [
  ["a program", "127.0.0.1", {}, true],
  ["a program that says localhost", "localhost", {}, true],
  ["a program that writes a name in capitals", "LOCALHOST", {}, true],
  ["a program behind a proxy on this machine", "127.0.0.2", {}, true],
  ["a program that names IPv6's loopback", "[::1]", {}, true],
  ["a page whose name was pointed here", "attacker.example", {}, false],
  ["a page with a name that begins like ours", "localhost.attacker.example", {}, false],
  ["a page with a name that ends like ours", "notlocalhost", {}, false],
  ["a page of another address", "192.168.1.7", {}, false],
  ["a page of another origin", "127.0.0.1", { origin: "https://attacker.example" }, false],
  ["a page of another port", "127.0.0.1", { origin: "http://127.0.0.1:1" }, false],
  ["a page of no origin", "127.0.0.1", { origin: "null" }, false],
  ["an image in a page of another site", "127.0.0.1", { "sec-fetch-site": "cross-site" }, false],
  [
    "an image in a page of another site that no cors mode guards",
    "127.0.0.1",
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" },
    false,
  ],
  ["a link that was typed", "127.0.0.1", { "sec-fetch-site": "none", "sec-fetch-mode": "navigate" }, true],
];

describe("a signed request to the in-process AWS", () => {
  it.each(cases)("of %s at %s with %j is served: %j", async (_, host, headers, served) => {
    await local.s3.send(new PutObjectCommand({ Bucket, Key, Body: "secret" }));
    // A fault is for the requests of a test, not for a stray one.
    if (!served) local.aws.fault({ status: 500, times: 1 });
    const got = await sendFrom(local.aws.s3Config, { path: object }, host, headers);
    expect([got.status, got.code]).toEqual(served ? [200, undefined] : [403, "AccessDenied"]);
    expect(got.text.includes("secret")).toBe(served);
    expect(Object.keys(got.headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
    const removed = await sendFrom(local.aws.s3Config, { method: "DELETE", path: object }, host, headers);
    expect(removed.status).toBe(served ? 204 : 403);
    local.aws.clearFaults();
    const kept = local.s3.send(new HeadObjectCommand({ Bucket, Key })).then(
      () => true,
      () => false,
    );
    expect(await kept).toBe(!served);
    const raw: RawRequest = {
      service: "kms",
      method: "POST",
      path: "/",
      body: "{}",
      headers: { "x-amz-target": "TrentService.ListKeys", "content-type": "application/x-amz-json-1.1" },
    };
    const keys = await sendFrom(local.aws.kmsConfig, raw, host, headers);
    expect([keys.status, keys.code]).toEqual(served ? [200, undefined] : [403, "AccessDeniedException"]);
  });

  it("that follows a link from another site is served if it reads", async () => {
    const headers = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
    await local.putRaw(Key, Buffer.from("secret"));
    const { pathname, search } = await presignedUrl(local.aws.s3Config, { path: object });
    const { host } = new URL(local.aws.s3Config.endpoint);
    const got = await send(local.aws.s3Config, { path: pathname + search }, { host, ...headers });
    expect([got.status, got.text]).toEqual([200, "secret"]);
    const form = await sendFrom(local.aws.s3Config, { method: "PUT", path: object }, "127.0.0.1", headers);
    expect(form.status).toBe(403);
  });
});

it("a CORS preflight is not granted", async () => {
  const { host } = new URL(local.aws.s3Config.endpoint);
  for (const origin of ["https://attacker.example", `http://${host}`]) {
    const headers = { host, origin, "access-control-request-method": "PUT" };
    const got = await send(local.aws.s3Config, { method: "OPTIONS", path: object }, headers);
    expect(got.status).toBe(403);
    expect(Object.keys(got.headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
  }
});

it("a virtual-hosted request is about the bucket that its Host names", async () => {
  await local.putRaw(Key, Buffer.from("hosted"));
  const hosted = (path: string, host = `${Bucket}.localhost`) =>
    sendFrom(local.aws.s3Config, { path }, host, {});
  expect((await hosted(`/${Key}`)).text).toBe("hosted");
  expect((await hosted("/")).text).toContain(`<Name>${Bucket}</Name>`);
  expect((await hosted(`/${Key}`, "other-bucket.localhost")).code).toBe("NoSuchBucket");
  // A name that no bucket can have is one of the service.
  expect((await hosted(object, "s3.localhost")).text).toBe("hosted");
});

describe("the credentials of the in-process AWS", () => {
  it("are random for each start, and those of another start are refused", async () => {
    await using other = await startLocalAws();
    const { accessKeyId, secretAccessKey } = other.s3Config.credentials;
    expect(accessKeyId).toMatch(/^AKIA[A-Z2-7]{16}$/);
    expect(secretAccessKey).toMatch(/^[A-Za-z0-9+/]{40}$/);
    const foreign = { maxAttempts: 1, credentials: local.aws.s3Config.credentials };
    const s3 = new S3Client({ ...other.s3Config, ...foreign });
    const kms = new KMSClient({ ...other.kmsConfig, ...foreign });
    expect((await errorOf(() => s3.send(new ListObjectsV2Command({ Bucket })))).name).toBe(
      "InvalidAccessKeyId",
    );
    expect((await errorOf(() => kms.send(new ListKeysCommand({})))).name).toBe("UnrecognizedClientException");
    s3.destroy();
    kms.destroy();
  });

  it("can be those of an earlier start, so that its clients continue", async () => {
    const first = await startLocalAws();
    const s3 = new S3Client(first.s3Config);
    const { endpoint } = first.s3Config;
    // With the field $source, which the SDK adds.
    const credentials = await s3.config.credentials();
    expect(Object.keys(credentials)).toContain("$source");
    await first.close();
    await using again = await startLocalAws({ credentials, s3Port: Number(new URL(endpoint).port) });
    expect((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
    expect(again.s3Config).toEqual(first.s3Config);
    s3.destroy();
  });

  it("do not change when the SDK writes into them", async () => {
    await using aws = await startLocalAws();
    const { s3Config, kmsConfig } = aws;
    const before = JSON.stringify([s3Config, kmsConfig]);
    const clients = [new S3Client(s3Config), new S3Client({ ...s3Config })];
    for (const client of clients) await client.send(new ListObjectsV2Command({ Bucket }));
    const kms = new KMSClient(kmsConfig);
    await kms.send(new CreateKeyCommand({}));
    expect(Object.keys(s3Config.credentials)).toEqual(["accessKeyId", "secretAccessKey"]);
    expect(JSON.stringify([s3Config, kmsConfig])).toBe(before);
    for (const client of [...clients, kms]) client.destroy();
  });

  it.each<[unknown, string]>([
    ["AKIA", "options.credentials: expected an object, got a string"],
    [
      { accessKeyId: "A B" },
      "options.credentials.accessKeyId: expected 16 to 128 letters, digits or underscores",
    ],
    [
      { accessKeyId: "A".repeat(16) },
      "options.credentials.secretAccessKey: expected a string, got undefined",
    ],
  ])("are validated: %j", async (credentials, message) => {
    expect((await errorOf(() => startLocalAws({ credentials } as never))).message).toBe(message);
  });
});

it("a request without a signature is refused", async () => {
  const { host } = new URL(local.aws.s3Config.endpoint);
  const got = await send(local.aws.s3Config, { path: object }, { host });
  expect([got.status, got.code]).toEqual([403, "AccessDenied"]);
  expect((await sendSigned(local.aws.s3Config, { path: object })).status).toBe(200);
});
