/** One memory budget for all puts of a client: never exceeded, shared fairly, always released, and without deadlocks. */
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { CryptoEngine, type EnvelopeClientOptions } from "../../../src/index.js";
import { type ClientConfig, configArgument } from "../../../src/objects/encrypted/config.js";
import { put } from "../../../src/objects/put/put.js";
import { collect, expectBytes, testBytes } from "../../support/bytes.js";
import { useEngines } from "../../support/engines.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../../support/local.js";
import { generated, stubS3 } from "../../support/stub-s3.js";
import { isSlowTier } from "../../support/tier.js";
import { steady, until } from "../../support/until.js";

const local = useLocalAws();
const { startedEngine } = useEngines();
const mebibyte = 1024 * 1024;
/** The budgets and large bodies of these tests are multiples of it: a small part in all but the slow tier. */
const unit = isSlowTier ? mebibyte : mebibyte / 16;
const onThread = new CryptoEngine({ maxWorkers: 0 });
const never = () => new Promise<never>(() => undefined);
const large = testBytes(3 * partBytes, 5);
const signal = new AbortController().signal;

const settingsWith = (options: Partial<EnvelopeClientOptions> = {}) =>
  configArgument({ s3: local.s3, keyring, partSizeBytes: partBytes, engine: onThread, ...options });

const leftOf = ({ budget }: ClientConfig) => [budget.heldBytes, budget.idleBytes, budget.hasWaiting];

/** A source that counts the bytes that are read of it. */
function sourceOf(bytes: Uint8Array, then: () => unknown = () => undefined) {
  const source = {
    bytesRead: 0,
    isClosed: false,
    async *[Symbol.asyncIterator]() {
      try {
        for (let start = 0; start < bytes.length; start += 65_536) {
          const piece = bytes.subarray(start, start + 65_536);
          source.bytesRead += piece.length;
          yield piece;
        }
        await then();
      } finally {
        source.isClosed = true;
      }
    },
  };
  return source;
}

