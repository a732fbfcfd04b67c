import { type GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import fc from "fast-check";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { aesKeyring, ciphertextLength } from "../../../src/index.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { hugeObject } from "../../support/huge-object.js";
import { Bucket, keyring, useLocalAws } from "../../support/local.js";
import { until } from "../../support/until.js";

const local = useLocalAws();
const sizes = [0, 1, 16_383, 16_384, 16_385, 32_768, 100_000];
const plain = (size: number) => testBytes(size, size);
const gibibyte = 2 ** 30;

beforeAll(async () => {
  for (const size of sizes) await local.client.put({ Bucket, Key: `size-${size}`, Body: plain(size) });
  await local.client.put({ Bucket, Key: "large", Body: plain(1_000_000) });
  local.operations();
});

const ranges = () => local.aws.requests.map(({ headers }) => headers.range);

describe("open", () => {
  it.each(sizes)(
    "an object of %i bytes takes one request, of its end, and proves its length",
    async (size) => {
      using object = await local.client.open({ Bucket, Key: `size-${size}` });
      expect(object.plaintextLength).toBe(size);
      expect(ranges()).toEqual(["bytes=-32800"]);
      local.operations();
      expectBytes(await object.read(0, size), plain(size));
      // What is shorter than the end that was fetched is there already.
      expect(local.operations()).toEqual(ciphertextLength(size) <= 32_800 ? [] : ["GetObject"]);
    },
  );

  it("returns the fields of GetObject", async () => {
    const encryptionContext = { tenant: "42" };
    const given = { Metadata: { note: "x" }, ContentType: "application/parquet" };
    const put = await local.client.put({ Bucket, Key: "told", Body: "hello", encryptionContext, ...given });
    using object = await local.client.open({ Bucket, Key: "told", encryptionContext });
    expect(object).toMatchObject({ plaintextLength: 5, encryptionContext, ETag: put.ETag, ...given });
    expect(object.LastModified).toBeInstanceOf(Date);
    expect((await object.read(0, 5)).toString()).toBe("hello");
  });

  it("refuses what get refuses, before it calls the keyring", async () => {
    const unwrapDataKey = vi.fn();
    const client = local.clientWith({ keyring: { ...keyring, unwrapDataKey } });
    const encryptionContext = { not: "this" };
    expect(await errorOf(() => client.open({ Bucket, Key: "size-1", encryptionContext }))).toEqual(
      coded("CONTEXT_MISMATCH"),
    );
    await local.putRaw("plain", plain(100));
    expect(await errorOf(() => client.open({ Bucket, Key: "plain" }))).toEqual(coded("ENVELOPE_MISSING"));
    await local.putRaw("legacy", plain(100), { "x-amz-key-v2": "a", "x-amz-iv": "b" });
    expect(await errorOf(() => client.open({ Bucket, Key: "legacy" }))).toEqual(coded("LEGACY_FORMAT"));
    expect(await errorOf(() => client.open({ Bucket, Key: "nowhere" }))).toEqual(coded("S3_NOT_FOUND"));
    expect(unwrapDataKey).not.toHaveBeenCalled();
    const IfMatch = '"other"';
    expect(await errorOf(() => client.open({ Bucket, Key: "size-1", IfMatch }))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
  });

  it("refuses an object that was cut off, at a possible size or not", async () => {
    const { bytes, metadata } = await local.getRaw("size-100000");
    const cut = async (length: number) => {
      await local.putRaw("cut", bytes.subarray(0, length), metadata);
      return errorOf(() => local.client.open({ Bucket, Key: "cut" }));
    };
    expect(await cut(56 + 16_400)).toEqual(coded("BODY_TRUNCATED"));
    expect(await cut(0)).toEqual(coded("BODY_TRUNCATED"));
    expect(await cut(ciphertextLength(32_768))).toEqual(coded("DECRYPTION_FAILED"));
    expect(await cut(ciphertextLength(50_000))).toEqual(coded("DECRYPTION_FAILED"));
  });

  it("opens an object with a sidecar", async () => {
    const writer = local.clientWith({ envelopeStorage: "sidecar" });
    await writer.put({ Bucket, Key: "sidecar", Body: plain(100_000) });
    local.operations();
    using object = await local.client.open({ Bucket, Key: "sidecar" });
    expectBytes(await object.read(10, 30), plain(100_000).subarray(10, 30));
    expect(local.operations()).toEqual(["GetObject", "GetObject", "GetObject"]);
  });

  it.each([
    [{ PartNumber: 1 }, {}, "PartNumber"],
    [{ Range: "bytes=0-1" }, {}, "Range"],
    [{ ResponseContentType: "a/b" }, {}, "ResponseContentType"],
    [{ unencrypted: "allow" }, {}, "unencrypted"],
    [{ encryptionContext: null }, {}, "encryptionContext"],
    [{ Key: "" }, {}, "Key"],
    [{}, { prefetchBytes: -1 }, "options.prefetchBytes"],
    [{}, { prefetchBytes: 2 ** 26 + 1 }, "options.prefetchBytes"],
    [{}, { prefetchBytes: "1" }, "options.prefetchBytes"],
    [{}, { abortSignal: 1 }, "options.abortSignal"],
  ])("refuses %j, %j", async (input, options, field) => {
    const open = () => local.client.open({ Bucket, Key: "size-1", ...input } as never, options as never);
    const error = await errorOf(open);
    expect([TypeError, RangeError]).toContain(error.constructor);
    expect(error.message).toMatch(new RegExp(`^${field}: `));
    expect(local.operations()).toEqual([]);
  });

  it("aborts with the caller's signal, which later reads ignore", async () => {
    const controller = new AbortController();
    const { signal: abortSignal } = controller;
    using object = await local.client.open({ Bucket, Key: "size-100000" }, { abortSignal });
    controller.abort(new Error("late"));
    expectBytes(await object.read(0, 10), plain(100_000).subarray(0, 10));
    expect(await errorOf(() => local.client.open({ Bucket, Key: "size-1" }, { abortSignal }))).toBe(
      abortSignal.reason,
    );
  });
});

describe("read of an open object", () => {
  it("returns the slice with at most one request, whatever was read before", async () => {
    for (const prefetchBytes of [0, 70_000]) {
      const place = fc.oneof(
        fc.nat(101_000),
        fc
          .tuple(fc.nat(7), fc.integer({ min: -2, max: 2 }))
          .map(([chunk, by]) => Math.max(0, chunk * 16_384 + by)),
      );
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...sizes),
          fc.array(fc.tuple(place, fc.nat(40_000), fc.boolean()), { minLength: 1, maxLength: 8 }),
          async (size, reads) => {
            using object = await local.client.open({ Bucket, Key: `size-${size}` }, { prefetchBytes });
            let next = 0;
            for (const [offset, length, goesOn] of reads) {
              local.operations();
              const start = goesOn ? next : offset;
              expectBytes(
                await object.read(start, start + length),
                plain(size).subarray(start, start + length),
              );
              if (prefetchBytes === 0) expect(local.operations().length).toBeLessThanOrEqual(1);
              next = start + length;
            }
          },
        ),
        { numRuns: 60 },
      );
    }
  });

  it("returns the slice for concurrent reads", async () => {
    const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 1 });
    using object = await local.clientWith({ s3 }).open({ Bucket, Key: "large" }, { prefetchBytes: 100_000 });
    const offsets = Array.from({ length: 60 }, (_, index) => (index * 377_777) % 990_000);
    const reads = offsets.map(async (offset, index) => {
      const length = (index * 7919) % 50_000;
      expectBytes(
        await object.read(offset, offset + length),
        plain(1_000_000).subarray(offset, offset + length),
      );
    });
    await Promise.all(reads);
    s3.destroy();
  });

  it.each([
    [0, 1, "bytes=56-16455"],
    [16_383, 1, "bytes=56-16455"],
    [16_383, 2, "bytes=56-32855"],
    [16_384, 1, "bytes=16456-32855"],
    [0, 65_536, "bytes=56-65655"],
  ])(
    "at %i of %i bytes requests the chunks that hold them, pinned to the ETag",
    async (offset, length, range) => {
      using object = await local.client.open({ Bucket, Key: "size-100000" });
      local.operations();
      await object.read(offset, offset + length);
      expect(local.aws.requests.map(({ headers }) => [headers.range, headers["if-match"]])).toEqual([
        [range, object.ETag],
      ]);
    },
  );

  it("at or beyond the end, or of no bytes, returns nothing and sends no request", async () => {
    using object = await local.client.open({ Bucket, Key: "size-100000" });
    local.operations();
    const last = Number.MAX_SAFE_INTEGER;
    for (const [start, end] of [
      [100_000, 100_001],
      [last, last],
      [5, 5],
    ] as const) {
      expect(await object.read(start, end)).toEqual(Buffer.alloc(0));
    }
    expect((await object.read(99_999, last)).length).toBe(1);
    expect(local.operations()).toEqual([]);
  });

  it.each([
    [[-1, 1], RangeError, "start"],
    [[0.5, 1], RangeError, "start"],
    [["0", 1], TypeError, "start"],
    [[0, -1], RangeError, "end"],
    [[2, 1], RangeError, "end"],
    [[0, Number.POSITIVE_INFINITY], RangeError, "end"],
    [[0], TypeError, "end"],
    [[0, 1, { abortSignal: 1 }], TypeError, "options.abortSignal"],
  ])("refuses %j", async (args, type, field) => {
    using object = await local.client.open({ Bucket, Key: "size-100000" });
    local.operations();
    const error = await errorOf(() => object.read(...(args as [number, number])));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(new RegExp(`^${field}: expected`));
    expect(local.operations()).toEqual([]);
  });

  it("shares one request with other reads of the same chunks", async () => {
    using object = await local.client.open({ Bucket, Key: "large" });
    local.operations();
    const reads = [0, 100, 5_000, 16_000].map((offset) => object.read(offset, offset + 100));
    for (const [index, offset] of [0, 100, 5_000, 16_000].entries()) {
      expectBytes((await reads[index]) ?? Buffer.of(), plain(1_000_000).subarray(offset, offset + 100));
    }
    await object.read(10_000, 15_000);
    expect(ranges()).toEqual(["bytes=56-16455"]);
    // Only what is missing is fetched.
    await object.read(16_000, 17_000);
    expect(ranges()).toEqual(["bytes=56-16455", "bytes=16456-32855"]);
  });

  it("fails at a changed chunk, and only there", async () => {
    const { bytes, metadata } = await local.getRaw("size-100000");
    bytes[56 + 2 * 16_400] = (bytes[56 + 2 * 16_400] ?? 0) ^ 1;
    await local.putRaw("tampered", bytes, metadata);
    using object = await local.client.open({ Bucket, Key: "tampered" });
    expectBytes(await object.read(0, 32_768), plain(100_000).subarray(0, 32_768));
    expect(await errorOf(() => object.read(32_768, 32_769))).toEqual(coded("DECRYPTION_FAILED"));
    expectBytes(await object.read(50_000, 110_000), plain(100_000).subarray(50_000));
    expect(await errorOf(() => object.read(0, 40_000))).toEqual(coded("DECRYPTION_FAILED"));
  });

  it("fails once for bytes damaged in transit, which are not cached", async () => {
    using object = await local.client.open({ Bucket, Key: "size-100000" });
    local.aws.fault({ operation: "GetObject", corrupt: { offset: 100, xor: 1 } });
    expect(await errorOf(() => object.read(0, 10))).toEqual(coded("DECRYPTION_FAILED"));
    expectBytes(await object.read(0, 10), plain(100_000).subarray(0, 10));
  });

  it("succeeds after a read that was cut off, refused or given another response", async () => {
    using object = await local.client.open({ Bucket, Key: "size-100000" });
    local.aws.fault({ operation: "GetObject", truncateBodyBytes: 100 });
    expect(await errorOf(() => object.read(0, 10))).toEqual(coded("BODY_INTERRUPTED"));
    local.aws.fault({ operation: "GetObject", status: 503, code: "SlowDown" });
    expect(await errorOf(() => object.read(0, 10))).toEqual(coded("S3_UNAVAILABLE"));
    expectBytes(await object.read(0, 10), plain(100_000).subarray(0, 10));
  });

  it("fails when the object was overwritten or deleted after the opening", async () => {
    await local.client.put({ Bucket, Key: "changing", Body: plain(100_000) });
    using object = await local.client.open({ Bucket, Key: "changing" });
    await local.client.put({ Bucket, Key: "changing", Body: plain(100_000) });
    const error = await errorOf(() => object.read(0, 10));
    expect(error).toEqual(coded("BODY_INTERRUPTED", { key: "changing" }));
    expect(error.message).toContain("was overwritten");
    await local.client.delete({ Bucket, Key: "changing" });
    expect(await errorOf(() => object.read(0, 10))).toEqual(coded("S3_NOT_FOUND"));
  });

  it.each([
    ["of another range", { ContentRange: "bytes 56-16455/100169" }],
    ["in another unit", { ContentRange: "items 0-16455/100169" }],
    ["with another ETag", { ETag: '"other"' }],
  ])("refuses a response %s", async (_, change) => {
    const send = async (command: GetObjectCommand, options: object) => {
      const output = await local.s3.send(command, options);
      return command.input.IfMatch === undefined ? output : { ...output, ...change };
    };
    const client = local.clientWith({ s3: { config: local.s3.config, send } as unknown as S3Client });
    using object = await client.open({ Bucket, Key: "size-100000" });
    const code = "ETag" in change ? "BODY_INTERRUPTED" : "S3_REQUEST_FAILED";
    expect(await errorOf(() => object.read(0, 1))).toEqual(coded(code));
  });

  it("sends the conditions and fields of the opening, except for conditions about time", async () => {
    const past = new Date("2020-01-01");
    const input = { Bucket, Key: "size-100000", IfModifiedSince: past, RequestPayer: "requester" as const };
    using object = await local.client.open(input);
    const sent = () => local.aws.requests[0]?.headers ?? {};
    const opening = sent();
    local.operations();
    await object.read(0, 10);
    const reading = sent();
    expect(opening["if-modified-since"]).toBeDefined();
    expect(reading["if-modified-since"]).toBe(undefined);
    expect(reading["x-amz-request-payer"]).toBe("requester");
  });

  it("reuses one connection for sequential reads", async () => {
    using object = await local.client.open({ Bucket, Key: "large" });
    for (let index = 0; index < 20; index++) await object.read(index * 40_000, index * 40_000 + 100);
    expect(await local.aws.s3Connections()).toBeLessThanOrEqual(2);
  });
});

