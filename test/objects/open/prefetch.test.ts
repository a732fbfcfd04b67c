import { describe, expect, it, vi } from "vitest";
import { maxCachedBytes, RangeCache } from "../../../src/objects/open/range-cache.js";
import { MemoryBudget } from "../../../src/transfer/memory-budget.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { errorOf } from "../../support/errors.js";
import { hugeObject } from "../../support/huge-object.js";
import { Bucket, keyring, useLocalAws } from "../../support/local.js";
import { until } from "../../support/until.js";

const local = useLocalAws();
const chunk = 16_400;
const { signal } = new AbortController();
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Stretches over bytes in memory, and what was asked for. */
function cacheOf(bytes: Buffer, budget = new MemoryBudget(2 ** 24)) {
  const asked: [number, number][] = [];
  const fetch = vi.fn(async (start: number, end: number, ended: AbortSignal) => {
    asked.push([start, end]);
    await settled();
    ended.throwIfAborted();
    return bytes.subarray(start, end);
  });
  return { cache: new RangeCache(fetch, budget), asked, fetch, budget };
}

describe("the range cache of an open object", () => {
  it("keeps at most eight chunks, the most recently used, and counts them against the memory budget", async () => {
    const bytes = testBytes(20 * chunk);
    const { cache, asked, budget } = cacheOf(bytes);
    const read = (index: number, count = 1) => cache.read(index * chunk, (index + count) * chunk, signal);
    for (let index = 0; index < 8; index++) await read(index);
    expect(budget.heldBytes).toBe(maxCachedBytes);
    await read(0);
    await read(10);
    expect(asked.length).toBe(9);
    expect(budget.heldBytes).toBe(maxCachedBytes);
    await read(0);
    expect(asked.length).toBe(9);
    await read(1);
    expect(asked.length).toBe(10);
    // More than may be kept is not, and nothing goes for it.
    expectBytes(await read(10, 10), bytes.subarray(10 * chunk));
    expect(budget.heldBytes).toBe(maxCachedBytes);
    cache.close();
    expect(budget.heldBytes).toBe(0);
  });

  it("keeps nothing when the memory budget has no room, and reads succeed", async () => {
    const bytes = testBytes(4 * chunk);
    const budget = new MemoryBudget(1);
    const { cache, asked } = cacheOf(bytes, budget);
    cache.seed(0, bytes.subarray(0, chunk));
    for (let round = 0; round < 2; round++)
      expectBytes(await cache.read(0, chunk, signal), bytes.subarray(0, chunk));
    cache.prefetch(chunk, chunk, 2 * chunk);
    expect(asked.length).toBe(2);
    expect(budget.heldBytes).toBe(0);
  });

  it("combines overlapping ranges, with one request for the missing bytes", async () => {
    const bytes = testBytes(10 * chunk);
    const { cache, asked } = cacheOf(bytes);
    const read = async (from: number, to: number) =>
      expectBytes(
        await cache.read(from * chunk, to * chunk, signal),
        bytes.subarray(from * chunk, to * chunk),
      );
    await read(3, 5);
    await read(2, 6);
    await read(1, 3);
    await read(4, 7);
    await read(1, 7);
    await read(0, 8);
    expect(asked.map(([from, to]) => [from / chunk, to / chunk])).toEqual([
      [3, 5],
      [2, 6],
      [1, 2],
      [6, 7],
      [0, 8],
    ]);
  });

  it("completes a dropped prefetch for a read that waits for it", async () => {
    const bytes = testBytes(2 * chunk);
    const { cache, asked, budget } = cacheOf(bytes);
    cache.prefetch(0, 2 * chunk, 2 * chunk);
    const read = cache.read(0, chunk, signal);
    cache.dropPrefetched(10 * chunk, 11 * chunk);
    expectBytes(await read, bytes.subarray(0, chunk));
    expect(asked).toEqual([[0, 2 * chunk]]);
    expect(budget.heldBytes).toBe(0);
  });

  it("does not keep failed ranges", async () => {
    const { cache, fetch } = cacheOf(testBytes(chunk));
    fetch.mockRejectedValueOnce(new Error("no"));
    expect((await errorOf(() => cache.read(0, chunk, signal))).message).toBe("no");
    expectBytes(await cache.read(0, chunk, signal), testBytes(chunk));
  });
});