describe("the budget after a put", () => {
  const failure = new Error("disk on fire");
  const fail = () => Promise.reject(failure);
  it.each([
    ["a small body", () => "small", {}],
    ["one part of known length", () => testBytes(100_000), {}],
    ["one part of unknown length", () => sourceOf(testBytes(100_000)), {}],
    ["parts of known length", () => large, {}],
    ["parts of unknown length", () => sourceOf(large), {}],
    ["parts that are sent one at a time", () => sourceOf(large), { maxConcurrentParts: 1 }],
  ])("put of %s releases all memory", async (_, body, options) => {
    for (const engine of [onThread, await startedEngine()]) {
      const settings = settingsWith({ engine, ...options });
      const Body = body();
      await put(settings, { Bucket, Key: "k", Body }, {});
      expect(leftOf(settings)).toEqual([0, 0, false]);
      const { Body: back } = await local.client.get({ Bucket, Key: "k" });
      const bytes = await collect(back);
      if (Body === large) expectBytes(bytes, large);
    }
  });

  const faults = ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"];
  it.each(faults)("put releases all memory when %s fails", async (operation) => {
    local.aws.fault({ operation, status: 403, code: "AccessDenied" });
    const settings = settingsWith({ engine: await startedEngine() });
    const Body = operation === "PutObject" ? sourceOf(testBytes(100_000)) : sourceOf(large, never);
    if (operation === "CompleteMultipartUpload")
      Body[Symbol.asyncIterator] = sourceOf(large)[Symbol.asyncIterator];
    const error = await errorOf(() => put(settings, { Bucket, Key: "k", Body }, {}));
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { operation }));
    expect(leftOf(settings)).toEqual([0, 0, false]);
    expect((await local.contents()).uploads).toEqual([]);
  });

  it("put releases all memory before the sidecar of a failed write is removed", async () => {
    local.aws.fault({ operation: "UploadPart", status: 403, code: "AccessDenied" });
    const removal = local.aws.hold({ operation: "DeleteObject" });
    const settings = settingsWith({ envelopeStorage: "sidecar" });
    const error = errorOf(() => put(settings, { Bucket, Key: "removed", Body: large }, {}));
    await removal.arrived;
    expect(settings.budget.heldBytes).toBe(0);
    removal.release();
    expect(await error).toEqual(coded("S3_ACCESS_DENIED", { operation: "UploadPart" }));
    expect((await local.contents()).keys.filter((key) => key.startsWith("removed"))).toEqual([]);
  });

  it.each([
    ["fails in the first part", 100_000, fail, "SOURCE_FAILED"],
    ["fails in the second part", partBytes + 100_000, fail, "SOURCE_FAILED"],
    ["stalls in the first part", 100_000, never, "SOURCE_STALLED"],
    ["stalls in the third part", 2 * partBytes + 100_000, never, "SOURCE_STALLED"],
  ] as const)("put releases all memory when the source %s", async (_, length, then, code) => {
    for (const engine of [onThread, await startedEngine()]) {
      const settings = settingsWith({ engine, idleTimeoutMs: code === "SOURCE_STALLED" ? 60 : 240_000 });
      const Body = sourceOf(large.subarray(0, length), then);
      expect(await errorOf(() => put(settings, { Bucket, Key: "k", Body }, {}))).toEqual(coded(code));
      expect(leftOf(settings)).toEqual([0, 0, false]);
    }
  });

  it.each([0, 100_000, partBytes + 100_000])(
    "put releases all memory when the caller aborts after %i bytes",
    async (length) => {
      const controller = new AbortController();
      const reason = new Error("enough");
      const settings = settingsWith({ engine: await startedEngine() });
      const Body = sourceOf(large.subarray(0, length), () => {
        controller.abort(reason);
        return never();
      });
      const call = put(settings, { Bucket, Key: "k", Body }, { abortSignal: controller.signal });
      expect(await errorOf(() => call)).toBe(reason);
      expect(leftOf(settings)).toEqual([0, 0, false]);
    },
  );

  it("put that waits for memory and is aborted closes its source unread", async () => {
    const settings = settingsWith();
    const all = await settings.budget.acquire({}, 128 * mebibyte, signal);
    const controller = new AbortController();
    const cancel = vi.fn();
    const Body = new ReadableStream<Uint8Array>({ cancel }, { highWaterMark: 0 });
    const error = errorOf(() =>
      put(settings, { Bucket, Key: "k", Body }, { abortSignal: controller.signal }),
    );
    await until(() => expect(settings.budget.hasWaiting).toBe(true));
    controller.abort(new Error("enough"));
    expect((await error).message).toBe("enough");
    await until(() => expect(cancel).toHaveBeenCalledTimes(1));
    expect(settings.budget.hasWaiting).toBe(false);
    all.release();
    expect(settings.budget.heldBytes).toBe(0);
    expect(local.operations()).toEqual([]);
  });
});

describe("a put that waits for memory", () => {
  it("put that waits for memory has read nothing, and does not count as stalled", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const settings = settingsWith({ idleTimeoutMs: 240_000, maxBufferedBytes: 4 * partBytes });
    const all = await settings.budget.acquire({}, 4 * partBytes, signal);
    const Body = sourceOf(large);
    const call = put(settings, { Bucket, Key: "waited", Body }, {});
    await until(() => expect(settings.budget.hasWaiting).toBe(true));
    vi.advanceTimersByTime(720_000);
    await steady(() => Body.bytesRead);
    expect(Body.bytesRead).toBe(0);
    vi.useRealTimers();
    all.release();
    await call;
    expectBytes(await collect((await local.client.get({ Bucket, Key: "waited" })).Body), large);
  });

  it.each(["on the calling thread", "with workers"])(
    "put that waits for memory between parts holds none, %s",
    async (where) => {
      const engine = where === "with workers" ? await startedEngine() : onThread;
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      onTestFinished(() => void vi.useRealTimers());
      const settings = settingsWith({ idleTimeoutMs: 240_000, maxBufferedBytes: 4 * partBytes, engine });
      const { budget } = settings;
      const Body = sourceOf(large);
      let other: ReturnType<typeof budget.acquire> | undefined;
      const call = put(
        settings,
        { Bucket, Key: "waited", Body },
        // Is served before the put, which holds memory while it waits, or has waited for less time.
        {
          onProgress: ({ bytes }) => {
            if (bytes < large.length) other ??= budget.acquire({}, 4 * partBytes, signal);
          },
        },
      );
      await until(() => expect(other).toBeDefined());
      const hold = await other;
      expect(budget.heldBytes).toBe(4 * partBytes);
      vi.advanceTimersByTime(720_000);
      await steady(() => Body.bytesRead);
      vi.useRealTimers();
      const parts = Math.floor(Body.bytesRead / partBytes);
      // The bytes of the granted parts, a chunk, and the piece that shows that there are more.
      expect(Body.bytesRead).toBeLessThanOrEqual(parts * partBytes + 16_384 + 65_536);
      hold?.release();
      await call;
      expectBytes(await collect((await local.client.get({ Bucket, Key: "waited" })).Body), large);
      expect(budget.heldBytes).toBe(0);
    },
  );
});

