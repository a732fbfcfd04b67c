/** The memory of a part is reused only when nobody can still read it. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { expect, it } from "vitest";
import { createS3Client, EnvelopeClient } from "../../src/index.js";
import { collect, expectBytes, testBytes } from "../support/bytes.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../support/local.js";
import { until } from "../support/until.js";

const local = useLocalAws();
const bytes = testBytes(9 * partBytes, 5);
const put = (s3: S3Client) =>
  new EnvelopeClient({ s3, keyring, partSizeBytes: partBytes, maxConcurrentParts: 2 }).put({
    Bucket,
    Key: "k",
    Body: bytes,
  });

it("the memory of parts that S3 has stored is reused", async () => {
  const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 1 });
  const memory = new Set<ArrayBufferLike>();
  s3.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        const { body } = args.request as { body?: Buffer };
        if (commandName === "UploadPartCommand" && body) memory.add(body.buffer);
        return next(args);
      },
    { step: "finalizeRequest" },
  );
  await put(s3);
  s3.destroy();
  // Two in flight, one read ahead, one being filled; the last part is shorter.
  expect(memory.size).toBeLessThanOrEqual(5);
  expectBytes(await collect((await local.client.get({ Bucket, Key: "k" })).Body), bytes);
});

it("a part that is sent twice is sent unchanged, and its memory is not reused", async () => {
  local.aws.fault({ operation: "UploadPart", skip: 2, status: 503, code: "SlowDown", times: 2 });
  const s3 = new S3Client(local.aws.s3Config);
  const sent: { readonly partNumber: unknown; readonly memory: unknown }[] = [];
  s3.middlewareStack.add(
    (next) => (args) => {
      const { query, body } = args.request as { query: { partNumber?: string }; body?: Buffer };
      if (query.partNumber) sent.push({ partNumber: query.partNumber, memory: body?.buffer });
      return next(args);
    },
    // Sees each attempt.
    { step: "deserialize" },
  );
  await put(s3);
  s3.destroy();
  const again = sent.flatMap(({ partNumber, memory }, index) => {
    if (!sent.slice(0, index).some((earlier) => earlier.partNumber === partNumber)) return [];
    // Both faults may concern the same part.
    const others = sent.slice(index + 1).filter((later) => later.partNumber !== partNumber);
    return [others.filter((later) => later.memory === memory).length];
  });
  expect(again).toEqual([0, 0]);
  expectBytes(await collect((await local.client.get({ Bucket, Key: "k" })).Body), bytes);
});

it("a part that is still being sent when its second attempt succeeds is sent unchanged", async () => {
  const late = await startLateReader();
  const s3 = createS3Client({ ...local.aws.s3Config, endpoint: late.endpoint });
  await put(s3);
  await late.hasRead;
  s3.destroy();
  late.close();
  expect(late.parts).toHaveLength(11);
  expect(late.parts.filter(({ partNumber }) => partNumber === "1")).toHaveLength(2);
  expect(late.parts.filter(({ isAsSigned }) => !isAsSigned)).toEqual([]);
});

it("the body of a small object is in memory of its own", async () => {
  const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 1 });
  const shared: boolean[] = [];
  s3.middlewareStack.add(
    (next) => (args) => {
      const { body } = args.request as { body: Buffer };
      shared.push(body.buffer.byteLength !== body.length);
      return next(args);
    },
    { step: "finalizeRequest" },
  );
  await new EnvelopeClient({ s3, keyring }).put({ Bucket, Key: "k", Body: "small" });
  s3.destroy();
  expect(shared).toEqual([false]);
});

it("a subclass of the request handler of the SDK may keep the bodies of its requests", async () => {
  const stock = new S3Client(local.aws.s3Config);
  const Stock = stock.config.requestHandler.constructor as new (options: object) => Handler;
  const kept: Buffer[] = [];
  class NodeHttpHandler extends Stock {
    override handle(request: { body?: unknown; query?: object }, options: unknown): Promise<unknown> {
      if (Object.hasOwn(request.query ?? {}, "partNumber")) kept.push(request.body as Buffer);
      return super.handle(request, options);
    }
  }
  const own = new Stock({});
  const { handle } = own;
  own.handle = (request, options) => {
    if (Object.hasOwn(request.query ?? {}, "partNumber")) kept.push(request.body as Buffer);
    return handle.call(own, request, options);
  };
  for (const requestHandler of [new NodeHttpHandler({}), own]) {
    kept.length = 0;
    const s3 = new S3Client({ ...local.aws.s3Config, requestHandler: requestHandler as never });
    await put(s3);
    s3.destroy();
    expect(kept).toHaveLength(10);
    expect(new Set(kept.map(({ buffer }) => buffer)).size).toBe(kept.length);
  }
});
interface Handler {
  handle(request: { body?: unknown; query?: object }, options: unknown): Promise<unknown>;
}

it("a mocked client may keep the bodies of its commands", async () => {
  const s3 = new S3Client({ region: "eu-central-1" });
  const mock = mockClient(s3);
  mock.on(CreateMultipartUploadCommand).resolves({ UploadId: "u" });
  mock.on(UploadPartCommand).resolves({ ETag: '"e"' });
  mock.on(CompleteMultipartUploadCommand).resolves({ ETag: '"e"' });
  await put(s3);
  const bodies = mock.commandCalls(UploadPartCommand).map(({ args }) => args[0].input.Body as Buffer);
  expect(new Set(bodies.map(({ buffer }) => buffer)).size).toBe(bodies.length);
});

it("a request handler of the caller may keep the bodies of its requests", async () => {
  const kept: Buffer[] = [];
  const answers: Record<string, string> = {
    POST: "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    PUT: "",
  };
  const requestHandler = {
    async handle({ method, body }: { method: string; body?: Buffer }) {
      if (method === "PUT" && body) kept.push(body);
      return {
        response: { statusCode: 200, headers: { etag: '"e"' }, body: Buffer.from(answers[method] ?? "") },
      };
    },
  };
  const { region, credentials } = local.aws.s3Config;
  const s3 = new S3Client({ region, credentials, requestHandler: requestHandler as never });
  await put(s3).catch(() => undefined);
  expect(kept.length).toBe(10);
  expect(new Set(kept.map(({ buffer }) => buffer)).size).toBe(kept.length);
});

/**
 * An S3 that answers the first attempt of part 1 with 503 before it reads the body, and reads it once the upload has
 * gone on with other parts.
 */
