/** The memory that all transfers of a client may hold, shared fairly between them. */
import { untilAborted } from "../base/abort.js";
import { Condition } from "../base/condition.js";

/** The right to hold some bytes of memory. */
export interface Lease {
  /** Bytes; 0 once released. */
  readonly bytes: number;
  /** Memory of an earlier holder, if there was some of exactly the requested size; undefined once released. */
  readonly memory: Buffer | undefined;
  /**
   * Returns the bytes to the budget. Does nothing the second time.
   *
   * @param memory is reused for others: nobody may read or write it any more
   */
  readonly release: (memory?: Buffer) => void;
  /** Moves some of the bytes into a new lease. */
  readonly split: (bytes: number) => Lease;
}

interface LeaseRequest {
  readonly holder: object;
  readonly bytes: number;
  readonly memoryBytes: number;
  readonly isPrefetch?: boolean;
}

interface WaitingRequest extends LeaseRequest {
  readonly granted: Condition;
  lease: Lease | undefined;
}

interface Holding {
  bytes: number;
  readonly leases: Set<Lease>;
}

/**
 * Grants leases. Those who wait are served in the order of what their holders have, least first, then in the order of
 * their requests; nobody overtakes another whose turn it is. A request for more than the whole budget is granted once
 * nothing is held but prefetched bytes.
 *
 * To rule out deadlocks, a holder must be able to release its lease without another grant and without any action of the
 * caller. That is why bytes that wait for a reader are only acquired with {@link tryAcquireForPrefetch}. (A part that is
 * being filled waits for its source, which `idleTimeoutMs` limits.)
 */
export class MemoryBudget {
  readonly #maxBytes: number;
  #heldBytes = 0;
  /** Bytes of {@link tryAcquireForPrefetch}, which only a reader may ever release. */
  #prefetchBytes = 0;
  readonly #holdings = new Map<object, Holding>();
  readonly #waiting: WaitingRequest[] = [];
  /** Released memory, oldest first: it comes on top of what is held, and both together fit into the budget. */
  readonly #idleMemory: Buffer[] = [];
  #idleBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of released memory that are kept for reuse. */
  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** Bytes of all leases. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether a request waits. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * Waits for a lease.
   *
   * @param holder stands for the transfer that will hold the bytes
   * @param memoryBytes the size of the memory that comes with the lease, if memory of this size is idle
   * @throws the signal's reason when it aborts before the lease is granted
   */
  async acquire(holder: object, bytes: number, signal: AbortSignal, memoryBytes = 0): Promise<Lease> {
    signal.throwIfAborted();
    const immediate = this.tryAcquire(holder, bytes, memoryBytes);
    if (immediate) return immediate;
    const request: WaitingRequest = {
      holder,
      bytes,
      memoryBytes,
      granted: new Condition(),
      lease: undefined,
    };
    this.#waiting.push(request);
    try {
      while (!request.lease) await untilAborted(signal, request.granted.wait());
      return request.lease;
    } catch (error) {
      const place = this.#waiting.indexOf(request);
      if (place >= 0) this.#waiting.splice(place, 1);
      request.lease?.release(request.lease.memory);
      this.#serve();
      throw error;
    }
  }

  /** Grants a lease if the bytes are free and no request waits. */
  tryAcquire(holder: object, bytes: number, memoryBytes = 0): Lease | undefined {
    const isFree = this.#waiting.length === 0 && this.#fits(bytes);
    return isFree ? this.#grant({ holder, bytes, memoryBytes }) : undefined;
  }

  /** Grants a lease for prefetched bytes if they are free: at most half of the budget, and none while a request waits. */
  tryAcquireForPrefetch(holder: object, bytes: number): Lease | undefined {
    if (this.#prefetchBytes + bytes > this.#maxBytes / 2 || this.#heldBytes + bytes > this.#maxBytes) {
      return undefined;
    }
    if (this.#waiting.length > 0) return undefined;
    return this.#grant({ holder, bytes, memoryBytes: 0, isPrefetch: true });
  }

  /** Releases all leases of a holder at its end, and drops idle memory that nobody may want. */
  releaseAll(holder: object): void {
    for (const lease of this.#holdings.get(holder)?.leases ?? []) lease.release();
    this.trim();
  }

  /** Drops idle memory unless others may want it. */
  trim(): void {
    if (this.#heldBytes > this.#prefetchBytes || this.#waiting.length > 0) return;
    this.#idleMemory.length = 0;
    this.#idleBytes = 0;
  }

  /** Prefetched bytes are no reason to wait for more than is left: their readers may never release them. */
  #fits(bytes: number): boolean {
    return this.#heldBytes === this.#prefetchBytes || this.#heldBytes + bytes <= this.#maxBytes;
  }

  #grant({ holder, bytes, memoryBytes, isPrefetch = false }: LeaseRequest): Lease {
    const holding = this.#holdings.get(holder) ?? { bytes: 0, leases: new Set<Lease>() };
    this.#holdings.set(holder, holding);
    const add = (more: number) => {
      this.#heldBytes += more;
      holding.bytes += more;
      if (isPrefetch) this.#prefetchBytes += more;
    };
    const leaseOf = (granted: number, memory?: Buffer): Lease => {
      let left = granted;
      let own = memory;
      const lease: Lease = {
        get bytes() {
          return left;
        },
        get memory() {
          return own;
        },
        release: (unread) => {
          if (!holding.leases.delete(lease)) return;
          add(-left);
          left = 0;
          // Whoever still refers to the lease must not keep its memory alive.
          own = undefined;
          if (holding.leases.size === 0 && this.#holdings.get(holder) === holding)
            this.#holdings.delete(holder);
          this.#keep(unread);
          this.#serve();
        },
        split: (part) => {
          left -= part;
          return leaseOf(part);
        },
      };
      holding.leases.add(lease);
      return lease;
    };
    const memory = this.#reuse(memoryBytes);
    add(bytes);
    this.#dropExcess();
    return leaseOf(bytes, memory);
  }

  #reuse(bytes: number): Buffer | undefined {
    const place = this.#idleMemory.findIndex(({ length }) => length === bytes);
    const [memory] = place >= 0 ? this.#idleMemory.splice(place, 1) : [];
    this.#idleBytes -= memory?.length ?? 0;
    return memory;
  }

  #keep(memory: Buffer | undefined): void {
    if (!memory) return;
    this.#idleMemory.push(memory);
    this.#idleBytes += memory.length;
    this.#dropExcess();
  }

  /** Drops the oldest idle memory that the budget has no room for. */
  #dropExcess(): void {
    while (this.#idleBytes > Math.max(this.#maxBytes - this.#heldBytes, 0))
      this.#idleBytes -= this.#idleMemory.shift()?.length ?? 0;
  }

  #serve(): void {
    for (let next = this.#next(); next && this.#fits(next.bytes); next = this.#next()) {
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      next.lease = this.#grant(next);
      next.granted.notify();
    }
  }

  #next(): WaitingRequest | undefined {
    const held = ({ holder }: WaitingRequest) => this.#holdings.get(holder)?.bytes ?? 0;
    let least = this.#waiting[0];
    for (const waiting of this.#waiting) if (least && held(waiting) < held(least)) least = waiting;
    return least;
  }
}
