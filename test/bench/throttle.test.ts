import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { expect, it } from "vitest";
import { limitConnections } from "../../bench/throttle.js";

const pieces = 64;
const pieceBytes = 64 * 1024;
const bytesPerSecond = 20e6;

it("each connection is sent all of its bytes, and no faster than the limit", async () => {
  limitConnections(bytesPerSecond);
  const server = createServer((_, response) => {
    const body = Array.from({ length: pieces }, (_, index) => Buffer.alloc(pieceBytes, index));
    void pipeline(Readable.from(body), response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const read = async () => {
    const start = performance.now();
    const [answer] = (await once(get({ port, host: "127.0.0.1", agent: false }), "response")) as [
      IncomingMessage,
    ];
    const body = Buffer.concat(await answer.toArray());
    return { body, rate: (body.length / (performance.now() - start)) * 1000 };
  };
  for (const { body, rate } of await Promise.all([read(), read()])) {
    expect(body).toHaveLength(pieces * pieceBytes);
    expect([body[0], body.at(-1)]).toEqual([0, pieces - 1]);
    // The first pieces and the last are not waited for.
    expect(rate).toBeLessThan(bytesPerSecond * 1.1);
  }
  server.close();
});
