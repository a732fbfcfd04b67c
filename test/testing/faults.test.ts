/** Scripted faults, connections, and the end of the in-process AWS. */
import { createConnection } from "node:net";
import { networkInterfaces } from "node:os";
import { CreateKeyCommand, KMSClient, type KMSServiceException, ListKeysCommand } from "@aws-sdk/client-kms";
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ServiceException,
} from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Fault, type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { collectUntilError, expectBytes, testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";
import { until } from "../support/until.js";

const Bucket = "test-bucket";
const bytes = testBytes(300_000, 4);

let aws: LocalAws;
let s3: S3Client;
let kms: KMSClient;
beforeAll(async () => {
  aws = await startLocalAws();
  s3 = new S3Client({ ...aws.s3Config, maxAttempts: 1 });
  kms = new KMSClient({ ...aws.kmsConfig, maxAttempts: 1 });
  await put("read", bytes);
  aws.clearRequests();
});
afterEach(() => {
  aws.clearFaults();
  aws.clearRequests();
});
afterAll(async () => {
  s3.destroy();
  kms.destroy();
  await aws.close();
});

const put = (Key: string, Body: Uint8Array | string = "x") =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body }));
const head = (Key = "read") => s3.send(new HeadObjectCommand({ Bucket, Key }));
const listKeys = () => kms.send(new ListKeysCommand({}));
const statuses = () => aws.requests.map(({ status }) => status);
const exists = (Key: string) =>
  head(Key).then(
    () => true,
    () => false,
  );

async function body(client = s3, abortSignal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: "read" }), {
    ...(abortSignal && { abortSignal }),
  });
  return Body as unknown as AsyncIterable<Uint8Array>;
}

const read = async (client = s3) => collectUntilError(await body(client));

/** The name and status of what a call fails with; undefined when it succeeds. */
async function outcome(act: () => Promise<unknown>): Promise<[string, number | undefined] | undefined> {
  try {
    await act();
    return undefined;
  } catch (error) {
    const { name, $metadata } = error as S3ServiceException | KMSServiceException;
    return [name, $metadata?.httpStatusCode];
  }
}

describe("a fault with a status", () => {
  test.each<[Fault, () => Promise<unknown>, [string, number]]>([
    [{ status: 503, code: "SlowDown" }, () => put("refused"), ["SlowDown", 503]],
    [{ status: 500 }, () => put("refused"), ["InternalError", 500]],
    [{ status: 403, code: "AccessDenied" }, () => read(), ["AccessDenied", 403]],
    [{ status: 404 }, () => head(), ["NotFound", 404]],
    [{ status: 400, code: "ThrottlingException" }, () => listKeys(), ["ThrottlingException", 400]],
    [{ status: 500 }, () => listKeys(), ["InternalError", 500]],
  ])("responds in place of the service: %j", async (fault, act, expected) => {
    aws.fault(fault);
    expect(await outcome(act)).toEqual(expected);
    expect(statuses()).toEqual([expected[1]]);
    expect(await exists("refused")).toBe(false);
    expect(await outcome(() => read())).toBeUndefined();
  });

  test("has its message in the response", async () => {
    aws.fault({ status: 503, code: "SlowDown", message: 'less <&"> please' });
    aws.fault({ status: 400, code: "SomeException", message: 'less <&"> please' });
    expect((await errorOf(() => put("refused"))).message).toBe('less <&"> please');
    expect((await errorOf(() => listKeys())).message).toBe('less <&"> please');
  });

  test("keeps the connection usable after a large body that nobody read", async () => {
    aws.fault({ status: 503, code: "SlowDown" });
    expect(await outcome(() => put("refused", testBytes(5_000_000)))).toEqual(["SlowDown", 503]);
  });

  test("is overcome by a retry of the SDK", async () => {
    const retrying = new S3Client({ ...aws.s3Config, maxAttempts: 3 });
    aws.fault({ operation: "PutObject", status: 500, times: 1 });
    await retrying.send(new PutObjectCommand({ Bucket, Key: "retried", Body: "x" }));
    retrying.destroy();
    expect(statuses()).toEqual([500, 200]);
  });
});

test("a fault with handled lets the request take effect and still responds with its status", async () => {
  aws.fault({ operation: "PutObject", status: 503, code: "SlowDown", handled: true });
  expect(await outcome(() => put("handled"))).toEqual(["SlowDown", 503]);
  aws.fault({ operation: "GetObject", status: 500, handled: true });
  expect(await outcome(() => body(s3))).toEqual(["InternalError", 500]);
  expect((await head("handled")).ContentLength).toBe(1);
});

