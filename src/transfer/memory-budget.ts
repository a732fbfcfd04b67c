/** One budget of bytes for all transfers of a client, shared out fairly between them. */
import { untilAborted } from "../base/abort.js";

/** Bytes that a transfer may hold. */
export interface Lease {
  /** How many. */
  readonly bytes: number;
  /** Memory that was given back before, if there is some of the wanted size; gone once this has been released. */
  readonly memory: Buffer | undefined;
  /** Gives them back, with memory that nobody can read any more, if there is some; does nothing the second time. */
  readonly release: (memory?: Buffer) => void;
  /** Makes two holds of one: returns one of so many bytes, and leaves the rest in this. */
  readonly split: (bytes: number) => Lease;
}

interface Wish {
  readonly transfer: object;
  readonly bytes: number;
  readonly memoryBytes: number;
  /** For reading ahead. */
  readonly isAhead?: boolean;
}

interface Waiting extends Wish {
  readonly grant: () => void;
}

/**
 * Shares out bytes. Whoever waits goes in the order of what their transfers hold, least first, then in the order of
 * coming; nobody overtakes another whose turn it is. More than there is at all is granted once nothing is held but
 * for reading ahead.
 *
 * To rule out deadlocks, whoever holds bytes must be able to give them back without being granted more, and without
 * the caller's doing anything: that is why bytes that wait for a reader are only ever asked for with {@link tryTake}.
 * (A part that is being filled waits for its source, which `idleTimeoutMs` limits.)
 */
export class MemoryBudget {
  readonly #maxBytes: number;
  #heldBytes = 0;
  /** Those of them that {@link tryTake} has granted, and that only a reader may ever give back. */
  #aheadBytes = 0;
  readonly #heldBy = new Map<object, number>();
  readonly #waiting: Waiting[] = [];
  /** Memory that was given back: besides what is held, and no more than the budget has left. Oldest first. */
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of memory that was given back and is kept for others. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Bytes that are held now. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether somebody waits for bytes. */
  get isShort(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * Waits for bytes.
   *
   * @param transfer stands for the transfer that will hold them
   * @param memoryBytes memory of exactly this size comes with them, if somebody has given it back
   * @throws the signal's reason when it aborts before they are granted
   */
  async take(transfer: object, bytes: number, signal: AbortSignal, memoryBytes = 0): Promise<Lease> {
    signal.throwIfAborted();
    const atOnce = this.takeNow(transfer, bytes, memoryBytes);
    if (atOnce) return atOnce;
    let hold: Lease | undefined;
    const waiting = { transfer, bytes, memoryBytes, grant: () => undefined as undefined };
    const granted = new Promise<Lease>((resolve) => {
      waiting.grant = () => {
        hold = this.#hold(waiting);
        return void resolve(hold);
      };
    });
    this.#waiting.push(waiting);
    try {
      return await untilAborted(signal, granted);
    } catch (error) {
      const place = this.#waiting.indexOf(waiting);
      if (place >= 0) this.#waiting.splice(place, 1);
      hold?.release(hold.memory);
      this.#serve();
      throw error;
    }
  }

  /** Bytes, if they are there and nobody waits. */
  takeNow(transfer: object, bytes: number, memoryBytes = 0): Lease | undefined {
    const isFree = this.#waiting.length === 0 && this.#fits(bytes);
    return isFree ? this.#hold({ transfer, bytes, memoryBytes }) : undefined;
  }

  /** Bytes for reading ahead, if they are there: at most half of all is given out so, and none while others wait. */
  tryTake(transfer: object, bytes: number): Lease | undefined {
    if (this.#aheadBytes + bytes > this.#maxBytes / 2 || this.#heldBytes + bytes > this.#maxBytes) {
      return undefined;
    }
    if (this.#waiting.length > 0) return undefined;
    return this.#hold({ transfer, bytes, memoryBytes: 0, isAhead: true });
  }

  /** Lets go of memory that was given back, unless others may want it: to be called at the end of a transfer. */
  letGo(): void {
    if (this.#heldBytes > this.#aheadBytes || this.#waiting.length > 0) return;
    this.#kept.length = 0;
    this.#keptBytes = 0;
  }

  /** What readers hold is no reason to wait for more than is left: they may never give it back. */
  #fits(bytes: number): boolean {
    return this.#heldBytes === this.#aheadBytes || this.#heldBytes + bytes <= this.#maxBytes;
  }

  #hold({ transfer, bytes, memoryBytes, isAhead = false }: Wish): Lease {
    const add = (more: number) => {
      this.#heldBytes += more;
      if (isAhead) this.#aheadBytes += more;
      const held = (this.#heldBy.get(transfer) ?? 0) + more;
      if (held > 0) this.#heldBy.set(transfer, held);
      else this.#heldBy.delete(transfer);
    };
    const holdOf = (granted: number, memory?: Buffer): Lease => {
      let left = granted;
      let own = memory;
      const release = (unread?: Buffer) => {
        if (left === 0) return;
        add(-left);
        left = 0;
        // Whoever still has the hold must not keep its memory alive.
        own = undefined;
        this.#keep(unread);
        this.#serve();
      };
      const split = (part: number) => {
        left -= part;
        return holdOf(part);
      };
      return {
        get bytes() {
          return left;
        },
        get memory() {
          return own;
        },
        release,
        split,
      };
    };
    const memory = this.#reuse(memoryBytes);
    add(bytes);
    this.#trim();
    return holdOf(bytes, memory);
  }

  #reuse(bytes: number): Buffer | undefined {
    const place = this.#kept.findIndex(({ length }) => length === bytes);
    const [memory] = place >= 0 ? this.#kept.splice(place, 1) : [];
    this.#keptBytes -= memory?.length ?? 0;
    return memory;
  }

  #keep(memory: Buffer | undefined): void {
    if (!memory) return;
    this.#kept.push(memory);
    this.#keptBytes += memory.length;
    this.#trim();
  }

  /** Keeps memory only where there is room for it. */
  #trim(): void {
    while (this.#keptBytes > Math.max(this.#maxBytes - this.#heldBytes, 0))
      this.#keptBytes -= this.#kept.shift()?.length ?? 0;
  }

  #serve(): void {
    for (let next = this.#next(); next && this.#fits(next.bytes); next = this.#next()) {
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      next.grant();
    }
  }

  #next(): Waiting | undefined {
    const held = ({ transfer }: Waiting) => this.#heldBy.get(transfer) ?? 0;
    let least = this.#waiting[0];
    for (const waiting of this.#waiting) if (least && held(waiting) < held(least)) least = waiting;
    return least;
  }
}
