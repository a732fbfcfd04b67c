import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Lease, MemoryBudget } from "../../src/transfer/memory-budget.js";
import { errorOf } from "../support/errors.js";

const never = new AbortController().signal;
/** Lets the waiters of all granted leases continue. */
const settle = () => new Promise(setImmediate);

/** Acquires bytes, and records in `order` when they are granted. */
function asker(budget: MemoryBudget) {
  const order: string[] = [];
  const ask = (name: string, transfer: object, bytes: number, signal = never) =>
    budget.acquire(transfer, bytes, signal).then((hold) => {
      order.push(name);
      return hold;
    });
  return { order, ask };
}

describe("MemoryBudget", () => {
  it("MemoryBudget grants free bytes at once, and others when they are released", async () => {
    const budget = new MemoryBudget(10);
    const { order, ask } = asker(budget);
    const [a, b] = [await ask("a", {}, 6), await ask("b", {}, 4)];
    const third = ask("c", {}, 5);
    await settle();
    expect([order, budget.heldBytes, budget.hasWaiting]).toEqual([["a", "b"], 10, true]);
    b.release();
    await settle();
    expect(order).toEqual(["a", "b"]);
    a.release();
    expect((await third).bytes).toBe(5);
    expect([budget.heldBytes, budget.hasWaiting]).toEqual([5, false]);
  });

  it("MemoryBudget serves the holder with the fewest bytes first, then the one that waits longest", async () => {
    const budget = new MemoryBudget(10);
    const { order, ask } = asker(budget);
    const [rich, poor] = [{}, {}];
    const holds = [await ask("rich", rich, 7), await ask("poor", poor, 3)];
    const later = [ask("rich 2", rich, 3), ask("poor 2", poor, 3), ask("new 1", {}, 3), ask("new 2", {}, 3)];
    await settle();
    const [big, small] = holds;
    small?.release();
    // poor holds nothing now, and waits longer than the new ones.
    (await later[1])?.release();
    (await later[2])?.release();
    (await later[3])?.release();
    big?.release();
    await later[0];
    expect(order.slice(2)).toEqual(["poor 2", "new 1", "new 2", "rich 2"]);
  });

  it("MemoryBudget lets nobody overtake a request that is too large for the free bytes", async () => {
    const budget = new MemoryBudget(10);
    const { order, ask } = asker(budget);
    const [a, b] = [await ask("a", {}, 5), await ask("b", {}, 5)];
    const large = ask("large", {}, 8);
    const small = ask("small", {}, 1);
    a.release();
    await settle();
    expect(budget.tryAcquire({}, 1)).toBeUndefined();
    expect(order).toEqual(["a", "b"]);
    b.release();
    await Promise.all([large, small]);
    expect(order).toEqual(["a", "b", "large", "small"]);
  });

  it("MemoryBudget grants more than the whole budget to a request that is alone", async () => {
    const budget = new MemoryBudget(10);
    const { order, ask } = asker(budget);
    const small = await ask("small", {}, 1);
    const huge = ask("huge", {}, 25);
    const next = ask("next", {}, 1);
    await settle();
    expect(order).toEqual(["small"]);
    small.release();
    const hold = await huge;
    await settle();
    expect([order, budget.heldBytes]).toEqual([["small", "huge"], 25]);
    hold.release();
    await next;
  });

  it("MemoryBudget releases each lease once, and the parts of a split lease independently", async () => {
    const budget = new MemoryBudget(10);
    const hold = await budget.acquire({}, 8, never);
    const part = hold.split(3);
    expect([hold.bytes, part.bytes, budget.heldBytes]).toEqual([5, 3, 8]);
    part.release();
    part.release();
    expect(budget.heldBytes).toBe(5);
    hold.release();
    hold.release();
    expect(budget.heldBytes).toBe(0);
  });

  it("MemoryBudget forgets an aborted request and serves the next one", async () => {
    const budget = new MemoryBudget(10);
    const { order, ask } = asker(budget);
    const first = await ask("first", {}, 6);
    const controller = new AbortController();
    const reason = new Error("enough");
    const aborted = errorOf(() => ask("aborted", {}, 9, controller.signal));
    const next = ask("next", {}, 4);
    await settle();
    expect(order).toEqual(["first"]);
    controller.abort(reason);
    expect(await aborted).toBe(reason);
    (await next).release();
    first.release();
    expect([order, budget.heldBytes, budget.hasWaiting]).toEqual([["first", "next"], 0, false]);
    expect(await errorOf(() => budget.acquire({}, 1, controller.signal))).toBe(reason);
    expect(budget.heldBytes).toBe(0);
  });

  it("MemoryBudget releases a lease that was granted at the moment of the abort", async () => {
    const budget = new MemoryBudget(10);
    const first = await budget.acquire({}, 10, never);
    const controller = new AbortController();
    const waiting = budget.acquire({}, 10, controller.signal).then(
      (hold) => hold.release(),
      () => undefined,
    );
    await settle();
    controller.abort();
    first.release();
    await waiting;
    const second = budget.acquire({}, 10, new AbortController().signal);
    (await second).release();
    const other = new AbortController();
    const again = await budget.acquire({}, 10, never);
    const late = errorOf(() => budget.acquire({}, 10, other.signal));
    again.release();
    other.abort(new Error("late"));
    expect((await late).message).toBe("late");
    expect(budget.heldBytes).toBe(0);
  });

  it("MemoryBudget reuses released memory for leases of its size, within the budget", async () => {
    const budget = new MemoryBudget(10);
    const memory = Buffer.alloc(4);
    const [first, second] = [budget.tryAcquire({}, 4), budget.tryAcquire({}, 4)];
    expect(first?.memory).toBeUndefined();
    first?.release(memory);
    first?.release(memory);
    expect([budget.heldBytes, budget.idleBytes]).toEqual([4, 4]);
    const other = budget.tryAcquire({}, 1, 1);
    expect([other?.memory, budget.idleBytes]).toEqual([undefined, 4]);
    const again = await budget.acquire({}, 5, never, 4);
    expect([again.memory, budget.idleBytes]).toEqual([memory, 0]);
    again.release(memory);
    // A lease that needs the room of idle memory drops that memory.
    const more = budget.tryAcquire({}, 5);
    expect([more?.bytes, budget.idleBytes]).toEqual([5, 0]);
    for (const hold of [second, other, more]) hold?.release(Buffer.alloc(1));
    expect([budget.heldBytes, budget.idleBytes]).toEqual([0, 3]);
    budget.trim();
    expect([budget.heldBytes, budget.idleBytes]).toEqual([0, 0]);
  });

  it("MemoryBudget takes the same memory back once only, as two parts would share it", () => {
    const budget = new MemoryBudget(100);
    const hold = budget.tryAcquire({}, 4);
    const memory = Buffer.alloc(4);
    hold?.release(memory);
    hold?.release(memory);
    expect(budget.idleBytes).toBe(4);
    expect(budget.tryAcquire({}, 4, 4)?.memory).toBe(memory);
    expect(budget.tryAcquire({}, 4, 4)?.memory).toBeUndefined();
  });

  it("MemoryBudget passes memory to a waiting request, and keeps it if that request is aborted at that moment", async () => {
    const budget = new MemoryBudget(10);
    const memory = Buffer.alloc(10);
    const first = budget.tryAcquire({}, 10);
    const controller = new AbortController();
    const aborted = errorOf(() => budget.acquire({}, 10, controller.signal, 10));
    const waiting = budget.acquire({}, 10, never, 10);
    first?.release(memory);
    controller.abort(new Error("enough"));
    await aborted;
    const hold = await waiting;
    expect(hold.memory).toBe(memory);
    hold.release();
  });
});

