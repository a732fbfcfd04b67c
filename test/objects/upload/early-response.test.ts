/** An S3 that responds to a part before it has read all of its body. */
import { createServer, type Socket } from "node:net";
import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, it } from "vitest";
import { EnvelopeClient } from "../../../src/index.js";
import { testBytes } from "../../support/bytes.js";
import { keyring } from "../../support/local.js";

/** More bytes than the two sockets of a loopback connection buffer. */
const partBytes = 24 * 1024 * 1024;
const length = Math.floor(1.9 * partBytes);
/** The received bytes of part 1, after its headers. */
const taken: Buffer[] = [];
let first: Socket | undefined;

/** An S3 that responds to part 1 before it has read it. */
const server = createServer((socket) => {
  let headers = "";
  /** Bytes of the body of part 2 that are still missing. */
  let rest = 0;
  const respond = (body = "") =>
    socket.write(`HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  const onData = (bytes: Buffer) => {
    if (rest > 0) {
      rest -= bytes.length;
      if (rest === 0) respond();
      return;
    }
    headers += bytes.toString("latin1");
    // The SDK waits for 100 Continue before the body of a part. Other requests have a small body or none.
    if (!headers.includes("\r\n\r\n")) return;
    const [line = ""] = headers.split("\r\n");
    if (line.includes("partNumber")) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    if (line.includes("partNumber=1&")) {
      first = socket.off("data", onData);
      // After the client has begun to send the body.
      socket.once("data", (piece: Buffer) => {
        socket.pause();
        taken.push(piece);
        respond();
      });
    } else if (line.includes("partNumber")) rest = Number(/content-length: (\d+)/i.exec(headers)?.[1]);
    else respond(line.includes("uploads") ? "<X><UploadId>u</UploadId></X>" : "<X><ETag>x</ETag></X>");
    headers = "";
  };
  socket.on("data", onData).on("error", () => undefined);
});
beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
afterAll(() => {
  first?.destroy();
  server.close();
});

it("the memory of a part is not reused while Node still sends it after an early response of S3", async () => {
  const { port } = server.address() as { port: number };
  const s3 = new S3Client({
    endpoint: `http://127.0.0.1:${port}`,
    forcePathStyle: true,
    region: "eu-central-1",
    credentials: { accessKeyId: "a", secretAccessKey: "b" },
    maxAttempts: 1,
  });
  const client = new EnvelopeClient({ s3, keyring, partSizeBytes: partBytes, maxConcurrentParts: 1 });
  const plaintext = testBytes(length, 5);
  const read = async (start: number, end: number) => {
    // The server reads the rest of part 1 while part 2 is being read into memory.
    if (end === length) {
      const arrived = new Promise<void>((resolve) => {
        let bytes = Buffer.concat(taken).length;
        first?.on("data", (piece: Buffer) => {
          taken.push(piece);
          bytes += piece.length;
          if (bytes >= partBytes) resolve();
        });
      });
      first?.resume();
      await arrived;
    }
    return plaintext.subarray(start, end);
  };
  await client.upload({ Bucket: "b", Key: "k", source: { length, read } });
  s3.destroy();
  const sent = Buffer.concat(taken);
  expect(sent.length).toBe(partBytes);
  const start = Math.floor((partBytes - 56) / 16_400) * 16_384;
  for (let at = 0; at < length - start; at += 100_000)
    expect(sent.subarray(at, at + 64).equals(plaintext.subarray(start + at, start + at + 64))).toBe(false);
});
