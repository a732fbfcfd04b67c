/** Every transport of Node that can end early, cut off while it is read: an error, unless the transport gives no sign of it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import * as http from "node:http";
import * as http2 from "node:http2";
import { createRequire } from "node:module";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PassThrough, pipeline, Readable } from "node:stream";
import * as tls from "node:tls";
import * as zlib from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import type { PutBody } from "../../src/index.js";
import { testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, keyring, useLocalAws } from "../support/local.js";
import { tls as certificate } from "../support/tls.js";

const require = createRequire(import.meta.url);
const local = useLocalAws();
/** The bytes of the whole source, and those before it is cut off. */
const whole = testBytes(60_000, 8);
const half = whole.subarray(0, 30_000);

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await local.client.delete({ Bucket, Key: "k" });
});

/** A source, and a function that cuts it off. */
interface Cut {
  readonly source: object;
  cut(): unknown;
}
type Transport = () => Promise<Cut>;

function later<T>() {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

async function listen(server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
}

/** A server that sends raw text and half of the bytes, and a response to it. */
async function response(
  head: string,
  body: Uint8Array,
  end: (socket: net.Socket) => void,
  useFetch = false,
): Promise<Cut> {
  const connected = later<net.Socket>();
  const server = net.createServer((socket) => {
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n`);
      socket.write(body);
      connected.resolve(socket);
    });
  });
  const port = await listen(server);
  const url = `http://127.0.0.1:${port}/`;
  const socketOf = async () => end(await connected.promise);
  if (useFetch) return { source: (await fetch(url)).body as object, cut: socketOf };
  const request = http.get(url, { agent: false });
  const [message] = (await once(request, "response")) as [http.IncomingMessage];
  request.on("error", () => undefined);
  return { source: message, cut: socketOf };
}

const withLength = `Content-Length: ${whole.length}\r\n`;
const chunk = Buffer.concat([Buffer.from(`${half.length.toString(16)}\r\n`), half, Buffer.from("\r\n")]);
const destroy = (socket: net.Socket) => socket.destroy();
const reset = (socket: net.Socket) => socket.resetAndDestroy();

/** A request that a client sends and cuts off, as the server receives it. */
async function request(
  headers: http.OutgoingHttpHeaders,
  end: (request: http.ClientRequest) => void,
): Promise<Cut> {
  const arrived = later<http.IncomingMessage>();
  const port = await listen(http.createServer((message) => arrived.resolve(message)));
  const sent = http.request({ port, host: "127.0.0.1", method: "PUT", headers, agent: false });
  sent.on("error", () => undefined);
  sent.write(half);
  return { source: await arrived.promise, cut: () => end(sent) };
}

interface Http2Pair {
  readonly session: http2.ClientHttp2Session;
  readonly sent: http2.ClientHttp2Stream;
  readonly received: http2.ServerHttp2Stream;
  readonly compat: http2.Http2ServerRequest;
}

async function http2Pair(endStream: boolean): Promise<Http2Pair> {
  const arrived = later<[http2.ServerHttp2Stream, http2.Http2ServerRequest]>();
  const server = http2.createServer((compat) => arrived.resolve([compat.stream, compat]));
  server.on("sessionError", () => undefined);
  const port = await listen(server);
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  closing.push(() => session.destroy());
  const sent = session.request({ ":path": "/", ":method": endStream ? "GET" : "PUT" }, { endStream });
  sent.on("error", () => undefined);
  const [received, compat] = await arrived.promise;
  received.on("error", () => undefined);
  return { session, sent, received, compat };
}

/** The response stream of a client, cut off by the server. */
const http2Response = (cut: (pair: Http2Pair) => void) => async (): Promise<Cut> => {
  const pair = await http2Pair(true);
  pair.received.respond({ ":status": 200 });
  pair.received.write(half);
  await once(pair.sent, "response");
  return { source: pair.sent, cut: () => cut(pair) };
};

/** The request stream of a server, cut off by the client. */
const http2Request =
  (of: "received" | "compat", cut: (pair: Http2Pair) => void) => async (): Promise<Cut> => {
    const pair = await http2Pair(false);
    pair.sent.write(half);
    return { source: pair[of], cut: () => cut(pair) };
  };

async function sockets(secure: boolean): Promise<{ near: net.Socket; far: net.Socket; raw: net.Socket }> {
  const accepted = later<net.Socket>();
  const rawOne = later<net.Socket>();
  const server = secure
    ? tls.createServer(certificate, (socket) => accepted.resolve(socket))
    : net.createServer((socket) => accepted.resolve(socket));
  server.on("connection", (socket) => rawOne.resolve(socket));
  const port = await listen(server);
  const near = secure
    ? tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false })
    : net.connect(port, "127.0.0.1");
  closing.push(() => near.destroy());
  const far = await accepted.promise;
  far.on("error", () => undefined);
  far.write(half);
  return { near, far, raw: await rawOne.promise };
}

/** @param unread whether the other end has unread bytes, so that it resets the connection when it closes */
const socket =
  (
    cut: (pair: { near: net.Socket; far: net.Socket; raw: net.Socket }) => void,
    { secure = false, unread = false } = {},
  ) =>
  async (): Promise<Cut> => {
    const pair = await sockets(secure);
    if (unread) pair.near.write(Buffer.alloc(32 * 1024 * 1024));
    return { source: pair.near, cut: () => cut(pair) };
  };

function child(script: string, end: (child: ReturnType<typeof spawn>) => void): Transport {
  return async () => {
    const process_ = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "pipe", "ignore"] });
    closing.push(() => process_.kill("SIGKILL"));
    return { source: process_.stdout, cut: () => end(process_) };
  };
}