test("a fault with a body responds as a proxy would", async () => {
  aws.fault({ operation: "PutObject", status: 200, body: "<html></html>" });
  const { ETag, $metadata } = await put("not stored");
  expect([ETag, $metadata.httpStatusCode, $metadata.requestId]).toEqual([undefined, 200, undefined]);
  expect(await exists("not stored")).toBe(false);
});

test("a fault with delayMs delays the request and its other effects", async () => {
  aws.fault({ delayMs: 100 });
  aws.fault({ delayMs: 100, status: 503, code: "SlowDown" });
  for (const expected of [undefined, ["SlowDown", 503]]) {
    const start = performance.now();
    expect(await outcome(() => put("delayed"))).toEqual(expected);
    // A busy machine only adds to it.
    expect(performance.now() - start).toBeGreaterThan(95);
  }
  expect(statuses()).toEqual([200, 503]);
});

describe("a fault with reset", () => {
  test.each([
    ["before", false],
    ["after", true],
  ] as const)("%s: the request took effect: %j", async (reset, effect) => {
    aws.fault({ operation: "PutObject", reset });
    const Key = `reset-${reset}`;
    const error = (await errorOf(() => put(Key, bytes))) as NodeJS.ErrnoException;
    expect(error).toMatchObject({ code: "ECONNRESET" });
    expect(statuses()).toEqual([0]);
    expect(await exists(Key)).toBe(effect);
  });

  test.each([
    ["before", 0],
    ["after", 1],
  ] as const)("%s breaks the connection to KMS", async (reset, effect) => {
    const keys = async () => (await listKeys()).Keys?.length ?? 0;
    const count = await keys();
    aws.fault({ service: "kms", reset });
    expect(await errorOf(() => kms.send(new CreateKeyCommand({})))).toMatchObject({ code: "ECONNRESET" });
    expect((await keys()) - count).toBe(effect);
  });
});

describe("a fault in the body of a response", () => {
  test.each([0, 1, 1000, 299_999])(
    "truncateBodyBytes: %d bytes come, and an error",
    async (truncateBodyBytes) => {
      aws.fault({ operation: "GetObject", truncateBodyBytes });
      const { released, error } = await read();
      expect(error).toMatchObject({ code: "ECONNRESET" });
      expectBytes(released, bytes.subarray(0, truncateBodyBytes));
      expect((await read()).released).toHaveLength(bytes.length);
    },
  );

  test("truncateBodyBytes of 0 sends the headers first", async () => {
    aws.fault({ operation: "GetObject", truncateBodyBytes: 0 });
    const got = await s3.send(new GetObjectCommand({ Bucket, Key: "read" }));
    expect(got.ContentLength).toBe(bytes.length);
    await collectUntilError(got.Body as unknown as AsyncIterable<Uint8Array>);
  });

  test.each([0, 1000])("stallBodyBytes sends %d bytes and then nothing", async (stallBodyBytes) => {
    aws.fault({ operation: "GetObject", stallBodyBytes });
    const client = new S3Client({ ...aws.s3Config, maxAttempts: 1 });
    const pieces: Uint8Array[] = [];
    const stream = (await body(client)) as AsyncIterable<Uint8Array> & { destroy(error: Error): void };
    const reading = errorOf(async () => {
      for await (const piece of stream) pieces.push(piece);
    });
    await until(() => expect(Buffer.concat(pieces).length).toBe(stallBodyBytes));
    // Another response comes whole in the meantime.
    expect((await read()).released).toHaveLength(bytes.length);
    expectBytes(Buffer.concat(pieces), bytes.subarray(0, stallBodyBytes));
    stream.destroy(new Error("waited long enough"));
    expect((await reading).message).toBe("waited long enough");
    client.destroy();
  });

  test.each([
    [0, 1],
    [70_000, 0x80],
    [299_999, 0xff],
  ])("corrupt changes the byte at %d by an exclusive or with %d", async (offset, xor) => {
    aws.fault({ operation: "GetObject", corrupt: { offset, xor } });
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: "read", Range: "bytes=0-" }));
    const changed = Buffer.from(bytes);
    changed[offset] = (changed[offset] ?? 0) ^ xor;
    expectBytes((await Body?.transformToByteArray()) ?? bytes, changed);
    expectBytes((await read()).released, bytes);
  });

  test("corrupt is noticed by the checksum of the SDK", async () => {
    aws.fault({ operation: "GetObject", corrupt: { offset: 5, xor: 1 } });
    const { error } = await read();
    expect((error as Error).message).toMatch(/checksum/i);
  });

  test("corrupt beyond the end changes nothing", async () => {
    aws.fault({ operation: "GetObject", corrupt: { offset: bytes.length, xor: 1 } });
    const { released, error } = await read();
    expect(error).toBeUndefined();
    expectBytes(released, bytes);
  });
});

