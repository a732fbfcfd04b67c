import { getEventListeners, once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { KMSClient } from "@aws-sdk/client-kms";
import { ListMultipartUploadsCommand, ListPartsCommand, S3Client } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, it } from "vitest";
import { createS3Client, EnvelopeError, kmsKeyring } from "../../src/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { setHeader, startHttpProxy } from "../support/http-proxy.js";
import { Bucket, useLocalAws } from "../support/local.js";

const local = useLocalAws();
const bytes = testBytes(100_000, 1);
const toClose: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});

async function listening(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  toClose.push(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function proxied() {
  const proxy = await startHttpProxy(local.aws.s3Config.endpoint);
  toClose.push(proxy.close);
  const s3 = new S3Client({ ...local.aws.s3Config, endpoint: proxy.endpoint, maxAttempts: 1 });
  toClose.push(() => s3.destroy());
  return { proxy, s3, client: local.clientWith({ s3 }) };
}

describe("a response that the SDK cannot parse", () => {
  it("of an object with a checksum fails the call without an uncaught error", async () => {
    await local.client.put({ Bucket, Key: "checked", Body: testBytes(5_000_000, 2) });
    const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 1 });
    let sockets = 0;
    const breakDate = (next: (args: unknown) => Promise<{ response: unknown }>) => async (args: unknown) => {
      const result = await next(args);
      const { headers, body } = result.response as {
        headers: Record<string, string>;
        body: NodeJS.EventEmitter;
      };
      headers["last-modified"] = "yesterday";
      sockets += 1;
      body.once("close", () => {
        sockets -= 1;
      });
      return result;
    };
    const where = { relation: "after", toMiddleware: "deserializerMiddleware", name: "breakDate" };
    s3.middlewareStack.addRelativeTo(breakDate as never, where as never);
    const uncaught: unknown[] = [];
    const onUncaught = (error: unknown) => uncaught.push(error);
    process.on("uncaughtExceptionMonitor", onUncaught);
    const error = await errorOf(() => local.clientWith({ s3 }).get({ Bucket, Key: "checked" }));
    expect(error).toEqual(coded("S3_REQUEST_FAILED"));
    expect(error).toMatchObject({
      message: expect.stringContaining("has a success status and cannot be parsed"),
    });
    await expect.poll(() => sockets).toBe(0);
    // Streams emit errors in the next turns of the event loop.
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    process.off("uncaughtExceptionMonitor", onUncaught);
    expect(uncaught).toEqual([]);
    s3.destroy();
  });

  it("because of an unimportant date is read without the date, or with the date if its form is known", async () => {
    await local.client.put({ Bucket, Key: "dated", Body: bytes });
    const { proxy, client } = await proxied();
    for (const [date, told] of [
      ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.000Z"],
      ["2026-01-02 03:04:05", "2026-01-02T03:04:05.000Z"],
      ["Fri, 02 Jan 2026 03:04:05 +0000", "2026-01-02T03:04:05.000Z"],
      ["Fri Jan  2 03:04:05 2026", "2026-01-02T03:04:05.000Z"],
      ["Friday, 02-Jan-26 03:04:05 GMT", "2026-01-02T03:04:05.000Z"],
      ["1767323045", undefined],
      ["yesterday", undefined],
      ["9999999-01-02T03:04:05Z", undefined],
    ]) {
      proxy.alter = (response) => void setHeader(response, "last-modified", date);
      const { Body, LastModified } = await client.get({ Bucket, Key: "dated" });
      expectBytes(await Body.transformToByteArray(), bytes);
      expect([date, LastModified?.toISOString()]).toEqual([date, told]);
    }
  });
});

/** Responds to every request with a status and an endless body; resolves with the bytes sent when the client disconnects. */
async function endless(status: number) {
  const sent: Promise<number>[] = [];
  const send = async (response: ServerResponse) => {
    const piece = Buffer.alloc(64 * 1024, "<a>");
    let total = 0;
    const pieces = function* () {
      for (;;) {
        total += piece.length;
        yield piece;
      }
    };
    await pipeline(pieces, response).catch(() => undefined);
    return total;
  };
  const endpoint = await listening(
    createServer((request, response) => {
      request.resume();
      response.writeHead(status, { "content-type": "application/xml" });
      if (request.method === "HEAD") response.end();
      else sent.push(send(response));
    }),
  );
  return { endpoint, sent };
}

/** The bytes that sockets buffer on both sides. */
const inFlightBytes = 16 * 1024 * 1024;