describe("an aborted read of an open object", () => {
  const reason = new Error("user went away");
  const stalled = () => local.aws.fault({ operation: "GetObject", stallBodyBytes: 100 });

  it("rejects with the reason and aborts its request", async () => {
    using object = await local.client.open({ Bucket, Key: "size-100000" });
    stalled();
    const controller = new AbortController();
    const read = errorOf(() => object.read(0, 10, { abortSignal: controller.signal }));
    await until(() => expect(ranges()).toEqual(["bytes=-32800", "bytes=56-16455"]));
    controller.abort(reason);
    expect(await read).toBe(reason);
    await until(async () => expect(await local.aws.s3Connections()).toBeLessThanOrEqual(1));
    expectBytes(await object.read(0, 10), plain(100_000).subarray(0, 10));
    expect(await errorOf(() => object.read(0, 10, { abortSignal: controller.signal }))).toBe(reason);
  });

  it("does not abort the request for another read that waits for it", async () => {
    using object = await local.client.open({ Bucket, Key: "size-100000" });
    local.operations();
    const held = local.aws.hold({ operation: "GetObject" });
    const controller = new AbortController();
    const first = errorOf(() => object.read(0, 10, { abortSignal: controller.signal }));
    const second = object.read(5, 15);
    await held.arrived;
    controller.abort(reason);
    expect(await first).toBe(reason);
    held.release();
    expectBytes(await second, plain(100_000).subarray(5, 15));
    await object.read(20, 30);
    expect(local.operations()).toEqual(["GetObject"]);
  });
});