it("puts of parts that are larger than the budget are sent one after the other", async () => {
  const s3 = stubS3();
  const engine = await startedEngine();
  const settings = settingsWith({
    s3: s3.client,
    partSizeBytes: 20 * unit,
    maxBufferedBytes: 16 * unit,
    engine,
  });
  await Promise.all(["a", "b"].map((Key) => put(settings, { Bucket, Key, Body: generated(50 * unit) }, {})));
  expect(s3.stored.filter((name) => name.startsWith("UploadPart"))).toHaveLength(6);
  expect(s3.mostBytes).toBeLessThan(21 * unit);
  expect(settings.budget.heldBytes).toBe(0);
});

describe("many concurrent puts", () => {
  const many = isSlowTier ? 200 : 24;
  it(`${many} concurrent puts of 20 MiB stay within the budget, and all make progress`, async () => {
    const s3 = stubS3();
    const engine = await startedEngine({ minWorkerBytes: mebibyte });
    const settings = configArgument({ s3: s3.client, keyring, engine });
    let most = 0;
    const look = () => {
      most = Math.max(most, settings.budget.heldBytes);
    };
    s3.onRequest = look;
    const bytes: number[] = [];
    let bytesOfAll: number[] | undefined;
    const puts = Array.from({ length: many }, (_, index) =>
      put(
        settings,
        { Bucket, Key: `${index}`, Body: generated(20 * mebibyte, look) },
        {
          onProgress: (progress) => {
            bytes[index] = progress.bytes;
          },
        },
      ).then(() => {
        bytesOfAll ??= Array.from({ length: many }, (_, other) => bytes[other] ?? 0);
      }),
    );
    await Promise.all(puts);
    expect(most).toBeGreaterThan(64 * mebibyte);
    expect(most).toBeLessThanOrEqual(128 * mebibyte);
    expect(s3.mostBytes).toBeLessThanOrEqual(128 * mebibyte);
    // When the first ended, each of the others had been served.
    expect(Math.min(...(bytesOfAll ?? []))).toBeGreaterThanOrEqual(7 * mebibyte);
    expect(bytes).toEqual(new Array(many).fill(20 * mebibyte));
    expect(settings.budget.heldBytes).toBe(0);
  });

  it("small puts do not wait for the end of a large one", async () => {
    const s3 = stubS3();
    const settings = settingsWith({ s3: s3.client, maxBufferedBytes: 16 * mebibyte, maxConcurrentParts: 64 });
    const controller = new AbortController();
    const huge = put(
      settings,
      { Bucket, Key: "huge", Body: generated(Number.POSITIVE_INFINITY) },
      { abortSignal: controller.signal },
    );
    const error = errorOf(() => huge);
    await until(() => expect(s3.stored.length).toBeGreaterThan(5));
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        put(settings, { Bucket, Key: `${index}`, Body: testBytes(mebibyte) }, {}),
      ),
    );
    controller.abort(new Error("the small ones are done"));
    expect((await error).message).toBe("the small ones are done");
    expect(settings.budget.heldBytes).toBe(0);
  });

  it("puts that read from gets of the same client complete", async () => {
    const bytes = testBytes(7 * mebibyte, 9);
    await local.client.put({ Bucket, Key: "from", Body: bytes });
    const engine = await startedEngine();
    const client = local.clientWith({ maxBufferedBytes: 16 * mebibyte, engine });
    const copies = Array.from({ length: isSlowTier ? 20 : 8 }, (_, index) => `copy-${index}`);
    await Promise.all(
      copies.map(async (Key) => {
        const { Body } = await client.get({ Bucket, Key: "from" });
        await client.put({ Bucket, Key, Body });
      }),
    );
    for (const Key of copies.slice(0, 3)) {
      expectBytes(await collect((await client.get({ Bucket, Key })).Body), bytes);
    }
  });
});