const writesHalf = `process.stdout.write(Buffer.alloc(${half.length}, 1)); process.stdin.resume();`;

function unzipped(packed: Buffer, make: () => NodeJS.ReadWriteStream): Transport {
  return async () => {
    const unzip = make();
    unzip.write(packed.subarray(0, packed.length / 2));
    return { source: unzip, cut: () => unzip.end() };
  };
}

const errors: [string, Transport][] = [
  ["an HTTP response with Content-Length, closed", () => response(withLength, half, destroy)],
  ["an HTTP response with Content-Length, reset", () => response(withLength, half, reset)],
  ["an HTTP response in chunks, closed", () => response("Transfer-Encoding: chunked\r\n", chunk, destroy)],
  ["an HTTP response in chunks, reset", () => response("Transfer-Encoding: chunked\r\n", chunk, reset)],
  [
    "an HTTP response with neither length nor chunks whose connection fails",
    async () => {
      const { source } = await response("Connection: close\r\n", half, destroy);
      return { source, cut: () => (source as http.IncomingMessage).socket.destroy(new Error("no more")) };
    },
  ],
  ["a fetched body with Content-Length, closed", () => response(withLength, half, destroy, true)],
  [
    "a fetched body in chunks, closed",
    () => response("Transfer-Encoding: chunked\r\n", chunk, destroy, true),
  ],
  [
    "a fetched body as a Node stream, closed",
    async () => {
      const { source, cut } = await response(withLength, half, destroy, true);
      return { source: Readable.fromWeb(source as never), cut };
    },
  ],
  [
    "an HTTP request with Content-Length, closed",
    () => request({ "Content-Length": whole.length }, (sent) => sent.destroy()),
  ],
  ["an HTTP request in chunks, closed", () => request({}, (sent) => sent.destroy())],
  ["an HTTP request in chunks, reset", () => request({}, (sent) => sent.socket?.resetAndDestroy())],
  ["an HTTP/2 response, failed", http2Response(({ received }) => received.destroy(new Error("no more")))],
  [
    "an HTTP/2 response, its session destroyed there",
    http2Response(({ received }) => received.session?.destroy()),
  ],
  ["an HTTP/2 response, its session destroyed here", http2Response(({ session }) => session.destroy())],
  ["an HTTP/2 request, its session destroyed", http2Request("received", ({ session }) => session.destroy())],
  [
    "an HTTP/2 request as an object like that of HTTP/1, its session destroyed",
    http2Request("compat", ({ session }) => session.destroy()),
  ],
  ["a socket, reset", socket(({ far }) => far.destroy(), { unread: true })],
  ["a TLS socket, reset", socket(({ raw }) => raw.destroy(), { secure: true, unread: true })],
  ["a socket, destroyed here", socket(({ near }) => near.destroy())],
  ["a TLS socket, destroyed here", socket(({ near }) => near.destroy(), { secure: true })],
  ["the output of a child process, destroyed here", child(writesHalf, ({ stdout }) => stdout?.destroy())],
  ["gunzip of a cut input", unzipped(zlib.gzipSync(whole), () => zlib.createGunzip())],
  ["inflate of a cut input", unzipped(zlib.deflateSync(whole), () => zlib.createInflate())],
  ["brotli of a cut input", unzipped(zlib.brotliCompressSync(whole), () => zlib.createBrotliDecompress())],
  [
    "a pipeline whose source is destroyed",
    async () => {
      const from = new PassThrough();
      from.write(half);
      return { source: pipeline(from, new PassThrough(), () => undefined), cut: () => from.destroy() };
    },
  ],
  [
    "a Readable as a web stream, destroyed",
    async () => {
      const from = new Readable({ read() {} });
      from.push(half);
      return { source: Readable.toWeb(from), cut: () => from.destroy() };
    },
  ],
  [
    "a generator over a stream that is destroyed",
    async () => {
      const from = new PassThrough();
      from.write(half);
      async function* pieces() {
        yield* from;
      }
      return { source: pieces(), cut: () => from.destroy() };
    },
  ],
  [
    "an entry of a tar archive that is cut off",
    async () => {
      const { extract, pack } = require("tar-stream") as {
        extract(): NodeJS.WritableStream & { destroy(): void };
        pack(): NodeJS.ReadableStream & { entry(header: object, bytes: Buffer): void; finalize(): void };
      };
      const packing = pack();
      packing.entry({ name: "a" }, whole);
      packing.finalize();
      const pieces: Buffer[] = [];
      for await (const piece of packing) pieces.push(piece as Buffer);
      const archive = Buffer.concat(pieces);
      const unpacking = extract();
      unpacking.on("error", () => undefined);
      const found = new Promise<object>((resolve) =>
        unpacking.on("entry", (_: object, entry: object) => resolve(entry)),
      );
      unpacking.write(archive.subarray(0, 30_000));
      return { source: await found, cut: () => unpacking.end() };
    },
  ],
  [
    "a file of a form that is longer than its limit",
    async () => {
      const file = Object.assign(new PassThrough(), { truncated: false });
      file.write(half);
      return {
        source: file,
        cut() {
          file.truncated = true;
          file.end();
        },
      };
    },
  ],
];

