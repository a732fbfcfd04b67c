/** One budget of bytes for all transfers of a client, shared out fairly between them. */
import { untilAborted } from "./transfer-signal.js";

/** Bytes that a transfer may hold. */
export interface Hold {
  /** How many. */
  readonly bytes: number;
  /** Gives them back; does nothing the second time. */
  readonly release: () => void;
}

interface Waiting {
  readonly transfer: object;
  readonly bytes: number;
  readonly grant: () => void;
}

/**
 * Shares out bytes. Whoever waits goes in the order of what their transfers hold, least first, then in the order of
 * coming; nobody overtakes another whose turn it is. More than there is at all is granted once nothing is held.
 *
 * To rule out deadlocks, whoever holds bytes must be able to give them back without being granted more, and without
 * the caller's doing anything: that is why bytes that wait for a reader are only ever asked for with {@link tryTake}.
 */
export class ByteBudget {
  readonly #maxBytes: number;
  #heldBytes = 0;
  /** What was granted by {@link tryTake}. */
  #spareBytes = 0;
  readonly #heldBy = new Map<object, number>();
  readonly #waiting: Waiting[] = [];

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that are held now. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Waits for bytes.
   *
   * @param transfer stands for the transfer that will hold them
   * @throws the signal's reason when it aborts before they are granted
   */
  async take(transfer: object, bytes: number, signal: AbortSignal): Promise<Hold> {
    signal.throwIfAborted();
    if (this.#waiting.length === 0 && this.#fits(bytes)) return this.#hold(transfer, bytes);
    let hold: Hold | undefined;
    let waiting: Waiting | undefined;
    const granted = new Promise<void>((resolve) => {
      const grant = () => {
        hold = this.#hold(transfer, bytes);
        resolve();
      };
      waiting = { transfer, bytes, grant };
      this.#waiting.push(waiting);
    });
    try {
      await untilAborted(signal, granted);
      if (hold) return hold;
      throw new Error("unreachable: it was granted");
    } catch (error) {
      const index = waiting ? this.#waiting.indexOf(waiting) : -1;
      if (index >= 0) this.#waiting.splice(index, 1);
      hold?.release();
      this.#serve();
      throw error;
    }
  }

  /** Bytes for reading ahead, if they are there: at most half of all is given out so, and none while others wait. */
  tryTake(transfer: object, bytes: number): Hold | undefined {
    const half = Math.floor(this.#maxBytes / 2);
    if (this.#waiting.length > 0 || this.#spareBytes + bytes > half || !this.#fits(bytes)) return undefined;
    this.#spareBytes += bytes;
    const hold = this.#hold(transfer, bytes);
    let held = true;
    const release = () => {
      if (held) this.#spareBytes -= bytes;
      held = false;
      hold.release();
    };
    return { bytes, release };
  }

  #fits(bytes: number): boolean {
    return this.#heldBytes === 0 || this.#heldBytes + bytes <= this.#maxBytes;
  }

  #hold(transfer: object, bytes: number): Hold {
    this.#heldBytes += bytes;
    this.#heldBy.set(transfer, (this.#heldBy.get(transfer) ?? 0) + bytes);
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      this.#heldBytes -= bytes;
      const left = (this.#heldBy.get(transfer) ?? 0) - bytes;
      if (left > 0) this.#heldBy.set(transfer, left);
      else this.#heldBy.delete(transfer);
      this.#serve();
    };
    return { bytes, release };
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
