import { getEventListeners } from "node:events";
import { afterEach, describe, expect, it, vi } from "vitest";
import { guardSource } from "../../src/s3/guarded-source.js";

const { signal } = new AbortController();
const guard = {
  signal,
  idleTimeoutMs: 1000,
  stalled: () => new Error("stalled"),
  failed: (cause: unknown) => new Error("failed", { cause }),
};

afterEach(() => vi.useRealTimers());

describe("guardSource", () => {
  it("leaves neither a listener nor a timer behind after each read", async () => {
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

  it.each([
    ["the reader stops", 1000, [1], undefined],
    ["the source stalls", 20, [], "stalled"],
  ])("tells the iterator of the source when %s", async (_, idleTimeoutMs, first, message) => {
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
    await vi.waitFor(() => expect(end).toHaveBeenCalledTimes(1));
  });

  it("waits for ever when the timeout is 0", async () => {
    async function* slow() {
      await new Promise((resolve) => setTimeout(resolve, 30));
      yield 1;
    }
    const read = [];
    for await (const item of guardSource(slow(), { ...guard, idleTimeoutMs: 0 })) read.push(item);
    expect(read).toEqual([1]);
  });
});
