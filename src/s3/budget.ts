/** One budget of bytes for all transfers of a client, shared out fairly between them. */
import { untilAborted } from "./transfer-signal.js";

/** Bytes that a transfer may hold. */
export interface Hold {
  /** How many. */
  readonly bytes: number;
  /** Gives them back; does nothing the second time. */
  readonly release: () => void;
  /** Makes two holds of one: returns one of so many bytes, and leaves the rest in this. */
  readonly split: (bytes: number) => Hold;
}

interface Waiting {
  readonly transfer: object;
  readonly bytes: number;
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
export class ByteBudget {
  readonly #maxBytes: number;
  #heldBytes = 0;
  /** Those of them that {@link tryTake} has granted, and that only a reader may ever give back. */
  #aheadBytes = 0;
  readonly #heldBy = new Map<object, number>();
  readonly #waiting: Waiting[] = [];
  readonly #spares = new Set<() => void>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
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
   * @throws the signal's reason when it aborts before they are granted
   */
  async take(transfer: object, bytes: number, signal: AbortSignal): Promise<Hold> {
    signal.throwIfAborted();
    const atOnce = this.takeNow(transfer, bytes);
    if (atOnce) return atOnce;
    let hold: Hold | undefined;
    const waiting = { transfer, bytes, grant: () => undefined as undefined };
    const granted = new Promise<Hold>((resolve) => {
      waiting.grant = () => {
        hold = this.#hold(transfer, bytes);
        return void resolve(hold);
      };
    });
    this.#waiting.push(waiting);
    for (const giveBack of [...this.#spares]) giveBack();
    try {
      return await untilAborted(signal, granted);
    } catch (error) {
      const place = this.#waiting.indexOf(waiting);
      if (place >= 0) this.#waiting.splice(place, 1);
      hold?.release();
      this.#serve();
      throw error;
    }
  }

  /** Bytes, if they are there and nobody waits. */
  takeNow(transfer: object, bytes: number): Hold | undefined {
    return this.#waiting.length === 0 && this.#fits(bytes) ? this.#hold(transfer, bytes) : undefined;
  }

  /** Bytes for reading ahead, if they are there: at most half of all is given out so, and none while others wait. */
  tryTake(transfer: object, bytes: number): Hold | undefined {
    if (this.#aheadBytes + bytes > this.#maxBytes / 2 || this.#heldBytes + bytes > this.#maxBytes) {
      return undefined;
    }
    if (this.#waiting.length > 0) return undefined;
    return this.#hold(transfer, bytes, true);
  }

  /**
   * Has `giveBack` called once somebody has to wait, for bytes that are held in case they are needed again.
   *
   * @returns what forgets that
   */
  onShort(giveBack: () => void): () => void {
    const once = () => {
      this.#spares.delete(once);
      giveBack();
    };
    this.#spares.add(once);
    return () => void this.#spares.delete(once);
  }

  /** What readers hold is no reason to wait for more than is left: they may never give it back. */
  #fits(bytes: number): boolean {
    return this.#heldBytes === this.#aheadBytes || this.#heldBytes + bytes <= this.#maxBytes;
  }

  #hold(transfer: object, bytes: number, isAhead = false): Hold {
    const add = (more: number) => {
      this.#heldBytes += more;
      if (isAhead) this.#aheadBytes += more;
      const held = (this.#heldBy.get(transfer) ?? 0) + more;
      if (held > 0) this.#heldBy.set(transfer, held);
      else this.#heldBy.delete(transfer);
    };
    add(bytes);
    const holdOf = (granted: number): Hold => {
      let left = granted;
      const release = () => {
        if (left === 0) return;
        add(-left);
        left = 0;
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
        release,
        split,
      };
    };
    return holdOf(bytes);
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