describe("a fault applies to requests", () => {
  const heads = async (count: number) => {
    for (let turn = 0; turn < count; turn++) await head().catch(() => undefined);
    return statuses();
  };

  test.each<[Fault, number[]]>([
    [{}, [503, 200, 200, 200]],
    [{ skip: 2 }, [200, 200, 503, 200]],
    [{ times: 2 }, [503, 503, 200, 200]],
    [{ skip: 1, times: 2 }, [200, 503, 503, 200]],
    [{ times: Number.POSITIVE_INFINITY }, [503, 503, 503, 503]],
    [{ times: 0 }, [200, 200, 200, 200]],
  ])("selected by %j", async (fault, expected) => {
    aws.fault({ status: 503, ...fault });
    expect(await heads(4)).toEqual(expected);
  });

  test.each<[Fault, [string, number][]]>([
    [
      { operation: "PutObject" },
      [
        ["HeadObject", 200],
        ["ListKeys", 200],
        ["PutObject", 503],
      ],
    ],
    [
      { service: "kms" },
      [
        ["HeadObject", 200],
        ["ListKeys", 503],
        ["PutObject", 200],
      ],
    ],
    [
      { service: "s3", skip: 1 },
      [
        ["HeadObject", 200],
        ["ListKeys", 200],
        ["PutObject", 503],
      ],
    ],
    [
      { service: "kms", operation: "PutObject" },
      [
        ["HeadObject", 200],
        ["ListKeys", 200],
        ["PutObject", 200],
      ],
    ],
  ])("of both services selected by %j", async (fault, expected) => {
    aws.fault({ status: 503, code: "SlowDown", ...fault });
    for (const act of [head, listKeys, () => put("hit")]) await outcome(() => act());
    expect(aws.requests.map(({ operation, status }) => [operation, status])).toEqual(expected);
  });

  test("in the order in which the faults were added, one fault a request", async () => {
    aws.fault({ status: 501 });
    aws.fault({ status: 502, times: 2 });
    aws.fault({ status: 503, skip: 1 });
    expect(await heads(6)).toEqual([501, 502, 502, 200, 503, 200]);
  });

  test("until clearFaults is called", async () => {
    aws.fault({ status: 503, times: 9 });
    expect(await heads(2)).toEqual([503, 503]);
    aws.clearFaults();
    expect(await heads(1)).toEqual([503, 503, 200]);
    aws.clearRequests();
    expect(statuses()).toEqual([]);
  });
});

describe("the in-process servers", () => {
  const connect = (host: string, port: number) =>
    new Promise<boolean>((resolve) => {
      const socket = createConnection({ host, port, timeout: 60_000 });
      const done = (open: boolean) => {
        socket.destroy();
        resolve(open);
      };
      socket
        .once("connect", () => done(true))
        .once("error", () => done(false))
        .once("timeout", () => done(false));
    });

  test("listen on 127.0.0.1 only", async () => {
    const others = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .map(({ address, scopeid }) => (scopeid ? undefined : address))
      .filter((address) => address !== undefined && address !== "127.0.0.1");
    for (const { endpoint } of [aws.s3Config, aws.kmsConfig]) {
      const { hostname, port } = new URL(endpoint);
      expect(hostname).toBe("127.0.0.1");
      expect(await connect("127.0.0.1", Number(port))).toBe(true);
      // Linux answers on all of 127/8, so that even a machine with no other address can tell.
      const elsewhere = [...others, ...(process.platform === "linux" ? ["127.0.0.2"] : [])];
      for (const host of elsewhere) expect(await connect(host as string, Number(port)), host).toBe(false);
    }
  });

  test("end open connections at close(), even those in use, and may be closed again", async () => {
    const other = await startLocalAws();
    const client = new S3Client({ ...other.s3Config, maxAttempts: 1 });
    await client.send(new PutObjectCommand({ Bucket, Key: "read", Body: bytes }));
    other.fault({ operation: "GetObject", stallBodyBytes: 10 });
    const held = other.hold({ operation: "ListObjectsV2" });
    const stalled = collectUntilError(await body(client));
    const listing = errorOf(() => client.send(new ListObjectsV2Command({ Bucket })));
    await held.arrived;
    expect(await other.s3Connections()).toBe(2);
    const closed = other.close();
    expect(other.close()).toBeInstanceOf(Promise);
    await closed;
    expect((await stalled).error).toMatchObject({ code: "ECONNRESET" });
    expect(await listing).toMatchObject({ code: "ECONNRESET" });
    await other.close();
    await other[Symbol.asyncDispose]();
    for (const { endpoint } of [other.s3Config, other.kmsConfig]) {
      expect(await connect("127.0.0.1", Number(new URL(endpoint).port))).toBe(false);
    }
    client.destroy();
  });

  test("report the number of open connections", async () => {
    await using other = await startLocalAws();
    expect(await other.s3Connections()).toBe(0);
    await other.s3.send(new ListObjectsV2Command({ Bucket }));
    expect(await other.s3Connections()).toBe(1);
    other.s3.destroy();
    await expect.poll(() => other.s3Connections()).toBe(0);
  });

  test("share nothing with other servers in the process, and start with their own options", async () => {
    await using other = await startLocalAws({ region: "us-west-2", buckets: ["first", "second"] });
    expect(other.s3Config.endpoint).not.toBe(aws.s3Config.endpoint);
    for (const name of ["first", "second"]) {
      expect((await other.s3.send(new ListObjectsV2Command({ Bucket: name }))).KeyCount).toBe(0);
    }
    expect((await errorOf(() => other.s3.send(new ListObjectsV2Command({ Bucket })))).name).toBe(
      "NoSuchBucket",
    );
    const { KeyMetadata } = await other.kms.send(new CreateKeyCommand({}));
    expect(KeyMetadata?.Arn).toMatch(/^arn:aws:kms:us-west-2:/);
    expect(statuses()).toEqual([]);
  });
});

