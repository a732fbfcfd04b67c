/** Requests that wait until a test lets them go on. */
import { CreateKeyCommand, GenerateDataKeyCommand } from "@aws-sdk/client-kms";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type HoldOptions, type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";

const Bucket = "test-bucket";
const bytes = testBytes(300_000, 4);

let aws: LocalAws;
let s3: S3Client;
beforeAll(async () => {
  aws = await startLocalAws();
  s3 = new S3Client({ ...aws.s3Config, maxAttempts: 1 });
  await put("read", bytes);
});
afterEach(() => {
  aws.clearFaults();
  aws.clearRequests();
});
afterAll(async () => {
  s3.destroy();
  await aws.close();
});

const put = (Key: string, Body: Uint8Array | string = "x", abortSignal?: AbortSignal) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body }), abortSignal && { abortSignal });
const exists = (Key: string) =>
  s3.send(new HeadObjectCommand({ Bucket, Key })).then(
    () => true,
    () => false,
  );

describe("a request that is held", () => {
  it("has no effect until it is released, and resolves arrived", async () => {
    const held = aws.hold({ operation: "PutObject" });
    const done = put("held");
    expect(await held.arrived).toMatchObject({ service: "s3", operation: "PutObject", status: 0 });
    expect(held.requests).toHaveLength(1);
    expect(await exists("held")).toBe(false);
    held.release();
    await done;
    expect(await exists("held")).toBe(true);
    expect(aws.requests[0]?.status).toBe(200);
  });

  it("has taken effect when held with at: after, and gets its response when it is released", async () => {
    const held = aws.hold({ operation: "PutObject", at: "after" });
    const done = put("held after");
    await held.arrived;
    expect(await exists("held after")).toBe(true);
    expect(aws.requests[0]?.status).toBe(0);
    held.release();
    await done;
  });

  it.each([0, 1, 1000, 299_999, 300_000, 400_000])(
    "has sent %d bytes of its response's body, and no more",
    async (bodyBytes) => {
      const held = aws.hold({ operation: "GetObject", at: "body", bodyBytes });
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: "read" }));
      const pieces: Uint8Array[] = [];
      const read = (async () => {
        for await (const piece of Body as unknown as AsyncIterable<Uint8Array>) pieces.push(piece);
      })();
      await held.arrived;
      const first = Math.min(bodyBytes, bytes.length);
      await expect.poll(() => Buffer.concat(pieces).length).toBe(first);
      held.release();
      await read;
      expectBytes(Buffer.concat(pieces), bytes);
    },
  );

  it("gets its fault when it is released", async () => {
    const held = aws.hold({ operation: "PutObject", status: 503, code: "SlowDown" });
    const failed = errorOf(() => put("refused"));
    await held.arrived;
    held.release();
    expect((await failed).name).toBe("SlowDown");
    expect(await exists("refused")).toBe(false);
  });

  it("takes effect when it is released, even if its client has disconnected", async () => {
    await put("left");
    const held = aws.hold({ operation: "DeleteObject" });
    const abort = new AbortController();
    const { signal } = abort;
    const left = errorOf(() =>
      s3.send(new DeleteObjectCommand({ Bucket, Key: "left" }), { abortSignal: signal }),
    );
    await held.arrived;
    abort.abort();
    expect((await left).name).toBe("AbortError");
    expect(await exists("left")).toBe(true);
    held.release();
    await expect.poll(() => exists("left")).toBe(false);
  });

  it("can be a request to KMS", async () => {
    const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({}));
    using held = aws.hold({ service: "kms" });
    const done = aws.kms.send(new GenerateDataKeyCommand({ KeyId: KeyMetadata?.KeyId, KeySpec: "AES_256" }));
    expect((await held.arrived).operation).toBe("GenerateDataKey");
    held.release();
    expect((await done).Plaintext).toHaveLength(32);
  });
});

describe("a hold", () => {
  it("holds times requests, passes others, and releases them together", async () => {
    const held = aws.hold({ operation: "PutObject", skip: 1, times: 3 });
    const all = ["a", "b", "c", "d", "e"].map((Key) => put(Key));
    await expect.poll(() => held.requests.length).toBe(3);
    const through = () => aws.requests.filter(({ status }) => status === 200).length;
    await expect.poll(through).toBe(2);
    held.release();
    await Promise.all(all);
  });

  it("holds no request after its release", async () => {
    const held = aws.hold({ operation: "PutObject", times: Number.POSITIVE_INFINITY });
    const first = put("first");
    await held.arrived;
    held.release();
    held.release();
    await Promise.all([first, put("second")]);
    expect(held.requests).toHaveLength(1);
  });

  it("is tried in the order of faults and holds", async () => {
    aws.fault({ operation: "PutObject", status: 501 });
    const held = aws.hold({ operation: "PutObject", status: 502 });
    aws.fault({ operation: "PutObject", status: 503 });
    const failures = [await errorOf(() => put("x"))];
    const second = errorOf(() => put("x"));
    await held.arrived;
    failures.push(await errorOf(() => put("x")));
    held.release();
    failures.push(await second);
    const statuses = failures.map((error) => (error as { $metadata?: object }).$metadata);
    expect(statuses).toMatchObject([
      { httpStatusCode: 501 },
      { httpStatusCode: 503 },
      { httpStatusCode: 502 },
    ]);
  });

  it("is released by clearFaults, and rejects arrived if no request came", async () => {
    const held = aws.hold({ operation: "PutObject" });
    const idle = aws.hold({ operation: "GetObject" });
    const done = put("cleared");
    await held.arrived;
    aws.clearFaults();
    await done;
    const message = "no request came to the hold before it was released";
    expect((await errorOf(() => idle.arrived)).message).toBe(message);
  });

  it("ends at close(): its requests take no effect, and arrived rejects", async () => {
    const other = await startLocalAws();
    const client = new S3Client({ ...other.s3Config, maxAttempts: 1 });
    const held = other.hold({ operation: "PutObject" });
    const idle = other.hold({ operation: "GetObject" });
    const failed = errorOf(() => client.send(new PutObjectCommand({ Bucket, Key: "k", Body: "x" })));
    await held.arrived;
    await other.close();
    expect(await failed).toMatchObject({ code: "ECONNRESET" });
    await expect(idle.arrived).rejects.toThrow("no request came");
    client.destroy();
  });

  it.each<[unknown, string]>([
    [null, "hold: expected an object, got null"],
    [
      { opeartion: "PutObject" },
      "hold.opeartion: hold of startLocalAws has no such field, did you mean operation?",
    ],
    [{ at: "end" }, 'hold.at: expected one of "before", "after", "body", got another string'],
    [{ bodyBytes: 1 }, 'hold.at: expected "body" beside bodyBytes'],
    [{ at: "body", bodyBytes: -1 }, "hold.bodyBytes: expected an integer from 0 to 9007199254740991, got -1"],
  ])("refuses the options %j", (options, message) => {
    expect(() => aws.hold(options as HoldOptions)).toThrow(message);
  });
});
