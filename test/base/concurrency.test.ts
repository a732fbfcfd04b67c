import { describe, expect, it } from "vitest";
import { linkedSignal } from "../../src/base/abort.js";
import { forEachConcurrently } from "../../src/base/concurrency.js";
import { errorOf } from "../support/errors.js";

/** Work that lasts until the test ends it. */
function heldWork() {
  const running = new Map<number, { resolve: () => void; reject: (error: unknown) => void }>();
  const begun: number[] = [];
  const work = (item: number) => {
    begun.push(item);
    return new Promise<void>((resolve, reject) => void running.set(item, { resolve, reject }));
  };
  return { begun, running, work };
}
const turn = () => new Promise(setImmediate);

async function* numbers(count: number, closed: () => void = () => undefined) {
  try {
    for (let number = 0; number < count; number++) yield number;
  } finally {
    closed();
  }
}

describe.each([
  ["an iterable", (count: number): Iterable<number> | AsyncIterable<number> => new Array(count).keys()],
  ["an async iterable", (count: number) => numbers(count)],
])("forEachConcurrently over %s", (_, items) => {
  it("works on no more items at a time than its limit, in their order, and waits for all", async () => {
    const { begun, running, work } = heldWork();
    let isOver = false;
    const all = forEachConcurrently(items(5), 2, linkedSignal(undefined), work).then(() => {
      isOver = true;
    });
    await turn();
    expect(begun).toEqual([0, 1]);
    running.get(1)?.resolve();
    await turn();
    expect(begun).toEqual([0, 1, 2]);
    for (const item of [0, 2, 3]) {
      running.get(item)?.resolve();
      await turn();
    }
    expect([begun, isOver]).toEqual([[0, 1, 2, 3, 4], false]);
    running.get(4)?.resolve();
    await all;
  });

  it("begins nothing after a failure, and rejects with it once what had begun is over", async () => {
    const { begun, running, work } = heldWork();
    const call = linkedSignal(undefined);
    let isOver = false;
    const failure = new Error("first");
    const rejected = errorOf(() => forEachConcurrently(items(5), 2, call, work)).finally(() => {
      isOver = true;
    });
    await turn();
    running.get(0)?.reject(failure);
    await turn();
    expect([call.signal.reason, isOver]).toEqual([failure, false]);
    running.get(1)?.reject(new Error("second"));
    expect(await rejected).toBe(failure);
    expect(begun).toEqual([0, 1]);
  });
});

it("forEachConcurrently closes an async iterable that it does not read to the end", async () => {
  let closes = 0;
  const items = numbers(9, () => {
    closes += 1;
  });
  const call = linkedSignal(undefined);
  const failure = new Error("failed");
  const work = () => Promise.reject(failure);
  expect(await errorOf(() => forEachConcurrently(items, 1, call, work))).toBe(failure);
  expect(closes).toBe(1);
});