/** Sources that end normally although bytes are missing. PutBody and docs/errors.md list them. */
const noSign: [string, Transport][] = [
  [
    "an HTTP response with neither length nor chunks, closed",
    () => response("Connection: close\r\n", half, (far) => far.end()),
  ],
  ["a socket whose other end closes it", socket(({ far }) => far.end())],
  ["a TLS socket whose other end closes it", socket(({ far }) => far.end(), { secure: true })],
  [
    "a TLS socket whose connection closes without a TLS message",
    socket(({ raw }) => raw.end(), { secure: true }),
  ],
  // Node ends such a stream before it resets it.
  ["an HTTP/2 response that a server on Node closes", http2Response(({ received }) => received.close())],
  [
    "an HTTP/2 response that a server on Node closes with a code",
    http2Response(({ received }) => received.close(http2.constants.NGHTTP2_INTERNAL_ERROR)),
  ],
  ["the output of a child process that is killed", child(writesHalf, (process_) => process_.kill("SIGKILL"))],
  [
    "the output of a child process that fails",
    child(`process.stdin.on("data", () => process.exit(1)); ${writesHalf}`, (process_) =>
      process_.stdin?.write("x"),
    ),
  ],
  [
    "gunzip that accepts truncated input",
    unzipped(zlib.gzipSync(whole), () => zlib.createGunzip({ finishFlush: zlib.constants.Z_SYNC_FLUSH })),
  ],
  [
    "a PassThrough that other code ends when its source is destroyed",
    async () => {
      const [from, to] = [new PassThrough(), new PassThrough()];
      from.pipe(to);
      from.write(half);
      from.on("close", () => to.end());
      return { source: to, cut: () => from.destroy() };
    },
  ],
  [
    "a file that is truncated while it is read",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "s3e-source-"));
      closing.push(() => rm(folder, { recursive: true }));
      const path = join(folder, "file");
      await writeFile(path, whole);
      await truncate(path, half.length);
      return { source: createReadStream(path, { end: whole.length - 1 }), cut: () => undefined };
    },
  ],
  [
    "a generator that other code has begun to read",
    async () => {
      const pieces = (async function* () {
        yield half;
        yield half;
      })();
      await pieces.next();
      return { source: pieces, cut: () => undefined };
    },
  ],
];

describe.each(["during the call to the keyring", "during the read"])(
  "a source that is cut off %s",
  (when) => {
    const put = async (make: Transport, ContentLength?: number) => {
      const { source, cut } = await make();
      const slow: typeof keyring = {
        ...keyring,
        async generateDataKey(input) {
          if (when === "during the call to the keyring") {
            await cut();
            // Wait until this process has received the sign, if there is one.
            for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
          } else setImmediate(cut);
          return keyring.generateDataKey(input);
        },
      };
      const client = local.clientWith({ keyring: slow });
      return client.put({
        Bucket,
        Key: "k",
        Body: source as PutBody,
        ...(ContentLength !== undefined && { ContentLength }),
      });
    };

    it.each(errors)("%s rejects, and nothing is stored", async (_, make) => {
      expect(await errorOf(() => put(make))).toEqual(coded("SOURCE_FAILED"));
      expect(await local.contents()).toEqual({ keys: [], uploads: [] });
    });

    it.each(noSign)("%s gives no sign; ContentLength does", async (_, make) => {
      const { plaintextLength } = await put(make);
      expect(plaintextLength).toBeLessThan(whole.length);
      await local.client.delete({ Bucket, Key: "k" });
      const error = await errorOf(() => put(make, whole.length));
      expect(error).toEqual(coded("SOURCE_LENGTH_MISMATCH"));
      expect(await local.contents()).toEqual({ keys: [], uploads: [] });
    });
  },
);

describe("a source that emits from its creation", () => {
  const slow: typeof keyring = {
    ...keyring,
    async generateDataKey(input) {
      for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
      return keyring.generateDataKey(input);
    },
  };
  const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}`);

  it("loses no line of a readline.Interface during the call to the keyring", async () => {
    const Body = createInterface({ input: Readable.from(lines.map((line) => `${line}\n`)) });
    await local.clientWith({ keyring: slow }).put({ Bucket, Key: "k", Body });
    const { Body: stored } = await local.client.get({ Bucket, Key: "k" });
    expect(await stored.transformToString()).toBe(lines.join(""));
    await local.client.delete({ Bucket, Key: "k" });
  });
});
