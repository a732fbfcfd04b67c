/** Ciphertext of one object in stretches of whole chunks: what is under way is shared, and a little of it is kept. */

import { untilAborted } from "../../base/abort.js";
import { sealedBytes } from "../../cobblestone/layout.js";
import type { Lease, MemoryBudget } from "../../transfer/memory-budget.js";

/** Fetches ciphertext from `start` (included) to `end` (excluded). */
export type FetchRange = (start: number, end: number, signal: AbortSignal) => Promise<Buffer>;

/** The most bytes that are kept of what was read: eight chunks. */
export const maxCachedBytes = sealedBytes(8);

interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Buffer>;
  readonly abort: () => void;
  /** Whether it was fetched before anybody asked for it. */
  readonly isAhead: boolean;
  /** Reads that wait for it. */
  readers: number;
  /** What it takes of the budget. Without, it goes once it has come. */
  hold: Lease | undefined;
}

/** A stretch and which of its bytes are wanted. */
interface Part {
  readonly stretch: Stretch;
  readonly from: number;
  readonly to: number;
}

function sizeOf({ start, end }: Stretch): number {
  return end - start;
}

/**
 * Fetches what is not there. What is kept counts against the budget of the client, and nothing is kept when that has
 * no room.
 */
export class RangeCache {
  readonly #fetch: FetchRange;
  readonly #budget: MemoryBudget;
  /** The one used last at the end. */
  #known: Stretch[] = [];
  /** Those that were forgotten while they were under way count, too. */
  readonly #underWay = new Set<Stretch>();

  constructor(fetch: FetchRange, budget: MemoryBudget) {
    this.#fetch = fetch;
    this.#budget = budget;
  }

  /** Takes in what has been fetched already. */
  keep(start: number, bytes: Buffer): void {
    const whole = { start, end: start + bytes.length, bytes: Promise.resolve(bytes) };
    const stretch = { ...whole, abort: () => undefined, isAhead: false, readers: 0, hold: undefined };
    this.#known.push(stretch);
    this.#arrived(stretch);
  }

  /** Bytes from `start` to `end`, both at bounds of chunks, with one request at most. */
  async read(start: number, end: number, signal: AbortSignal): Promise<Buffer> {
    const parts = this.#cover(start, end);
    const stretches = parts.map(({ stretch }) => stretch);
    for (const stretch of stretches) stretch.readers += 1;
    try {
      const bytes = parts.map(async ({ stretch, from, to }) =>
        (await stretch.bytes).subarray(from - stretch.start, to - stretch.start),
      );
      const [first, ...others] = await untilAborted(signal, Promise.all(bytes));
      return first && others.length === 0 ? first : Buffer.concat(first ? [first, ...others] : []);
    } finally {
      for (const stretch of stretches) this.#leave(stretch);
    }
  }

  /**
   * Fetches so many bytes from `start` on, which are not there, or those up to the first that are; unless more than
   * `mostBytes` would then have been fetched ahead and not been dropped, or the budget has no room.
   */
  readAhead(start: number, bytes: number, mostBytes: number): void {
    const end = Math.min(start + bytes, ...this.#known.map((one) => one.start).filter((at) => at > start));
    const ahead = this.#known.filter(({ isAhead }) => isAhead).map(sizeOf);
    if (ahead.reduce((sum, size) => sum + size, end - start) > mostBytes) return;
    const hold = this.#budget.tryAcquireForPrefetch(this, end - start);
    if (hold) this.#start(start, end, hold);
  }

  /** The place up to which all is there or on its way, from `start` on. */
  knownFrom(start: number): number {
    let end = start;
    for (let next = this.#at(end); next; next = this.#at(end)) end = next.end;
    return end;
  }

  /** Forgets what was fetched ahead, except where it reaches into the stretch. */
  dropAhead(start: number, end: number): void {
    for (const stretch of [...this.#known]) {
      if (stretch.isAhead && (stretch.end <= start || stretch.start >= end)) this.#forget(stretch);
    }
  }

  /** Forgets all that is there: it may have been damaged on its way. */
  clear(): void {
    for (const stretch of [...this.#known]) if (!this.#underWay.has(stretch)) this.#forget(stretch);
  }

  /** Ends all that is under way and forgets all. */
  close(): void {
    for (const stretch of [...this.#known]) this.#forget(stretch);
    for (const stretch of this.#underWay) stretch.abort();
  }

  /** What covers the bytes, in order; those in their middle that are missing are fetched in one. */
  #cover(start: number, end: number): Part[] {
    const [before, after]: [Part[], Part[]] = [[], []];
    let [from, to] = [start, end];
    for (let stretch = this.#at(from); stretch && from < to; stretch = this.#at(from)) {
      const upTo = Math.min(stretch.end, to);
      before.push({ stretch, from, to: upTo });
      from = upTo;
    }
    for (let stretch = this.#at(to - 1); stretch && from < to; stretch = this.#at(to - 1)) {
      // Begins behind `from`, which is not in it.
      after.unshift({ stretch, from: stretch.start, to });
      to = stretch.start;
    }
    const known = [...before, ...after].map(({ stretch }) => stretch);
    this.#known = [...this.#known.filter((one) => !known.includes(one)), ...known];
    const missing = from < to ? [{ stretch: this.#start(from, to), from, to }] : [];
    return [...before, ...missing, ...after];
  }

  #at(position: number): Stretch | undefined {
    return this.#known.findLast(({ start, end }) => start <= position && position < end);
  }

  /** What nobody waits for any more is not fetched further. */
  #leave(stretch: Stretch): void {
    stretch.readers -= 1;
    const isWanted = stretch.readers > 0 || (stretch.isAhead && this.#known.includes(stretch));
    if (this.#underWay.has(stretch) && !isWanted) this.#forget(stretch);
  }

  #start(start: number, end: number, hold?: Lease): Stretch {
    const controller = new AbortController();
    const bytes = this.#fetch(start, end, controller.signal);
    const abort = () => controller.abort();
    const stretch = { start, end, bytes, abort, isAhead: hold !== undefined, readers: 0, hold };
    this.#known.push(stretch);
    this.#underWay.add(stretch);
    bytes.then(
      () => {
        this.#underWay.delete(stretch);
        this.#arrived(stretch);
      },
      () => {
        this.#underWay.delete(stretch);
        this.#forget(stretch);
      },
    );
    return stretch;
  }

  /** Keeps it if it is small and the budget has room, and lets go of older ones for it. */
  #arrived(stretch: Stretch): void {
    if (stretch.isAhead || !this.#known.includes(stretch)) return;
    let room = maxCachedBytes - sizeOf(stretch);
    if (room >= 0) {
      for (const other of this.#known.filter((one) => one.hold && !one.isAhead).reverse()) {
        room -= sizeOf(other);
        if (room < 0) this.#forget(other);
      }
      stretch.hold = this.#budget.tryAcquireForPrefetch(this, sizeOf(stretch));
    }
    if (!stretch.hold) this.#forget(stretch);
  }

  #forget(stretch: Stretch): void {
    this.#known = this.#known.filter((other) => other !== stretch);
    stretch.hold?.release();
    stretch.hold = undefined;
    if (stretch.readers === 0 && this.#underWay.has(stretch)) stretch.abort();
  }
}