describe("close of an open object", () => {
  const closed = new TypeError("read: expected an open object, got one that was closed");

  it("aborts running reads and refuses later ones", async () => {
    const object = await local.client.open({ Bucket, Key: "size-100000" });
    local.aws.fault({ operation: "GetObject", stallBodyBytes: 100 });
    const pending = [errorOf(() => object.read(0, 10)), errorOf(() => object.read(5, 15))];
    await until(() => expect(ranges().length).toBe(2));
    object.close();
    object.close();
    expect(await Promise.all(pending)).toEqual([closed, closed]);
    expect(await errorOf(() => object.read(99_000, 99_010))).toEqual(closed);
    expect(local.operations().length).toBe(2);
    await until(async () => expect(await local.aws.s3Connections()).toBeLessThanOrEqual(1));
  });

  it("is called by `using` and `await using`", async () => {
    const object = await local.client.open({ Bucket, Key: "size-1" });
    {
      using _ = object;
    }
    expect(await errorOf(() => object.read(0, 1))).toEqual(closed);
    const other = await local.client.open({ Bucket, Key: "size-1" });
    {
      await using _ = other;
    }
    expect(await errorOf(() => other.read(0, 1))).toEqual(closed);
  });
});

describe("an open object of 4 GiB", () => {
  const size = 4 * gibibyte;

  it("transfers at most 33 KiB for a read of 4 KiB, and calls the keyring once for 1,000 reads", async () => {
    let unwrapped = 0;
    const counting = {
      ...keyring,
      unwrapDataKey: (...args: Parameters<typeof keyring.unwrapDataKey>) => {
        unwrapped += 1;
        return keyring.unwrapDataKey(...args);
      },
    };
    const huge = await hugeObject(size, keyring);
    const client = local.clientWith({ s3: huge.s3, keyring: counting });
    using object = await client.open({ Bucket, Key: "huge" });
    expect(object.plaintextLength).toBe(size);
    expect(huge.requests).toEqual([{ range: "bytes=-32800", bytes: 32_800 }]);
    for (let index = 0; index < 1000; index++) {
      // A prime step: all over the object, at all places within chunks.
      const offset = (index * 2_654_435_761) % (size - 4096);
      const before = huge.requests.length;
      expectBytes(await object.read(offset, offset + 4096), huge.plaintext(offset, offset + 4096));
      expect(huge.requests.length - before).toBeLessThanOrEqual(1);
      expect(huge.requests.at(-1)?.bytes).toBeLessThanOrEqual(33 * 1024);
    }
    expect(unwrapped).toBe(1);
    expect(huge.requests.length).toBeGreaterThan(900);
  });

  it("transfers as much for a get of the range, in one request", async () => {
    const huge = await hugeObject(size, keyring);
    const client = local.clientWith({ s3: huge.s3 });
    const offset = 3 * gibibyte + 16_000;
    const { Body } = await client.get({ Bucket, Key: "huge", Range: `bytes=${offset}-${offset + 4095}` });
    expectBytes(await Body.transformToByteArray(), huge.plaintext(offset, offset + 4096));
    expect(huge.requests.map(({ bytes }) => bytes)).toEqual([32_800]);
  });

  it("refuses a read of more than 256 MiB", async () => {
    const huge = await hugeObject(size, keyring);
    using object = await local.clientWith({ s3: huge.s3 }).open({ Bucket, Key: "huge" });
    const error = await errorOf(() => object.read(0, 2 ** 28 + 1));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/^end: expected at most 268435456 bytes/);
    expect(huge.requests.length).toBe(1);
  });

  it("calls KMS once for several reads", async () => {
    using object = await local.kmsClient
      .put({ Bucket, Key: "kms", Body: plain(100_000) })
      .then(() => local.kmsClient.open({ Bucket, Key: "kms" }));
    for (let index = 0; index < 5; index++) await object.read(index * 20_000, index * 20_000 + 100);
    expect(local.operations().filter((operation) => operation === "Decrypt")).toEqual(["Decrypt"]);
  });
});

it("open fails with a wrong wrapping key", async () => {
  const other = aesKeyring({ keyId: "test", wrappingKey: testBytes(32, 78) });
  const client = local.clientWith({ keyring: other });
  expect(await errorOf(() => client.open({ Bucket, Key: "size-1" }))).toEqual(coded("DECRYPTION_FAILED"));
});