describe("prefetchBytes of open", () => {
  const size = 4 * 2 ** 30;
  const kibibyte = 1024;

  it("fetches the next bytes in two requests once reads are sequential, and no more", async () => {
    const huge = await hugeObject(size, keyring);
    const client = local.clientWith({ s3: huge.s3 });
    using object = await client.open({ Bucket, Key: "huge" }, { prefetchBytes: 128 * kibibyte });
    const start = 1_000_000;
    const step = 4 * kibibyte;
    for (let offset = start; offset < start + 2 ** 20; offset += step) {
      expectBytes(await object.read(offset, offset + step), huge.plaintext(offset, offset + step));
    }
    // 64 chunks in windows of four, where there would be a request for each read or chunk.
    const all = huge.requests.length - 1;
    expect(all).toBeLessThanOrEqual(64 / 4 + 4);
    expect(huge.requests.filter(({ bytes }) => bytes === 4 * chunk).length).toBeGreaterThanOrEqual(14);
    const moved = huge.requests.reduce((sum, { bytes }) => sum + bytes, -32_800);
    expect(moved).toBeLessThanOrEqual(2 ** 20 + 12 * chunk);
  });

  it.each([0, 128 * kibibyte])(
    "does not prefetch for reads at random offsets (%i)",
    async (prefetchBytes) => {
      const huge = await hugeObject(size, keyring);
      using object = await local.clientWith({ s3: huge.s3 }).open({ Bucket, Key: "huge" }, { prefetchBytes });
      for (let index = 1; index < 20; index++)
        await object.read(index * 100_000_000, index * 100_000_000 + 4 * kibibyte);
      await settled();
      expect(huge.requests.length).toBe(20);
    },
  );

  it("stops at the end of the object", async () => {
    const body = testBytes(300_000);
    await local.client.put({ Bucket, Key: "end", Body: body });
    using object = await local.client.open({ Bucket, Key: "end" }, { prefetchBytes: 2 ** 20 });
    const pieces: Buffer[] = [];
    for (let offset = 0; offset < 310_000; offset += 10_000)
      pieces.push(await object.read(offset, offset + 10_000));
    expectBytes(Buffer.concat(pieces), body);
  });

  it("stays within its memory limit, and releases all memory on close", async () => {
    const huge = await hugeObject(size, keyring);
    const client = local.clientWith({ s3: huge.s3 });
    const take = vi.spyOn(MemoryBudget.prototype, "tryAcquireForPrefetch");
    const object = await client.open({ Bucket, Key: "huge" }, { prefetchBytes: 2 ** 20 });
    const held = () => (take.mock.contexts[0] as MemoryBudget).heldBytes;
    let most = 0;
    for (let offset = 0; offset < 8 * 2 ** 20; offset += 100_000) {
      await object.read(offset, offset + 100_000);
      most = Math.max(most, held());
    }
    expect(most).toBeGreaterThan(2 ** 19);
    expect(most).toBeLessThanOrEqual(64 * chunk + maxCachedBytes);
    // A jump lets go of what was fetched for nothing.
    await object.read(2 ** 30, 2 ** 30 + 1);
    expect(held()).toBeLessThanOrEqual(maxCachedBytes);
    object.close();
    expect(held()).toBe(0);
    take.mockRestore();
  });

  it("stays within its memory limit for concurrent sequential reads", async () => {
    const huge = await hugeObject(size, keyring);
    const take = vi.spyOn(MemoryBudget.prototype, "tryAcquireForPrefetch");
    const client = local.clientWith({ s3: huge.s3 });
    using object = await client.open({ Bucket, Key: "huge" }, { prefetchBytes: 64 * kibibyte });
    take.mockClear();
    const reads = Array.from({ length: 50 }, (_, index) =>
      object.read(index * 100_000, index * 100_000 + 100_000),
    );
    const ahead = take.mock.results.filter(({ value }) => value !== undefined);
    expect(ahead.length).toBe(2);
    for (const [index, read] of reads.entries()) {
      expectBytes(await read, huge.plaintext(index * 100_000, (index + 1) * 100_000));
    }
    take.mockRestore();
  });

  it("does not fail reads that need nothing of a failed prefetch", async () => {
    await local.client.put({ Bucket, Key: "fails", Body: testBytes(300_000) });
    local.operations();
    using object = await local.client.open({ Bucket, Key: "fails" }, { prefetchBytes: 2 ** 16 });
    await object.read(0, 16_384);
    local.aws.fault({ operation: "GetObject", skip: 1, status: 403, code: "AccessDenied" });
    expectBytes(await object.read(16_384, 32_768), testBytes(300_000).subarray(16_384, 32_768));
    await until(() => expect(local.aws.requests.length).toBe(4));
    expectBytes(await object.read(100_000, 100_010), testBytes(300_000).subarray(100_000, 100_010));
    expectBytes(await object.read(32_768, 32_778), testBytes(300_000).subarray(32_768, 32_778));
  });
});