describe("MemoryBudget for prefetched bytes", () => {
  it("MemoryBudget grants at most half of the budget for prefetched bytes, and none while a request waits", async () => {
    const budget = new MemoryBudget(10);
    const ahead = budget.tryAcquireForPrefetch({}, 4);
    expect(ahead?.bytes).toBe(4);
    expect(budget.tryAcquireForPrefetch({}, 2)).toBeUndefined();
    const one = budget.tryAcquireForPrefetch({}, 1);
    expect(budget.heldBytes).toBe(5);
    one?.release();
    one?.release();
    ahead?.release();
    expect(budget.heldBytes).toBe(0);
    const hold = await budget.acquire({}, 8, never);
    expect(budget.tryAcquireForPrefetch({}, 3)).toBeUndefined();
    const waiting = budget.acquire({}, 3, never);
    await settle();
    expect(budget.tryAcquireForPrefetch({}, 1)).toBeUndefined();
    hold.release();
    (await waiting).release();
    expect(budget.tryAcquireForPrefetch({}, 5)?.bytes).toBe(5);
  });

  it("MemoryBudget: prefetched bytes, which may never be released, block no request forever", async () => {
    const budget = new MemoryBudget(10);
    budget.tryAcquireForPrefetch({}, 5);
    for (const bytes of [5, 8, 10, 20]) {
      const hold = await budget.acquire({}, bytes, never);
      expect(budget.heldBytes).toBe(5 + bytes);
      hold.release();
    }
  });
});