describe("an endless body", () => {
  it.each([
    [403, "S3_ACCESS_DENIED"],
    [404, "S3_NOT_FOUND"],
    [500, "S3_UNAVAILABLE"],
    [200, "S3_REQUEST_FAILED"],
  ] as const)("from S3 with status %i is abandoned at its limit", async (status, code) => {
    const { endpoint, sent } = await endless(status);
    const s3 = new S3Client({ ...local.aws.s3Config, endpoint, maxAttempts: 1 });
    const client = local.clientWith({ s3 });
    const calls = [
      () => client.put({ Bucket, Key: "k", Body: bytes }),
      () => client.delete({ Bucket, Key: "k" }),
      () => client.abortUploads({ Bucket, olderThanMs: 0 }),
      ...(status === 200 ? [] : [() => client.get({ Bucket, Key: "k" })]),
    ];
    for (const call of calls) expect(await errorOf(call)).toEqual(coded(code));
    for (const total of await Promise.all(sent)) expect(total).toBeLessThan(8 * 1024 * 1024 + inFlightBytes);
    s3.destroy();
  });

  it.each([
    [400, "KMS_REQUEST_FAILED"],
    [500, "KMS_UNAVAILABLE"],
    [200, "KMS_REQUEST_FAILED"],
  ] as const)("from KMS with status %i is abandoned at its limit", async (status, code) => {
    const { endpoint, sent } = await endless(status);
    const kms = new KMSClient({ ...local.aws.kmsConfig, endpoint, maxAttempts: 1 });
    const keyring = kmsKeyring({ kms, keyId: local.keyArn });
    expect(await errorOf(() => keyring.generateDataKey({ encryptionContext: {} }))).toEqual(coded(code));
    for (const total of await Promise.all(sent)) expect(total).toBeLessThan(1024 * 1024 + inFlightBytes);
    kms.destroy();
  });

  it("with a stated length above the limit is not read at all", async () => {
    const endpoint = await listening(
      createServer((request, response) => {
        request.resume();
        response.writeHead(503, { "content-length": 2 ** 40 }).flushHeaders();
      }),
    );
    const s3 = new S3Client({ ...local.aws.s3Config, endpoint, maxAttempts: 1 });
    const error = await errorOf(() => local.clientWith({ s3 }).get({ Bucket, Key: "k" }));
    expect(error).toEqual(coded("S3_UNAVAILABLE", { serviceError: "ResponseTooLarge" }));
    s3.destroy();
  });
});

