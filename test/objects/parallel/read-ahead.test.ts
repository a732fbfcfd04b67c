import { once } from "node:events";
import { Agent } from "node:http";
import { setImmediate as turn } from "node:timers/promises";
import { S3Client } from "@aws-sdk/client-s3";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { GetInput } from "../../../src/index.js";
import { configArgument } from "../../../src/objects/encrypted/config.js";
import { get } from "../../../src/objects/get/get.js";
import { collect, collectUntilError, expectBytes, testBytes } from "../../support/bytes.js";
import { useEngines } from "../../support/engines.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, keyring, useLocalAws } from "../../support/local.js";
import { steady, until } from "../../support/until.js";

const local = useLocalAws();
const { startedEngine } = useEngines();
const mebibyte = 1024 * 1024;
const blockBytes = 8 * mebibyte;
/** Three blocks and a bit. */
const plaintext = testBytes(25 * mebibyte + 5, 4);
const object = { Bucket, Key: "large" };
let engine: Awaited<ReturnType<typeof startedEngine>>;

beforeAll(async () => {
  engine = await startedEngine();
  await local.client.put({ ...object, Body: plaintext });
  local.operations();
});

const settings = (options = {}) => configArgument({ s3: local.s3, keyring, engine, ...options });
const read = (input: Partial<GetInput> = {}, its = settings()) =>
  get(its, { ...object, parallel: true, ...input }, {});
const ranges = () => local.aws.requests.map(({ headers }) => headers.range ?? "all");

