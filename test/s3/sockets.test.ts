import { createHash } from "node:crypto";
import { once } from "node:events";
import { HeadObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, it } from "vitest";
import {
  aesKeyring,
  createS3Client,
  EnvelopeClient,
  type EnvelopeClientOptions,
  type GetInput,
  type Keyring,
} from "../../src/index.js";
import { migrateObject } from "../../src/legacy.js";
import { startLocalAws } from "../../src/testing/index.js";
import { readerOf, store } from "../s3ec-objects/support.js";
import { collectUntilError, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { allowAll, localShapes, writeLegacy } from "../support/legacy-objects.js";
import { Bucket, keyring, s3PartBytes as partBytes, useLocalAws, wrappingKey } from "../support/local.js";
import { tls } from "../support/tls.js";

const local = useLocalAws();
const made: S3Client[] = [];
afterEach(() => {
  for (const s3 of made.splice(0)) s3.destroy();
});

type Make = (settings: ConstructorParameters<typeof S3Client>[0] & object) => S3Client;
const sdk: Make = (settings) => new S3Client(settings);
const kinds: [string, Make][] = [
  ["the SDK's own client", sdk],
  ["createS3Client", (settings) => createS3Client(settings)],
];

/** An S3Client of so few sockets. */
function s3With(make: Make, maxSockets: number, more: Record<string, unknown> = {}): S3Client {
  const requestHandler = { httpAgent: { maxSockets } };
  const s3 = make({ ...local.aws.s3Config, maxAttempts: 1, requestHandler, ...more });
  made.push(s3);
  return s3;
}

const clientOn = (s3: S3Client, options: Partial<EnvelopeClientOptions> = {}) =>
  new EnvelopeClient({ s3, keyring, partSizeBytes: partBytes, ...options });
const allowingStreams = { ...allowAll, releaseUnverifiedPlaintext: true };
const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const operations = () => local.aws.requests.map(({ operation }) => operation);
const gets = () => local.aws.requests.filter(({ operation }) => operation === "GetObject");

async function storeMany(count: number, bytes: number): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, index) => `${bytes}-${index}`);
  for (const [index, Key] of keys.entries())
    await local.client.put({ Bucket, Key, Body: testBytes(bytes, index) });
  local.aws.clearRequests();
  return keys;
}

async function expectHash(Key: string, bytes: Buffer): Promise<void> {
  const { Body } = await local.client.get({ Bucket, Key });
  expect(hash(await Body.transformToByteArray())).toBe(hash(bytes));
}

describe.each(kinds)("over 4 sockets of %s", (_name, make) => {
  it("6 bodies piped into 6 puts arrive completely", async () => {
    const bytes = partBytes + 1024 * 1024;
    const client = clientOn(s3With(make, 4));
    const keys = await storeMany(6, bytes);
    await Promise.all(
      keys.map(async (Key) => {
        const { Body } = await client.get({ Bucket, Key });
        await client.put({ Bucket, Key: `copy-${Key}`, Body });
      }),
    );
    for (const [index, Key] of keys.entries()) await expectHash(`copy-${Key}`, testBytes(bytes, index));
  });

  it("6 streaming migrations end", async () => {
    const bytes = testBytes(partBytes + 1024 * 1024, 5);
    const written = await writeLegacy(bytes, localShapes["115"]);
    const keys = [0, 1, 2, 3, 4, 5].map((index) => `migrated-${index}`);
    for (const Key of keys) await store(local, Key, written);
    const client = readerOf(local, allowingStreams, { s3: s3With(make, 4) });
    await Promise.all(keys.map((Key) => migrateObject(client, { Bucket, Key })));
    for (const Key of keys) await expectHash(Key, bytes);
  });

  it.each([1_000, 60_000, 500_000])(
    "12 bodies of %i bytes can be collected before one is read",
    async (bytes) => {
      const client = clientOn(s3With(make, 4));
      const keys = await storeMany(12, bytes);
      const objects = await Promise.all(keys.map((Key) => client.get({ Bucket, Key })));
      for (const [index, { Body }] of objects.entries())
        expect(hash(await Body.transformToByteArray())).toBe(hash(testBytes(bytes, index)));
      // Bytes that have arrived are not requested again.
      if (bytes === 1_000) expect(gets()).toHaveLength(12);
    },
  );
});