async function startLateReader() {
  const parts: { partNumber: string; isAsSigned: boolean }[] = [];
  let settle: () => void = () => undefined;
  const hasRead = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const answer = (body: string) =>
    `HTTP/1.1 200 OK\r\netag: "e"\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  let isFirst = true;
  const server = createServer(async (socket) => {
    let waiting: Buffer = Buffer.alloc(0);
    let left = 0;
    let head = "";
    let isLate = false;
    let hash = createHash("sha256");
    try {
      for await (const piece of socket as AsyncIterable<Buffer>) {
        let bytes: Buffer = Buffer.concat([waiting, piece]);
        waiting = Buffer.alloc(0);
        while (bytes.length > 0) {
          if (head === "") {
            const end = bytes.indexOf("\r\n\r\n");
            if (end < 0) break;
            head = bytes.subarray(0, end).toString();
            bytes = bytes.subarray(end + 4);
            left = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
            hash = createHash("sha256");
            isLate = isFirst && head.includes("partNumber=1&");
            if (isLate) {
              isFirst = false;
              socket.write("HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n");
              await until(() => expect(parts.length).toBeGreaterThan(6));
            }
          }
          const body = bytes.subarray(0, left);
          hash.update(body);
          left -= body.length;
          bytes = bytes.subarray(body.length);
          if (left > 0) continue;
          const partNumber = /partNumber=(\d+)/.exec(head)?.[1];
          const signed = /x-amz-content-sha256: (\w+)/i.exec(head)?.[1];
          if (partNumber) parts.push({ partNumber, isAsSigned: hash.digest("hex") === signed });
          if (isLate) settle();
          else if (partNumber) socket.write(answer(""));
          else if (/\?uploads/.test(head))
            socket.write(answer("<Initiated><UploadId>u</UploadId></Initiated>"));
          else socket.write(answer("<Completed><ETag>e</ETag></Completed>"));
          head = "";
        }
        waiting = bytes;
      }
    } catch {
      // The connections of a destroyed client break.
    } finally {
      if (isLate) settle();
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { endpoint, parts, hasRead, close: () => server.close() };
}