describe("startLocalAws and its faults", () => {
  test.each<[unknown, string]>([
    [null, "fault: expected an object, got null"],
    [{ body: "x" }, "fault.status: expected an integer beside body or handled, got undefined"],
    [{ handled: true }, "fault.status: expected an integer beside body or handled, got undefined"],
    [
      { opeartion: "PutObject" },
      "fault.opeartion: fault of startLocalAws has no such field, did you mean operation?",
    ],
    [{ service: "sqs" }, 'fault.service: expected one of "s3", "kms", got another string'],
    [{ operation: 1 }, "fault.operation: expected a string, got the number 1"],
    [{ skip: -1 }, "fault.skip: expected an integer from 0 to 9007199254740991, got -1"],
    [{ times: 0.5 }, "fault.times: expected an integer from 0 to 9007199254740991, got 0.5"],
    [{ status: 1000 }, "fault.status: expected an integer from 200 to 599, got 1000"],
    [{ status: "503" }, "fault.status: expected an integer, got a string"],
    [{ delayMs: Number.NaN }, "fault.delayMs: expected an integer from 0 to 2147483647, got NaN"],
    [{ reset: "now" }, 'fault.reset: expected one of "before", "after", got another string'],
    [{ truncateBodyBytes: "1" }, "fault.truncateBodyBytes: expected an integer, got a string"],
    [{ stallBodyBytes: null }, "fault.stallBodyBytes: expected an integer, got null"],
    [{ corrupt: { offset: 0 } }, "fault.corrupt.xor: expected an integer, got undefined"],
    [{ corrupt: { offset: 0, xor: 0 } }, "fault.corrupt.xor: expected an integer from 1 to 255, got 0"],
  ])("refuse the fault %j", (fault, message) => {
    expect(() => aws.fault(fault as Fault)).toThrow(message);
  });

  test.each<[unknown, string]>([
    [null, "options: expected an object, got null"],
    [{ buckets: "b" }, "options.buckets: expected an array of strings, got a string"],
    [{ buckets: ["bucket", 1] }, "options.buckets[1]: expected a string, got the number 1"],
    [
      { buckets: ["A"] },
      'options.buckets[0]: expected a name that S3 allows for a bucket: 3 to 63 of a to z, 0 to 9, "-" and "."',
    ],
    [{ buckets: ["bucket", "bucket"] }, "options.buckets[1]: the name occurs twice"],
    [{ region: "" }, "options.region: expected a non-empty string, got an empty one"],
    [{ minPartBytes: 0 }, "options.minPartBytes: expected an integer from 1 to 5368709120, got 0"],
    [{ discardBodies: "no" }, "options.discardBodies: expected one of true, false, got another string"],
  ])("refuse the options %j", async (options, message) => {
    expect((await errorOf(() => startLocalAws(options as never))).message).toBe(message);
  });
});
