/** Caches ranges of ciphertext of one object, in whole chunks. Reads share the requests that are in progress. */
import { untilAborted } from "../../base/abort.js";
import { sealedBytes } from "../../cobblestone/layout.js";
import type { Lease, MemoryBudget } from "../../transfer/memory-budget.js";

/** Fetches ciphertext from `start` (included) to `end` (excluded). */
export type FetchRange = (start: number, end: number, signal: AbortSignal) => Promise<Buffer>;

/** The most bytes that are cached after they have been read: eight chunks. */
export const maxCachedBytes = sealedBytes(8);

/** A range of ciphertext that is cached or is being fetched. */
interface CachedRange {
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Buffer>;
  readonly abort: () => void;
  /** Whether it is fetched before a read wants it. */
  readonly isPrefetched: boolean;
  /** Reads that wait for it. */
  readers: number;
  /** Its share of the memory budget. Without a lease the range is dropped once it has been fetched. */
  lease: Lease | undefined;
}

/** The bytes of a cached range that one read wants. */
interface WantedBytes {
  readonly cached: CachedRange;
  readonly from: number;
  readonly to: number;
}

function sizeOf({ start, end }: CachedRange): number {
  return end - start;
}

/** Cached bytes count against the memory budget of the client. Nothing is cached when the budget has no room. */
export class RangeCache {
  readonly #fetch: FetchRange;
  readonly #budget: MemoryBudget;
  /** The most recently used last. */
  #ranges: CachedRange[] = [];
  /** Ranges that are being fetched, with those that were dropped meanwhile. */
  readonly #fetching = new Set<CachedRange>();

  constructor(fetch: FetchRange, budget: MemoryBudget) {
    this.#fetch = fetch;
    this.#budget = budget;
  }

  /** Adds bytes that have been fetched already. */
  seed(start: number, bytes: Buffer): void {
    const range: CachedRange = {
      start,
      end: start + bytes.length,
      bytes: Promise.resolve(bytes),
      abort: () => undefined,
      isPrefetched: false,
      readers: 0,
      lease: undefined,
    };
    this.#ranges.push(range);
    this.#keepOrDrop(range);
  }

  /** Returns the bytes from `start` to `end`, both at chunk boundaries, with at most one request. */
  async read(start: number, end: number, signal: AbortSignal): Promise<Buffer> {
    const wanted = this.#cover(start, end);
    for (const { cached } of wanted) cached.readers += 1;
    try {
      const bytes = wanted.map(async ({ cached, from, to }) =>
        (await cached.bytes).subarray(from - cached.start, to - cached.start),
      );
      const [first, ...others] = await untilAborted(signal, Promise.all(bytes));
      return first && others.length === 0 ? first : Buffer.concat(first ? [first, ...others] : []);
    } finally {
      for (const { cached } of wanted) this.#endRead(cached);
    }
  }

  /**
   * Prefetches up to `bytes` from `start`, stopping at the next cached range. Does nothing if more than `maxBytes` would
   * then be prefetched, or if the memory budget has no room.
   */
  prefetch(start: number, bytes: number, maxBytes: number): void {
    const end = Math.min(
      start + bytes,
      ...this.#ranges.map((range) => range.start).filter((at) => at > start),
    );
    const prefetched = this.#ranges.filter(({ isPrefetched }) => isPrefetched).map(sizeOf);
    if (prefetched.reduce((sum, size) => sum + size, end - start) > maxBytes) return;
    const lease = this.#budget.tryAcquireForPrefetch(this, end - start);
    if (lease) this.#start(start, end, lease);
  }

  /** The offset up to which all bytes from `start` are cached or being fetched. */
  cachedUntil(start: number): number {
    let end = start;
    for (let next = this.#at(end); next; next = this.#at(end)) end = next.end;
    return end;
  }

  /** Drops prefetched ranges, except those that overlap the bytes from `start` to `end`. */
  dropPrefetched(start: number, end: number): void {
    for (const range of [...this.#ranges]) {
      if (range.isPrefetched && (range.end <= start || range.start >= end)) this.#drop(range);
    }
  }

  /** Drops all ranges that have been fetched. */
  clear(): void {
    for (const range of [...this.#ranges]) if (!this.#fetching.has(range)) this.#drop(range);
  }

  /** Drops all ranges and aborts all requests. */
  close(): void {
    for (const range of [...this.#ranges]) this.#drop(range);
    for (const range of this.#fetching) range.abort();
  }

  /** Covers the bytes, in order. Missing bytes between cached ranges are fetched with one request. */
  #cover(start: number, end: number): WantedBytes[] {
    const [before, after]: [WantedBytes[], WantedBytes[]] = [[], []];
    let [from, to] = [start, end];
    for (let cached = this.#at(from); cached && from < to; cached = this.#at(from)) {
      const upTo = Math.min(cached.end, to);
      before.push({ cached, from, to: upTo });
      from = upTo;
    }
    for (let cached = this.#at(to - 1); cached && from < to; cached = this.#at(to - 1)) {
      // It begins behind `from`, which it does not contain.
      after.unshift({ cached, from: cached.start, to });
      to = cached.start;
    }
    const used = [...before, ...after].map(({ cached }) => cached);
    this.#ranges = [...this.#ranges.filter((range) => !used.includes(range)), ...used];
    const missing = from < to ? [{ cached: this.#start(from, to), from, to }] : [];
    return [...before, ...missing, ...after];
  }

  #at(position: number): CachedRange | undefined {
    return this.#ranges.findLast(({ start, end }) => start <= position && position < end);
  }

  /** Aborts the request for a range that no read waits for any longer, unless it is a prefetch. */
  #endRead(range: CachedRange): void {
    range.readers -= 1;
    const isWanted = range.readers > 0 || (range.isPrefetched && this.#ranges.includes(range));
    if (this.#fetching.has(range) && !isWanted) this.#drop(range);
  }

  #start(start: number, end: number, lease?: Lease): CachedRange {
    const controller = new AbortController();
    const range: CachedRange = {
      start,
      end,
      bytes: this.#fetch(start, end, controller.signal),
      abort: () => controller.abort(),
      isPrefetched: lease !== undefined,
      readers: 0,
      lease,
    };
    this.#ranges.push(range);
    this.#fetching.add(range);
    range.bytes.then(
      () => {
        this.#fetching.delete(range);
        this.#keepOrDrop(range);
      },
      () => {
        this.#fetching.delete(range);
        this.#drop(range);
      },
    );
    return range;
  }

  /** Keeps a fetched range if it is small and the budget has room, and drops older ones for it. */
  #keepOrDrop(range: CachedRange): void {
    if (range.isPrefetched || !this.#ranges.includes(range)) return;
    let room = maxCachedBytes - sizeOf(range);
    if (room >= 0) {
      for (const other of this.#ranges.filter((one) => one.lease && !one.isPrefetched).reverse()) {
        room -= sizeOf(other);
        if (room < 0) this.#drop(other);
      }
      range.lease = this.#budget.tryAcquireForPrefetch(this, sizeOf(range));
    }
    if (!range.lease) this.#drop(range);
  }

  #drop(range: CachedRange): void {
    this.#ranges = this.#ranges.filter((other) => other !== range);
    range.lease?.release();
    range.lease = undefined;
    if (range.readers === 0 && this.#fetching.has(range)) range.abort();
  }
}
