import { getEventListeners } from "node:events";
import { afterEach, describe, expect, it, vi } from "vitest";
import { closeSource, guardSource } from "../../src/source/guarded-source.js";
import { errorOf } from "../support/errors.js";
import { until } from "../support/until.js";

const { signal } = new AbortController();
const guard = {
  signal,
  idleTimeoutMs: 240_000,
  stalled: () => new Error("stalled"),
  failed: (cause: unknown) => new Error("failed", { cause }),
};

afterEach(() => vi.useRealTimers());

describe("guardSource", () => {
  it("leaves neither a listener nor a timer after a read", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    let reads = 0;
    for await (const _ of guardSource([1, 2, 3], guard)) {
      expect(getEventListeners(signal, "abort")).toEqual([]);
      expect(vi.getTimerCount()).toBe(0);
      reads += 1;
    }
    expect(reads).toBe(3);
    expect(getEventListeners(signal, "abort")).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("sets up a listener and a timer only for a read that waits", async () => {
    const listening = vi.spyOn(signal, "addEventListener");
    const later = () => new Promise(setImmediate);
    async function* source() {
      yield 1;
      yield 2;
      await later();
      yield 3;
    }
    const seen = [];
    for await (const item of guardSource(source(), guard)) seen.push([item, listening.mock.calls.length]);
    expect(seen).toEqual([
      [1, 0],
      [2, 0],
      [3, 1],
    ]);
    listening.mockRestore();
  });

  it("observes a signal that aborts within a read that does not wait", async () => {
    const controller = new AbortController();
    async function* source() {
      controller.abort(new Error("enough"));
      yield 1;
    }
    const read = guardSource(source(), { ...guard, signal: controller.signal });
    expect((await errorOf(() => read.next())).message).toBe("enough");
  });

  it.each([
    ["the reader stops", 240_000, [1], undefined],
    ["the source stalls", 20, [], "stalled"],
  ])("closes the iterator of the source when %s", async (_, idleTimeoutMs, first, message) => {
    const end = vi.fn();
    const items = [...first];
    const next = async () => {
      if (items.length === 0) await new Promise(() => undefined);
      return { done: false, value: items.pop() } as const;
    };
    const source = { [Symbol.asyncIterator]: () => ({ next, return: end }) };
    const read = async () => {
      for await (const _ of guardSource(source, { ...guard, idleTimeoutMs })) break;
    };
    if (message === undefined) await read();
    else await expect(read()).rejects.toThrow(message);
    await until(() => expect(end).toHaveBeenCalledTimes(1));
  });

  it("waits without limit if the timeout is 0", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    async function* slow() {
      await new Promise(setImmediate);
      vi.advanceTimersByTime(2 ** 31);
      yield 1;
    }
    const read = [];
    for await (const item of guardSource(slow(), { ...guard, idleTimeoutMs: 0 })) read.push(item);
    expect(read).toEqual([1]);
  });

  it("ignores empty pieces: it neither yields them nor counts them as activity", async () => {
    async function* empty() {
      while (true) yield new Uint8Array(0);
    }
    const read = guardSource(empty(), { ...guard, idleTimeoutMs: 50 });
    await expect(read.next()).rejects.toThrow("stalled");
    const some = guardSource(["", "a", Buffer.alloc(0), Buffer.of(1)], guard);
    expect(await some.next()).toEqual({ done: false, value: "a" });
    expect(await some.next()).toEqual({ done: false, value: Buffer.of(1) });
  });

  it("lets an abort and other callbacks run while pieces are always available", async () => {
    async function* endless() {
      while (true) yield new Uint8Array(0);
    }
    const abortSignal = AbortSignal.timeout(10);
    const read = guardSource(endless(), { ...guard, signal: abortSignal, idleTimeoutMs: 0 });
    expect(await errorOf(() => read.next())).toBe(abortSignal.reason);
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    const giveUp = performance.now() + 60_000;
    const isOver = () => turns >= 2 || performance.now() > giveUp;
    for await (const _ of guardSource(busy(isOver), guard)) void _;
    clearInterval(timer);
    expect(turns).toBeGreaterThanOrEqual(2);
  });

  it.each([
    ["whose iterator cannot be made", { [Symbol.asyncIterator]: () => raise() }],
    ["whose iterator throws", { [Symbol.asyncIterator]: () => ({ next: () => raise() }) }],
    ["whose iterator gives no result", { [Symbol.asyncIterator]: () => ({ next: async () => undefined }) }],
  ])("reports a source %s as failed", async (_, source) => {
    const error = await errorOf(() => guardSource(source as never, guard).next());
    expect(error.message).toBe("failed");
    expect(error.cause).toBeInstanceOf(Error);
  });
});

describe("closeSource", () => {
  it("calls the first method that exists, and ignores its failure", async () => {
    const destroy = vi.fn(() => raise());
    for (const source of [
      { destroy },
      undefined,
      "x",
      {
        get destroy() {
          return raise();
        },
      },
    ])
      closeSource(source);
    await until(() => expect(destroy).toHaveBeenCalledTimes(1));
  });
});

function* busy(isOver: () => boolean) {
  while (!isOver()) yield 1;
}

function raise(): never {
  throw new Error("broken");
}