it("MemoryBudget keeps its invariants in any order of operations", async () => {
  const maxBytes = 100;
  const asks = fc.array(
    fc.record({
      transfer: fc.integer({ min: 0, max: 4 }),
      bytes: fc.integer({ min: 1, max: 130 }),
      kind: fc.constantFrom("take", "take", "take", "now", "ahead", "abort"),
      releases: fc.integer({ min: 0, max: 3 }),
    }),
    { minLength: 1, maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(asks, async (steps) => {
      const budget = new MemoryBudget(maxBytes);
      const transfers = [{}, {}, {}, {}, {}];
      const firm = new Set<Lease>();
      const ahead = new Set<Lease>();
      const calls: Promise<unknown>[] = [];
      const sum = (holds: Set<Lease>) => [...holds].reduce((total, { bytes }) => total + bytes, 0);
      const check = () => {
        expect(budget.heldBytes).toBeGreaterThanOrEqual(sum(firm) + sum(ahead));
        if (budget.idleBytes > 0) expect(budget.heldBytes + budget.idleBytes).toBeLessThanOrEqual(maxBytes);
        expect(sum(ahead)).toBeLessThanOrEqual(maxBytes / 2);
        // More than the budget is granted to one request alone, besides prefetched bytes.
        if (firm.size > 1) expect(budget.heldBytes).toBeLessThanOrEqual(maxBytes + (sum(ahead) > 0 ? 50 : 0));
      };
      const keep = (holds: Set<Lease>) => (hold: Lease | undefined) => {
        if (hold) holds.add(hold);
        check();
      };
      const release = () => {
        const [hold] = firm;
        if (!hold) return;
        const { bytes } = hold;
        firm.delete(hold);
        hold.release(bytes % 2 === 0 ? Buffer.alloc(bytes) : undefined);
      };
      for (const { transfer, bytes, kind, releases } of steps) {
        const whose = transfers[transfer] ?? {};
        if (kind === "now") keep(firm)(budget.tryAcquire(whose, bytes, bytes));
        else if (kind === "ahead") keep(ahead)(budget.tryAcquireForPrefetch(whose, bytes));
        else {
          const controller = new AbortController();
          calls.push(budget.acquire(whose, bytes, controller.signal).then(keep(firm), () => undefined));
          if (kind === "abort") controller.abort();
        }
        await settle();
        for (let count = 0; count < releases; count++) release();
        await settle();
      }
      // All requests are granted once the others have released their leases, prefetched bytes excepted.
      for (let turns = 0; budget.hasWaiting && turns < steps.length; turns++) {
        expect(firm.size).toBeGreaterThan(0);
        release();
        await settle();
      }
      await Promise.all(calls);
      for (const hold of [...firm, ...ahead]) hold.release();
      budget.trim();
      expect([budget.heldBytes, budget.idleBytes, budget.hasWaiting]).toEqual([0, 0, false]);
    }),
  );
});
