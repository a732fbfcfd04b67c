import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Lease, MemoryBudget } from "../../src/transfer/memory-budget.js";
import { errorOf } from "../support/errors.js";

const never = new AbortController().signal;
/** Lets all that was granted be heard. */
const settle = () => new Promise(setImmediate);

/** Asks for bytes, and tells in `order` when they are granted. */
function asker(budget: MemoryBudget) {
  const order: string[] = [];
  const ask = (name: string, transfer: object, bytes: number, signal = never) =>
    budget.acquire(transfer, bytes, signal).then((hold) => {
      order.push(name);
      return hold;
    });
  return { order, ask };
}

describe("a budget", () => {
  it("grants what is there at once, and the rest when it comes back", async () => {
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

  it("serves first the transfer that holds least, then the one that came first", async () => {
    const budget = new MemoryBudget(10);
    const { order, ask } = asker(budget);
    const [rich, poor] = [{}, {}];
    const holds = [await ask("rich", rich, 7), await ask("poor", poor, 3)];
    const later = [ask("rich 2", rich, 3), ask("poor 2", poor, 3), ask("new 1", {}, 3), ask("new 2", {}, 3)];
    await settle();
    const [big, small] = holds;
    small?.release();
    // poor holds nothing now, and asked before the new ones.
    (await later[1])?.release();
    (await later[2])?.release();
    (await later[3])?.release();
    big?.release();
    await later[0];
    expect(order.slice(2)).toEqual(["poor 2", "new 1", "new 2", "rich 2"]);
  });

  it("lets nobody overtake one that is too large for what is left", async () => {
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

  it("grants more than all of it to one that goes alone", async () => {
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

  it("takes back each hold once, and the parts of one that was split each for itself", async () => {
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

  it("remembers nothing of a wait that was aborted, and goes on to the next", async () => {
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

  it("takes back what was granted at the moment of the abort", async () => {
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

  it("hands on memory that was given back, to whoever wants its size, within the budget", async () => {
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
    // Who wants more than is left besides the memory that is kept has it let go of.
    const more = budget.tryAcquire({}, 5);
    expect([more?.bytes, budget.idleBytes]).toEqual([5, 0]);
    for (const hold of [second, other, more]) hold?.release(Buffer.alloc(1));
    expect([budget.heldBytes, budget.idleBytes]).toEqual([0, 3]);
    budget.trim();
    expect([budget.heldBytes, budget.idleBytes]).toEqual([0, 0]);
  });

  it("takes the same memory back once only: two parts would share it", () => {
    const budget = new MemoryBudget(100);
    const hold = budget.tryAcquire({}, 4);
    const memory = Buffer.alloc(4);
    hold?.release(memory);
    hold?.release(memory);
    expect(budget.idleBytes).toBe(4);
    expect(budget.tryAcquire({}, 4, 4)?.memory).toBe(memory);
    expect(budget.tryAcquire({}, 4, 4)?.memory).toBeUndefined();
  });

  it("hands memory on to one who waits, and keeps it when the wait was aborted at that moment", async () => {
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

describe("for reading ahead", () => {
  it("a budget gives at most half, and nothing while others wait", async () => {
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

  it("what readers hold, who may never give it back, keeps nobody waiting for ever", async () => {
    const budget = new MemoryBudget(10);
    budget.tryAcquireForPrefetch({}, 5);
    for (const bytes of [5, 8, 10, 20]) {
      const hold = await budget.acquire({}, bytes, never);
      expect(budget.heldBytes).toBe(5 + bytes);
      hold.release();
    }
  });
});

it("keeps its promises whatever comes", async () => {
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
        // More than there is only for one alone; what readers hold is beside it.
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
      // All that waits is granted once the others have given back, readers excepted.
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