describe("a parallel get", () => {
  it.each([
    [{}],
    [{ engine: undefined }],
    [{ maxConcurrentParts: 1 }],
    [{ maxBufferedBytes: 16 * mebibyte }],
  ])("returns the whole object in order (%o)", async (options) => {
    const its = settings(options);
    const { Body, ContentLength, ContentRange, ETag } = await read({}, its);
    expect([ContentLength, ContentRange]).toEqual([plaintext.length, undefined]);
    expectBytes(await collect(Body), plaintext);
    // Requests on several connections overtake each other.
    expect(ranges()[0]).toBe("all");
    expect(ranges().sort()).toEqual([
      "all",
      "bytes=16793656-25190455",
      `bytes=25190456-${56 + plaintext.length + 1601 * 16 - 1}`,
      "bytes=8396856-16793655",
    ]);
    for (const { headers } of local.aws.requests.slice(1)) expect(headers["if-match"]).toBe(ETag);
    expect(its.budget.heldBytes).toBe(0);
  });

  it("prefetches blocks before the first byte is read, within its limits", async () => {
    const its = settings({ maxConcurrentParts: 3, maxBufferedBytes: 64 * mebibyte });
    const { Body } = await read({}, its);
    await once(Body, "readable");
    while (local.aws.requests.length < 3) await turn();
    expect(its.budget.heldBytes).toBe(2 * 8_396_800);
    await steady(() => local.aws.requests.length);
    expect(local.aws.requests).toHaveLength(3);
    expectBytes(await collect(Body), plaintext);
    expect(its.budget.heldBytes).toBe(0);
  });

  it("of one block makes its connection reusable", async () => {
    await local.client.put({ Bucket, Key: "small", Body: plaintext.subarray(0, mebibyte) });
    const httpAgent = new Agent({ keepAlive: true });
    const s3 = new S3Client({ ...local.aws.s3Config, requestHandler: { httpAgent } });
    const { Body } = await read({ Key: "small" }, settings({ s3 }));
    expectBytes(await collect(Body), plaintext.subarray(0, mebibyte));
    await until(() => expect(Object.values(httpAgent.freeSockets).flat()).toHaveLength(1));
    s3.destroy();
  });

  it("returns any range", async () => {
    const bound = fc.integer({ min: 0, max: plaintext.length - 1 });
    await fc.assert(
      fc.asyncProperty(bound, bound, async (left, right) => {
        const [first, last] = [Math.min(left, right), Math.max(left, right)];
        const { Body, ContentRange } = await read({ Range: `bytes=${first}-${last}` });
        expect(ContentRange).toBe(`bytes ${first}-${last}/${plaintext.length}`);
        expectBytes(await collect(Body), plaintext.subarray(first, last + 1));
      }),
      { numRuns: 8 },
    );
    const { Body } = await read({ Range: `bytes=-${2 * blockBytes + 3}` });
    expectBytes(await collect(Body), plaintext.subarray(-2 * blockBytes - 3));
  });

  it.each([0, 1, blockBytes, blockBytes + 16_384])("returns an object of %i bytes", async (length) => {
    const Body = testBytes(length, length);
    await local.client.put({ Bucket, Key: "sized", Body });
    expectBytes(await collect((await read({ Key: "sized" })).Body), Body);
  });

  it("reads an unencrypted object with one request", async () => {
    await local.putRaw("plain", plaintext);
    const { Body, encrypted } = await read({ Key: "plain", unencrypted: "allow" });
    expect(encrypted).toBe(false);
    expectBytes(await collect(Body), plaintext);
    expect(ranges()).toEqual(["all"]);
  });

  it("can verify the length first", async () => {
    const { Body } = await read({ verifyLength: true });
    expectBytes(await collect(Body), plaintext);
    expect(ranges()).toHaveLength(5);
    const { Body: end } = await read({ verifyLength: true, Range: `bytes=-${blockBytes}` });
    expectBytes(await collect(end), plaintext.subarray(-blockBytes));
  });

  it("requests a prefetched block again when it breaks off", async () => {
    local.aws.fault({ operation: "GetObject", skip: 2, truncateBodyBytes: 1000 });
    expectBytes(await collect((await read()).Body), plaintext);
    expect(ranges()).toHaveLength(5);
  });

  it("returns all bytes before a changed block, and none of it", async () => {
    local.aws.fault({
      operation: "GetObject",
      skip: 2,
      times: Infinity,
      corrupt: { offset: 5_000_000, xor: 1 },
    });
    const its = settings();
    const { released, error } = await collectUntilError((await read({}, its)).Body);
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    expectBytes(released, plaintext.subarray(0, 2 * blockBytes));
    expect(its.budget.heldBytes).toBe(0);
  });

  it("compares the header of the body with the envelope", async () => {
    local.aws.fault({ operation: "GetObject", corrupt: { offset: 40, xor: 1 } });
    const { released, error } = await collectUntilError((await read()).Body);
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    expect(released).toHaveLength(0);
  });

  it("fails when the object is overwritten meanwhile", async () => {
    await local.client.put({ Bucket, Key: "changing", Body: plaintext });
    const { Body } = await read({ Key: "changing" }, settings({ maxConcurrentParts: 1 }));
    await local.client.put({ Bucket, Key: "changing", Body: plaintext });
    const { released, error } = await collectUntilError(Body);
    expect(error).toEqual(coded("BODY_INTERRUPTED", { overwritten: true }));
    expect(released.length).toBeLessThanOrEqual(blockBytes);
  });

  it("aborts all requests and releases its memory when it is destroyed", async () => {
    const its = settings();
    local.aws.fault({ operation: "GetObject", skip: 1, times: 10, stallBodyBytes: 100 });
    const { Body } = await read({}, its);
    await once(Body, "readable");
    while (local.aws.requests.length < 4) await turn();
    expect(its.budget.heldBytes).toBeGreaterThan(0);
    Body.destroy();
    while (its.budget.heldBytes > 0 || (await local.aws.s3Connections()) > 1) await turn();
  });

  it("never waits for the reader of another get on the same client", async () => {
    const its = settings({ maxBufferedBytes: 32 * mebibyte });
    const unread = await Promise.all(Array.from({ length: 3 }, () => read({}, its)));
    for (const { Body } of unread) await once(Body, "readable");
    expectBytes(await collect((await read({}, its)).Body), plaintext);
    for (const { Body } of unread) expectBytes(await collect(Body), plaintext);
    expect(its.budget.heldBytes).toBe(0);
  });

  it("takes true or false for `parallel`", async () => {
    const error = await errorOf(() => read({ parallel: 4 as never }));
    expect(error).toEqual(new TypeError("parallel: expected one of true, false, got the number 4"));
  });
});
