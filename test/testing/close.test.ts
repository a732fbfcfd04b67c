/** The in-process servers close whatever is open, and whoever is waiting. */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { CreateKeyCommand } from "@aws-sdk/client-kms";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import { type LocalAws, type LocalClientConfig, startLocalAws } from "../../src/testing/index.js";
import { testBytes } from "../support/bytes.js";
import { tls } from "../support/tls.js";
import { type RawRequest, signedHeaders } from "./raw.js";

const Bucket = "test-bucket";
/** More than the buffers of a connection hold. */
const large = testBytes(24 * 1024 * 1024, 3);

/** The text of a signed request's head. */
async function headOf(config: LocalClientConfig, raw: RawRequest): Promise<string> {
  const headers = Object.entries(await signedHeaders(config, raw)).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return `${[`${raw.method ?? "GET"} ${raw.path} HTTP/1.1`, ...headers].join("\r\n")}\r\n\r\n`;
}

/** A connection whose end is told. */
async function open(config: LocalClientConfig, secure: boolean) {
  const { port } = new URL(config.endpoint);
  const options = { host: "127.0.0.1", port: Number(port) };
  const socket: Socket = secure ? connectTls({ ...options, ca: tls.cert }) : connect(options);
  socket.on("error", () => undefined);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await new Promise((resolve) => socket.once(secure ? "secureConnect" : "connect", resolve));
  return { socket, closed };
}

const hasCome = (aws: LocalAws, operation: string, count: number) =>
  expect.poll(() => aws.requests.filter((request) => request.operation === operation).length).toBe(count);

/** Opens something and leaves it open; waits until the server has it. */
type Opening = (aws: LocalAws, secure: boolean) => Promise<{ socket: Socket; closed: Promise<unknown> }>;

