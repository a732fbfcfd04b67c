/** What one put holds of the client's budget: the parts being filled or sent, and what is read ahead for them. */
import type { ByteBudget, Hold } from "./budget.js";

/** The right to hold one part. */
export interface PartShare {
  /** Memory of an earlier part of the same size, if there is some. */
  readonly memory: Buffer | undefined;
  /**
   * Gives it back, once. Memory that nobody can read any more may be kept for the next part: fresh memory for each
   * part would cost more than all else that is done with it here.
   */
  release(memory?: Buffer): void;
}

/**
 * Takes a share before each part. What is read ahead for the part being filled comes with the first, and goes back
 * whenever the next part has to wait: whoever waits must hold nothing but what goes back by itself.
 */
export class PartShares {
  readonly #budget: ByteBudget;
  readonly #signal: AbortSignal;
  readonly #aheadBytes: number;
  /** For reading ahead. */
  #ahead: Hold | undefined;
  readonly #holds = new Set<Hold>();
  /** Memory of parts that were released, each with the hold on it. */
  readonly #spares: { readonly hold: Hold; readonly memory: Buffer }[] = [];
  #forget: (() => void) | undefined;

  /** @param aheadBytes what reading ahead takes besides the parts */
  constructor(budget: ByteBudget, signal: AbortSignal, aheadBytes: number) {
    this.#budget = budget;
    this.#signal = signal;
    this.#aheadBytes = aheadBytes;
  }

  /** A share, if it is there. */
  now(bytes: number): PartShare | undefined {
    const spare = this.#spares.pop();
    if (spare?.memory.length === bytes) return this.#share(spare.hold, spare.memory);
    spare?.hold.release();
    this.#dropSpares();
    const hold = this.#ahead && this.#budget.takeNow(this, bytes);
    return hold && this.#share(hold);
  }

  /** Waits for a share; nothing may have been read ahead. Rejects with the signal's reason. */
  async wait(bytes: number): Promise<PartShare> {
    this.#dropSpares();
    this.#ahead?.release();
    this.#ahead = undefined;
    const hold = await this.#budget.take(this, bytes + this.#aheadBytes, this.#signal);
    this.#ahead = hold.split(this.#aheadBytes);
    return this.#share(hold);
  }

  /** Gives all of it back. Nothing may be taken any more. */
  close(): void {
    this.#dropSpares();
    this.#ahead?.release();
    for (const hold of this.#holds) hold.release();
    this.#holds.clear();
  }

  #share(hold: Hold, memory?: Buffer): PartShare {
    this.#holds.add(hold);
    const release = (unread?: Buffer) => {
      if (!this.#holds.delete(hold)) return;
      if (unread?.length !== hold.bytes || this.#budget.isShort) return hold.release();
      this.#spares.push({ hold, memory: unread });
      this.#forget ??= this.#budget.onShort(() => this.#dropSpares());
    };
    return { memory, release };
  }

  #dropSpares(): void {
    this.#forget?.();
    this.#forget = undefined;
    for (const { hold } of this.#spares.splice(0)) hold.release();
  }
}