/** With one socket, a request that succeeds shows that the body has given up its connection. */
describe("a body that nobody reads while another request wants its only socket", () => {
  const bytes = testBytes(1_000_000, 9);
  const object = { Bucket, Key: "object" };
  const stored = async (client = local.client, more: Record<string, unknown> = {}) => {
    await client.put({ ...object, Body: bytes, ...more });
    local.aws.clearRequests();
  };
  const opened = async (input: Partial<GetInput> = {}, s3 = s3With(sdk, 1), options = {}) => {
    const client = clientOn(s3, options);
    const { Body, ETag } = await client.get({ ...object, ...input });
    return { client, Body, ETag, s3 };
  };
  const released = async (input: Partial<GetInput> = {}, s3?: S3Client, options = {}) => {
    const body = await opened(input, s3, options);
    await body.client.head(object);
    return body;
  };

  it("resumes where it stopped, by one request for the rest of the same version", async () => {
    await stored();
    const { client, Body, ETag } = await opened();
    const pieces = [(await once(Body, "readable").then(() => Body.read())) as Buffer];
    await client.head(object);
    for await (const piece of Body) pieces.push(piece as Buffer);
    expect(hash(Buffer.concat(pieces))).toBe(hash(bytes));
    expect(operations()).toEqual(["GetObject", "HeadObject", "GetObject"]);
    const { headers } = gets()[1] ?? {};
    expect(headers).toMatchObject({ "if-match": ETag });
    expect(headers?.range).toMatch(/^bytes=[1-9]\d*-1001047$/);
  });

  it("that was not begun is requested again as a whole", async () => {
    await stored();
    const { Body } = await released({}, s3With(createS3Client, 1));
    expect(hash(await Body.transformToByteArray())).toBe(hash(bytes));
    expect(gets()[1]?.headers.range).toBeUndefined();
  });

  it("resumes any number of times, for slow readers and all ways of reading", async () => {
    await stored();
    const { client, Body } = await opened();
    const pieces: Buffer[] = [];
    for await (const piece of Body) {
      pieces.push(piece as Buffer);
      if (pieces.length % 5 === 0) await client.head(object);
    }
    expect(hash(Buffer.concat(pieces))).toBe(hash(bytes));
    expect(gets().length).toBeGreaterThan(2);
    expect(gets().length).toBeLessThanOrEqual(
      1 + operations().filter((name) => name === "HeadObject").length,
    );
  });

  it("reports its progress without gaps or repetitions", async () => {
    await stored();
    const reported: number[] = [];
    const client = clientOn(s3With(sdk, 1));
    const { Body } = await client.get(object, { onProgress: (progress) => reported.push(progress.bytes) });
    await client.head(object);
    await Body.transformToByteArray();
    expect(reported.at(-1)).toBe(bytes.length);
    expect(reported).toEqual([...reported].sort((left, right) => left - right));
  });

  it.each([
    ["a range", { Range: "bytes=100000-899999" }, bytes.subarray(100_000, 900_000)],
    ["a range from the end", { Range: "bytes=-700000" }, bytes.subarray(300_000)],
    ["an object whose length is verified", { verifyLength: true }, bytes],
    ["an object read in parallel", { parallel: true }, bytes],
  ] as const)("of %s arrives completely", async (_name, input, wanted) => {
    await stored();
    const { Body } = await released(input);
    expect(hash(await Body.transformToByteArray())).toBe(hash(wanted));
  });

  it.each(kinds)("of an unencrypted object arrives completely, by %s", async (_name, make) => {
    await local.putRaw("object", bytes);
    for (const input of [{}, { Range: "bytes=5-899999" }]) {
      const { Body } = await released({ unencrypted: "allow", ...input }, s3With(make, 1));
      const wanted = "Range" in input ? bytes.subarray(5, 900_000) : bytes;
      expect(hash(await Body.transformToByteArray())).toBe(hash(wanted));
    }
  });

  it("of an unencrypted object is still compared with its checksum as a whole", async () => {
    await local.putRaw("object", bytes);
    const { Body, client } = await opened({ unencrypted: "allow" });
    const first = (await once(Body, "readable").then(() => Body.read())) as Buffer;
    await client.head(object);
    local.aws.fault({ operation: "GetObject", corrupt: { offset: 100_000, xor: 1 } });
    const { error, released: rest } = await collectUntilError(Body);
    expect(error).toEqual(coded("BODY_INTERRUPTED", { bucket: Bucket, key: "object" }));
    expect(first.length + rest.length).toBeLessThanOrEqual(bytes.length);
  });

  it.each(["115", "cbc"] as const)(
    "of an object of Amazon's S3 Encryption Clients (%s) arrives completely",
    async (shape) => {
      await store(local, "object", await writeLegacy(bytes, localShapes[shape]));
      const client = readerOf(local, allowingStreams, { s3: s3With(sdk, 1) });
      const { Body } = await client.get(object);
      await client.delete({ Bucket, Key: "nothing" });
      expect(hash(await Body.transformToByteArray())).toBe(hash(bytes));
      expect(gets()).toHaveLength(2);
    },
  );

  it("arrives completely over TLS", async () => {
    await using aws = await startLocalAws({ tls });
    for (const [, make] of kinds) {
      const requestHandler = { httpsAgent: { maxSockets: 1, ca: tls.cert } };
      const s3 = make({ ...aws.s3Config, maxAttempts: 1, requestHandler });
      made.push(s3);
      const client = clientOn(s3);
      await new EnvelopeClient({ s3: aws.s3, keyring }).put({ ...object, Body: bytes });
      const { Body } = await client.get(object);
      const pieces = [(await once(Body, "readable").then(() => Body.read())) as Buffer];
      await client.head(object);
      for await (const piece of Body) pieces.push(piece as Buffer);
      expect(hash(Buffer.concat(pieces))).toBe(hash(bytes));
    }
  });

  it("gives its connection to requests of the keyring by the same client", async () => {
    await stored();
    const s3 = s3With(sdk, 1);
    const inner = aesKeyring({ keyId: "test", wrappingKey });
    const asking: Keyring = {
      generateDataKey: (request) => inner.generateDataKey(request),
      async unwrapDataKey(request) {
        await clientOn(s3).head(object);
        return inner.unwrapDataKey(request);
      },
    };
    const { Body } = await opened({}, s3, { keyring: asking });
    expect(hash(await Body.transformToByteArray())).toBe(hash(bytes));
  });

  it("is requested again with the same version, payer and customer-provided key", async () => {
    const customer = { SSECustomerAlgorithm: "AES256", SSECustomerKey: testBytes(32).toString("base64") };
    // Such keys go over TLS alone.
    await using aws = await startLocalAws({ tls });
    const requestHandler = { httpsAgent: { maxSockets: 1, ca: tls.cert } };
    const s3 = sdk({ ...aws.s3Config, maxAttempts: 1, requestHandler });
    made.push(s3);
    const client = clientOn(s3);
    await client.put({ ...object, Body: bytes, ...customer });
    const input = { ...object, ...customer, RequestPayer: "requester", VersionId: "null" } as const;
    const { Body } = await client.get(input);
    await client.head({ ...object, ...customer });
    aws.clearRequests();
    expect(hash(await Body.transformToByteArray())).toBe(hash(bytes));
    const [again, ...others] = aws.requests;
    expect(others).toEqual([]);
    expect(again?.operation).toBe("GetObject");
    expect(again?.query).toMatchObject({ versionId: "null" });
    expect(again?.headers).toMatchObject({
      "x-amz-request-payer": "requester",
      "x-amz-server-side-encryption-customer-algorithm": "AES256",
    });
  });

  it("fails when the object was overwritten in the meantime", async () => {
    await stored();
    const { Body } = await released();
    await stored();
    const error = await errorOf(() => Body.transformToByteArray());
    expect(error).toEqual(coded("BODY_INTERRUPTED", { overwritten: true }));
  });

  it("fails when the object was deleted in the meantime", async () => {
    await stored();
    const { Body } = await released();
    await local.client.delete(object);
    expect(await errorOf(() => Body.transformToByteArray())).toEqual(coded("S3_NOT_FOUND"));
  });

  it("fails when its request for the rest fails, and resumes when the S3 client retries", async () => {
    await stored();
    const { Body } = await released();
    local.aws.fault({ operation: "GetObject", status: 503, code: "SlowDown" });
    expect(await errorOf(() => Body.transformToByteArray())).toEqual(coded("S3_UNAVAILABLE"));
    const patient = await released({}, s3With(sdk, 1, { maxAttempts: 3 }));
    local.aws.fault({ operation: "GetObject", status: 503, code: "SlowDown" });
    expect(hash(await patient.Body.transformToByteArray())).toBe(hash(bytes));
  });

  it("fails with the number of bytes read when the second connection breaks", async () => {
    await stored();
    const { client, Body } = await opened();
    const first = (await once(Body, "readable").then(() => Body.read())) as Buffer;
    await client.head(object);
    local.aws.fault({ operation: "GetObject", truncateBodyBytes: 300_000 });
    const { error, released: rest } = await collectUntilError(Body);
    expect(error).toEqual(coded("BODY_INTERRUPTED", { bucket: Bucket, key: "object" }));
    const { bytesRead } = (error as { details: { bytesRead: number } }).details;
    expect(bytesRead).toBeGreaterThanOrEqual(first.length + rest.length);
    expect(hash(Buffer.concat([first, rest]))).toBe(hash(bytes.subarray(0, first.length + rest.length)));
  });

  it("fails with BODY_STALLED when the second connection stalls", async () => {
    await stored();
    const { Body } = await released({}, s3With(sdk, 1), { idleTimeoutMs: 50 });
    local.aws.fault({ operation: "GetObject", stallBodyBytes: 100_000 });
    expect((await collectUntilError(Body)).error).toEqual(coded("BODY_STALLED"));
  });

  it("fails when the response has another range than the requested one", async () => {
    await stored();
    const s3 = s3With(sdk, 1);
    const { Body, client } = await opened({}, s3);
    await once(Body, "readable");
    await client.head(object);
    s3.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        (result.output as { ContentRange?: string }).ContentRange = "bytes 5-1001047/1001048";
        return result;
      },
      { step: "initialize" },
    );
    expect((await collectUntilError(Body)).error).toEqual(coded("S3_REQUEST_FAILED"));
  });

  it("sends no further request after it was aborted or destroyed", async () => {
    await stored();
    const controller = new AbortController();
    const client = clientOn(s3With(sdk, 1));
    const aborted = await client.get(object, { abortSignal: controller.signal });
    const destroyed = await client.get(object);
    await client.head(object);
    const reason = new Error("enough");
    controller.abort(reason);
    destroyed.Body.destroy();
    expect(await errorOf(() => aborted.Body.transformToByteArray())).toBe(reason);
    await client.head(object);
    expect(gets()).toHaveLength(2);
  });

  it("ends its request when it is destroyed after it was resumed", async () => {
    await stored();
    const { Body, client } = await released();
    await once(Body, "readable");
    Body.destroy();
    // The only socket is free again.
    await client.head(object);
    expect(gets()).toHaveLength(2);
  });

  it("keeps its connection when the response has no ETag, or a middleware has replaced the body", async () => {
    await stored();
    for (const change of [
      (output: Record<string, unknown>) => delete output.ETag,
      (output: Record<string, unknown>) => {
        const given = output.Body as AsyncIterable<Uint8Array>;
        output.Body = (async function* () {
          yield* given;
        })();
      },
    ]) {
      const s3 = s3With(kinds[1]?.[1] ?? sdk, 1);
      s3.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            const result = await next(args);
            if (commandName === "GetObjectCommand")
              change(result.output as unknown as Record<string, unknown>);
            return result;
          },
        { step: "initialize" },
      );
      const { Body, client } = await opened({}, s3);
      const head = client.head(object);
      expect(hash(await Body.transformToByteArray())).toBe(hash(bytes));
      await head;
      expect(gets()).toHaveLength(1);
      local.aws.clearRequests();
    }
  });

  it("gives up its connection to a request of the caller's own", async () => {
    await stored();
    const { Body, s3 } = await opened();
    await s3.send(new HeadObjectCommand(object));
    expect(hash(await Body.transformToByteArray())).toBe(hash(bytes));
  });

  it("keeps its connection while requests wait for a connection to another host", async () => {
    await stored();
    await local.client.put({ Bucket, Key: "other", Body: bytes });
    const { Body, s3 } = await opened();
    const endpoint = local.aws.s3Config.endpoint.replace("127.0.0.1", "localhost");
    const { requestHandler } = s3.config;
    const elsewhere = clientOn(
      new S3Client({ ...local.aws.s3Config, maxAttempts: 1, endpoint, requestHandler }),
    );
    const other = await elsewhere.get({ Bucket, Key: "other" });
    await elsewhere.head(object);
    expect(hash(await other.Body.transformToByteArray())).toBe(hash(bytes));
    expect(hash(await Body.transformToByteArray())).toBe(hash(bytes));
    const of = (key: string) => gets().filter(({ path }) => path.endsWith(`/${key}`)).length;
    expect([of("object"), of("other")]).toEqual([1, 2]);
  });

  it("gives up its connection behind a request handler that does not expose its queue", async () => {
    await stored();
    const s3 = s3With(sdk, 1);
    const inner = s3.config.requestHandler;
    const requestHandler = { handle: inner.handle.bind(inner), destroy: () => undefined };
    const { Body, client } = await opened({}, s3With(sdk, 1, { requestHandler }));
    await client.head(object);
    expect(hash(await Body.transformToByteArray())).toBe(hash(bytes));
    expect(operations()).toEqual(["GetObject", "HeadObject", "GetObject"]);
  });
});

it("a put whose source is a body that breaks fails with the cause, and is retryable if the cause is", async () => {
  await local.client.put({ Bucket, Key: "source", Body: testBytes(1_000_000) });
  local.aws.fault({ operation: "GetObject", truncateBodyBytes: 500_000 });
  const { Body } = await local.client.get({ Bucket, Key: "source" });
  const error = await errorOf(() => local.client.put({ Bucket, Key: "target", Body }));
  expect(error).toEqual(coded("SOURCE_FAILED", { sourceCode: "BODY_INTERRUPTED", sourceRetryable: true }));
  expect(error.message).toContain('with BODY_INTERRUPTED: S3 GetObject of "source"');
  expect(error.message).toContain("another time, with a fresh source");
  expect(error.cause).toEqual(coded("BODY_INTERRUPTED", { key: "source" }));
});