const unread: RawRequest = { path: `/${Bucket}/large` };
const upload = (size: number): RawRequest => ({
  method: "PUT",
  path: `/${Bucket}/upload`,
  headers: { "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "content-length": String(size) },
});

const openings: [string, Opening][] = [
  [
    "a connection that has sent nothing",
    async (aws, secure) => {
      const opened = await open(aws.s3Config, secure);
      await expect.poll(() => aws.s3Connections()).toBeGreaterThan(0);
      return opened;
    },
  ],
  [
    "a connection that is kept for later requests",
    async (aws, secure) => {
      const opened = await open(aws.s3Config, secure);
      opened.socket.write(await headOf(aws.s3Config, { path: `/${Bucket}`, query: {} }));
      await new Promise((resolve) => opened.socket.once("data", resolve));
      return opened;
    },
  ],
  [
    "half a head",
    async (aws, secure) => {
      const opened = await open(aws.s3Config, secure);
      opened.socket.write((await headOf(aws.s3Config, unread)).slice(0, 60));
      await expect.poll(() => aws.s3Connections()).toBeGreaterThan(0);
      return opened;
    },
  ],
  [
    "half a body",
    async (aws, secure) => {
      const opened = await open(aws.s3Config, secure);
      opened.socket.write((await headOf(aws.s3Config, upload(100_000))) + "x".repeat(50_000));
      await hasCome(aws, "PutObject", 1);
      return opened;
    },
  ],
  [
    "a body that never ends",
    async (aws, secure) => {
      const opened = await open(aws.s3Config, secure);
      opened.socket.write(await headOf(aws.s3Config, upload(5 * 1024 ** 3)));
      const more = () => {
        while (opened.socket.write("x".repeat(16_384)));
      };
      opened.socket.on("drain", more);
      more();
      await hasCome(aws, "PutObject", 1);
      return opened;
    },
  ],
  [
    "a body that nobody wants, and that never ends",
    async (aws, secure) => {
      aws.fault({ operation: "PutObject", status: 503, code: "SlowDown" });
      const opened = await open(aws.s3Config, secure);
      opened.socket.write(await headOf(aws.s3Config, upload(100_000)));
      await hasCome(aws, "PutObject", 1);
      return opened;
    },
  ],
  [
    "a body that waits for 100 Continue",
    async (aws, secure) => {
      const raw = upload(100_000);
      const opened = await open(aws.s3Config, secure);
      const head = await headOf(aws.s3Config, {
        ...raw,
        headers: { ...raw.headers, expect: "100-continue" },
      });
      opened.socket.write(head);
      await new Promise((resolve) => opened.socket.once("data", resolve));
      return opened;
    },
  ],
  [
    "a response whose reader has stopped",
    async (aws, secure) => {
      const opened = await open(aws.s3Config, secure);
      opened.socket.write(await headOf(aws.s3Config, unread));
      await new Promise((resolve) => opened.socket.once("data", resolve));
      opened.socket.pause();
      return opened;
    },
  ],
  [
    "responses queued behind one whose reader has stopped",
    async (aws, secure) => {
      const opened = await open(aws.s3Config, secure);
      const head = await headOf(aws.s3Config, unread);
      opened.socket.write(head.repeat(12));
      await new Promise((resolve) => opened.socket.once("data", resolve));
      opened.socket.pause();
      await hasCome(aws, "GetObject", 12);
      return opened;
    },
  ],
  [
    "a response queued behind one that is stalled",
    async (aws, secure) => {
      aws.fault({ operation: "GetObject", stallBodyBytes: 10 });
      const opened = await open(aws.s3Config, secure);
      opened.socket.write((await headOf(aws.s3Config, unread)).repeat(2));
      await hasCome(aws, "GetObject", 2);
      return opened;
    },
  ],
  [
    "a request that is delayed",
    async (aws, secure) => {
      aws.fault({ operation: "GetObject", delayMs: 86_400_000 });
      const opened = await open(aws.s3Config, secure);
      opened.socket.write(await headOf(aws.s3Config, unread));
      await hasCome(aws, "GetObject", 1);
      return opened;
    },
  ],
  [
    "a request that is held",
    async (aws, secure) => {
      const held = aws.hold({ operation: "GetObject" });
      const opened = await open(aws.s3Config, secure);
      opened.socket.write(await headOf(aws.s3Config, unread));
      await held.arrived;
      return opened;
    },
  ],
];

describe.each([false, true])("close() of the in-process AWS, with TLS: %j", (secure) => {
  it.each(openings)("ends %s", async (_, opening) => {
    const aws = await startLocalAws(secure ? { tls } : {});
    await aws.s3.send(new PutObjectCommand({ Bucket, Key: "large", Body: large }));
    aws.s3.destroy();
    await expect.poll(() => aws.s3Connections()).toBe(0);
    const { socket, closed } = await opening(aws, secure);
    expect(await aws.s3Connections()).toBe(1);
    await aws.close();
    expect(await aws.s3Connections()).toBe(0);
    // A socket that is not read from does not see its end.
    socket.resume();
    await closed;
  });

  it("ends everything at S3 and KMS, and a second call waits for the same end", async () => {
    const aws = await startLocalAws(secure ? { tls } : {});
    await aws.s3.send(new PutObjectCommand({ Bucket, Key: "large", Body: large }));
    aws.fault({ operation: "CreateKey", delayMs: 86_400_000 });
    const key = aws.kms.send(new CreateKeyCommand({})).catch(() => "broken");
    await hasCome(aws, "CreateKey", 1);
    const opened = [];
    for (const [, opening] of openings.slice(0, 4)) opened.push(await opening(aws, secure));
    await Promise.all([aws.close(), aws.close()]);
    expect(await key).toBe("broken");
    for (const { socket, closed } of opened) {
      socket.resume();
      await closed;
    }
  });
});

it("close() ends TLS connections whose handshake is incomplete", async () => {
  const aws = await startLocalAws({ tls });
  const silent = await open(aws.s3Config, false);
  const half = await open(aws.s3Config, false);
  // The head of a TLS record with a ClientHello, which never comes.
  half.socket.write(Buffer.from("1603010200", "hex"));
  const kms = await open(aws.kmsConfig, false);
  await expect.poll(() => aws.s3Connections()).toBe(2);
  await aws.close();
  await Promise.all([silent.closed, half.closed, kms.closed]);
});

it("a client that disconnects ends the requests that wait behind a response on its connection", async () => {
  const aws = await startLocalAws();
  await aws.s3.send(new PutObjectCommand({ Bucket, Key: "large", Body: large }));
  const { socket, closed } = await open(aws.s3Config, false);
  socket.write((await headOf(aws.s3Config, unread)).repeat(2));
  await new Promise((resolve) => socket.once("data", resolve));
  socket.pause();
  await hasCome(aws, "GetObject", 2);
  socket.destroy();
  await closed;
  // The service closes only when no request is being answered any more.
  await aws.close();
});
