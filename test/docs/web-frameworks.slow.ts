/** The code of docs/guides/web-frameworks.md, unchanged, behind real servers. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get as httpGet, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { getRequestListener } from "@hono/node-server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EnvelopeClient, type GetOutput } from "../../src/index.js";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { blocksOf, useBlockRunner } from "../support/document-blocks.js";
import { keyring } from "../support/local.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [serve = "", express = "", fastify = "", honoCode = ""] = blocksOf("docs/guides/web-frameworks.md").map(
  ([, code]) => code,
);
const folder = mkdtempSync(join(root, ".tmp-frameworks-"));
const files = { "serve-object.ts": serve, "express.ts": express, "fastify.ts": fastify, "hono.ts": honoCode };
for (const [file, code] of Object.entries(files)) writeFileSync(join(folder, file), code);
const app = (file: string) =>
  import(join(folder, file)) as Promise<Record<string, (envelope: EnvelopeClient) => never>>;

/** The frameworks as listeners of a Node.js server. */
const frameworks: Record<string, (envelope: EnvelopeClient) => Promise<RequestListener>> = {
  Express: async (envelope) => (await app("express.ts")).expressApp?.(envelope) as unknown as RequestListener,
  Fastify: async (envelope) => {
    const server = (await app("fastify.ts")).fastifyApp?.(envelope) as unknown as {
      ready(): Promise<void>;
      routing: RequestListener;
    };
    await server.ready();
    return server.routing;
  },
  Hono: async (envelope) => {
    const hono = (await app("hono.ts")).honoApp?.(envelope) as unknown as {
      fetch(request: Request): Response;
    };
    return getRequestListener(hono.fetch);
  },
};

const small = testBytes(100_000, 1);
const large = testBytes(8_000_000, 2);
let aws: LocalAws;
/** The bodies that `get` has returned. */
const bodies: Readable[] = [];
const servers: Server[] = [];
let envelope: EnvelopeClient;
let etag = "";

beforeAll(async () => {
  aws = await startLocalAws({ buckets: ["my-bucket"] });
  class Watched extends EnvelopeClient {
    override async get(...args: Parameters<EnvelopeClient["get"]>): Promise<GetOutput> {
      const output = await super.get(...args);
      bodies.push(output.Body);
      return output;
    }
  }
  envelope = new Watched({ s3: aws.s3, keyring });
  const stored = await envelope.put({
    Bucket: "my-bucket",
    Key: "small",
    Body: small,
    ContentType: "text/x",
  });
  etag = stored.ETag ?? "";
  await envelope.put({ Bucket: "my-bucket", Key: "large", Body: large });
});
afterAll(async () => {
  for (const server of servers) server.close().closeAllConnections();
  await aws.close();
  rmSync(folder, { recursive: true });
});

async function serverOf(name: string): Promise<string> {
  const listener = await frameworks[name]?.(envelope);
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/files`;
}

describe.each(Object.keys(frameworks))("an object served by %s", (name) => {
  let url = "";
  beforeAll(async () => {
    url = await serverOf(name);
  });

  it.each([
    ["whole", {}, 200, undefined, small],
    ["in a range", { range: "bytes=100-199" }, 206, "bytes 100-199/100000", small.subarray(100, 200)],
    ["from its end", { range: "bytes=-5" }, 206, "bytes 99995-99999/100000", small.subarray(-5)],
    ["whole where the unit is unknown", { range: "items=0-1" }, 200, undefined, small],
    ["whole where several ranges are asked for", { range: "bytes=0-1,4-5" }, 200, undefined, small],
    ["whole where the range is reversed", { range: "bytes=5-1" }, 200, undefined, small],
    [
      "whole where If-Range names another",
      { range: "bytes=0-1", "if-range": '"other"' },
      200,
      undefined,
      small,
    ],
  ])("is returned %s", async (_, headers, status, contentRange, bytes) => {
    const response = await fetch(`${url}/small`, { headers: headers as Record<string, string> });
    expect(response.status).toBe(status);
    expect(response.headers.get("content-range") ?? undefined).toBe(contentRange);
    expect(response.headers.get("content-length")).toBe(String(bytes.length));
    expect(response.headers.get("content-type")).toBe("text/x");
    expectBytes(new Uint8Array(await response.arrayBuffer()), bytes);
  });

  it("is returned in a range if If-Range names it", async () => {
    const response = await fetch(`${url}/small`, { headers: { range: "bytes=0-1", "if-range": etag } });
    expect(response.status).toBe(206);
    expectBytes(new Uint8Array(await response.arrayBuffer()), small.subarray(0, 2));
  });

  it("is 416 with its size for a range beyond its end", async () => {
    const response = await fetch(`${url}/small`, { headers: { range: "bytes=100000-" } });
    expect(response.status).toBe(416);
    expect(response.headers.get("content-range")).toBe("bytes */100000");
  });

  it("is 304 if the client has it, and 404 if it does not exist", async () => {
    expect((await fetch(`${url}/small`, { headers: { "if-none-match": etag } })).status).toBe(304);
    expect((await fetch(`${url}/none`)).status).toBe(404);
  });

  it("has its plaintext size in the response to HEAD", async () => {
    const response = await fetch(`${url}/small`, { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe("100000");
  });

  it("is destroyed when the client disconnects during the transfer", async () => {
    bodies.length = 0;
    await new Promise<void>((resolve, reject) => {
      const request = httpGet(`${url}/large`, (response) => {
        response.once("data", () => {
          request.destroy();
          resolve();
        });
      });
      request.once("error", reject);
    });
    const [body] = bodies;
    if (!body) throw new Error("no body was asked for");
    await new Promise<void>((resolve) => {
      if (body.closed) resolve();
      else body.once("close", resolve);
      body.once("error", () => undefined);
    });
    expect(body.destroyed).toBe(true);
    expect(body.readableEnded).toBe(false);
  });
});

describe("docs/guides/web-frameworks.md", () => {
  const runner = useBlockRunner();
  it("type-checks as written", () => {
    runner.typeCheck(
      [express, fastify, honoCode].map((code) =>
        code.replaceAll('"./serve-object.js"', JSON.stringify(join(folder, "serve-object.js"))),
      ),
    );
  });
});