describe("a response that is not HTTP", () => {
  /** Responds to every request with these bytes. */
  async function answering(text: string): Promise<string> {
    const server = createTcpServer((socket) => {
      socket.on("error", () => undefined).once("data", () => socket.end(text));
    });
    return listening(server as unknown as Server);
  }

  it.each([
    [
      "a header with a space in its name",
      "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
      "HPE_INVALID_HEADER_TOKEN",
    ],
    [
      "two lengths",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "HPE_UNEXPECTED_CONTENT_LENGTH",
    ],
    [
      "a length that is not a number",
      "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
      "HPE_INVALID_CONTENT_LENGTH",
    ],
    ["another protocol", "SSH-2.0-OpenSSH_9.9\r\n", "HPE_INVALID_CONSTANT"],
    ["400 without a body", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "DamagedResponse"],
  ])("with %s is requested again, and its error is retryable", async (_, text, serviceError) => {
    const s3 = new S3Client({ ...local.aws.s3Config, endpoint: await answering(text), maxAttempts: 2 });
    const error = await errorOf(() => local.clientWith({ s3 }).get({ Bucket, Key: "k" }));
    expect(error).toEqual(coded("S3_UNAVAILABLE", { serviceError }));
    expect(error).toMatchObject({ retryable: true, cause: { $metadata: { attempts: 2 } } });
    s3.destroy();
  });

  it("with headers that Node rejects as too large is final", async () => {
    const text = `HTTP/1.1 200 OK\r\nx: ${"y".repeat(40_000)}\r\n\r\n`;
    const s3 = new S3Client({ ...local.aws.s3Config, endpoint: await answering(text), maxAttempts: 2 });
    const error = await errorOf(() => local.clientWith({ s3 }).get({ Bucket, Key: "k" }));
    expect(error).toEqual(coded("S3_REQUEST_FAILED", { serviceError: "HPE_HEADER_OVERFLOW" }));
    s3.destroy();
  });

  it("leaves no data key from KMS in the error", async () => {
    const Plaintext = Buffer.from("the data key of an object, no less").toString("base64");
    const body = JSON.stringify({ Plaintext, KeyId: local.keyArn });
    const text = `HTTP/1.1 200 OK\r\nbad name: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const kms = new KMSClient({ ...local.aws.kmsConfig, endpoint: await answering(text), maxAttempts: 1 });
    const keyring = kmsKeyring({ kms, keyId: local.keyArn });
    const error = await errorOf(() => keyring.generateDataKey({ encryptionContext: {} }));
    expect(error).toEqual(coded("KMS_UNAVAILABLE"));
    expect(error.cause).not.toHaveProperty("rawPacket");
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(
      Buffer.from(Plaintext).toString("hex"),
    );
    kms.destroy();
  });
});

describe("an error whose body has other values in place of text", () => {
  const object = "<toString>x</toString><valueOf>y</valueOf>";
  const xml = [
    ...["Code", "Message", "Endpoint", "Region", "RequestId", "ServerTime", "name", "stack"].map(
      (name) => `<Error><Code>PermanentRedirect</Code><${name}>${object}</${name}></Error>`,
    ),
    "<Error><Code/></Error>",
    "<Error><Code>A</Code><Code>B</Code></Error>",
  ];
  const json = ["__type", "code", "message", "Message", "name", "ServerTime"].map((name) =>
    JSON.stringify({ __type: "ValidationException", [name]: { toString: 1, valueOf: 2 } }),
  );

  async function answering(status: number, body: string): Promise<string> {
    const server = createServer((request, response) => {
      request.resume();
      response.writeHead(status).end(request.method === "HEAD" ? undefined : body);
    });
    return listening(server);
  }

  it.each([200, 301, 400, 403, 500])("from S3 with status %i is coded and can be logged", async (status) => {
    for (const body of xml) {
      const endpoint = await answering(status, body);
      const s3 = new S3Client({ ...local.aws.s3Config, endpoint, maxAttempts: 1 });
      toClose.push(() => s3.destroy());
      const call = () => local.clientWith({ s3 }).delete({ Bucket, Key: "any" });
      const error = await errorOf(call).catch(() => undefined);
      // A body that is no error's says success to a deletion.
      if (status === 200 && error === undefined) continue;
      expect([body, error]).toEqual([body, expect.any(EnvelopeError)]);
      expect(inspect(error)).toContain("DeleteObject");
      expect(error?.message).not.toMatch(/failed: ;|\(\)/);
    }
  });

  it.each([400, 500])("from KMS with status %i is coded and can be logged", async (status) => {
    for (const body of json) {
      const endpoint = await answering(status, body);
      const kms = new KMSClient({ ...local.aws.kmsConfig, endpoint, maxAttempts: 1 });
      toClose.push(() => kms.destroy());
      const keyring = kmsKeyring({ kms, keyId: "alias/any" });
      const error = await errorOf(() => keyring.generateDataKey({ encryptionContext: {} }));
      expect([body, error]).toEqual([body, expect.any(EnvelopeError)]);
      expect(inspect(error)).toContain("GenerateDataKey");
    }
  });

  it("without any text states the status", async () => {
    const s3 = new S3Client({ ...local.aws.s3Config, endpoint: await answering(400, ""), maxAttempts: 1 });
    toClose.push(() => s3.destroy());
    const error = await errorOf(() => local.clientWith({ s3 }).head({ Bucket, Key: "any" }));
    expect(error).toEqual(coded("S3_REQUEST_FAILED"));
    expect(error.message).toContain("refused it with status 400 and does not say why");
  });
});

describe("a signal of the caller", () => {
  it("has one listener during a hundred concurrent calls and none after them, and Node emits no warning", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    const { signal } = new AbortController();
    const options = { abortSignal: signal };
    const client = local.kmsClient;
    await client.put({ Bucket, Key: "shared", Body: bytes });
    using object = await client.open({ Bucket, Key: "shared" });
    const keyring = kmsKeyring({ kms: local.aws.kms, keyId: local.keyArn });
    const calls = Array.from({ length: 100 }, async (_, index) => {
      const Key = `shared-${index}`;
      await client.put({ Bucket, Key, Body: Key }, options);
      await client.head({ Bucket, Key }, options);
      expect(await (await client.get({ Bucket, Key }, options)).Body.transformToString()).toBe(Key);
      await object.read(index * 900, index * 900 + 10, options);
      await client.delete({ Bucket, Key }, options);
      await client.abortUploads({ Bucket, Prefix: Key, olderThanMs: 0 }, options);
      await keyring.generateDataKey({ encryptionContext: {}, ...options });
    });
    expect(getEventListeners(signal, "abort").length).toBe(1);
    await Promise.all(calls);
    await new Promise(setImmediate);
    process.off("warning", onWarning);
    expect(warnings.filter(({ name }) => name === "MaxListenersExceededWarning")).toEqual([]);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("ends all calls that wait for it", async () => {
    const controller = new AbortController();
    local.aws.fault({ operation: "HeadObject", times: Number.POSITIVE_INFINITY, delayMs: 2 ** 31 - 1 });
    const calls = Array.from({ length: 20 }, () =>
      errorOf(() => local.client.head({ Bucket, Key: "k" }, { abortSignal: controller.signal })),
    );
    controller.abort(new Error("enough"));
    for (const error of await Promise.all(calls)) expect(error.message).toBe("enough");
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });
});

describe("an endless listing", () => {
  /** A client whose listings always have a next page. */
  function endlessLists() {
    let pages = 0;
    const send = async (command: object) => {
      pages += 1;
      const next = String(pages).padStart(8, "0");
      if (command instanceof ListMultipartUploadsCommand)
        return { IsTruncated: true, NextKeyMarker: next, NextUploadIdMarker: next };
      if (command instanceof ListPartsCommand) return { IsTruncated: true, NextPartNumberMarker: next };
      throw new Error("not asked for");
    };
    const client = local.clientWith({ s3: { config: local.s3.config, send } as unknown as S3Client });
    return { client, pages: () => pages };
  }

  it("of uploads is abandoned after 10,000 pages", async () => {
    const { client, pages } = endlessLists();
    const error = await errorOf(() => client.abortUploads({ Bucket, olderThanMs: 0 }));
    expect(error).toEqual(coded("S3_REQUEST_FAILED", { operation: "ListMultipartUploads" }));
    expect(pages()).toBe(10_000);
  });
});

interface FetchedRequest extends Record<"method" | "protocol" | "hostname" | "path", string> {
  readonly port: number;
  readonly query: Record<string, string>;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array<ArrayBuffer> | undefined;
}

describe("Content-Encoding, which is stored with an object", () => {
  /** Sends requests with the fetch of the platform, which decodes bodies by their Content-Encoding. */
  const requestHandler = {
    async handle(request: FetchedRequest) {
      const { method, protocol, hostname, port, path, query, headers, body } = request;
      const search = new URLSearchParams(query).toString();
      const { host: _host, "content-length": _length, ...sent } = headers;
      const url = `${protocol}//${hostname}:${port}${path}${search && `?${search}`}`;
      const response = await fetch(url, { method, headers: sent, body: body ?? null });
      const { status: statusCode } = response;
      return { response: { statusCode, headers: Object.fromEntries(response.headers), body: response.body } };
    },
  };

  it("is returned by the SDK's own handler, which decodes nothing", async () => {
    await local.client.put({ Bucket, Key: "encoded", Body: bytes, ContentEncoding: "gzip" });
    const { Body, ContentEncoding } = await local.client.get({ Bucket, Key: "encoded" });
    expect(ContentEncoding).toBe("gzip");
    expectBytes(await Body.transformToByteArray(), bytes);
  });

  it("is named in a final error if the HTTP client decodes the ciphertext", async () => {
    await local.client.put({ Bucket, Key: "encoded", Body: bytes, ContentEncoding: "gzip" });
    await local.client.put({ Bucket, Key: "unencoded", Body: bytes });
    const s3 = createS3Client({ ...local.aws.s3Config, requestHandler: requestHandler as never });
    const client = local.clientWith({ s3 });
    expectBytes(await (await client.get({ Bucket, Key: "unencoded" })).Body.transformToByteArray(), bytes);
    for (const act of [
      () => client.get({ Bucket, Key: "encoded" }),
      () => client.get({ Bucket, Key: "encoded", parallel: true }),
      () => client.open({ Bucket, Key: "encoded" }),
    ]) {
      const error = await errorOf(act);
      expect(error).toBeInstanceOf(EnvelopeError);
      expect(error).toMatchObject({ code: "S3_REQUEST_FAILED", retryable: false });
      expect(error.message).toContain('Content-Encoding is "gzip"');
    }
  });
});

it("every command to S3 and KMS is built and sent in one file of each", () => {
  const source = fileURLToPath(new URL("../../src", import.meta.url));
  const doors = ["keys/kms/requests.ts", "s3/requests.ts"];
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !file.startsWith("testing/"),
  );
  const filesWith = (pattern: RegExp) =>
    files.filter((file) => pattern.test(readFileSync(`${source}/${file}`, "utf8"))).sort();
  for (const pattern of [/new \w+Command\(/, /\.send\(/, /[^.\w]guarded\(\w/])
    expect(filesWith(pattern)).toEqual(doors);
  for (const door of doors) {
    const text = readFileSync(`${source}/${door}`, "utf8");
    for (const pattern of [/\.send\(/g, /[^.\w]guarded\(\w/g]) expect(text.match(pattern)).toHaveLength(1);
  }
});
