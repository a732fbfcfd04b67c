/** What one put holds of the client's budget: the parts being filled or sent, and what is read ahead for them. */
import type { Lease, MemoryBudget } from "./memory-budget.js";

/**
 * Takes a share before each part. What is read ahead for the part being filled comes with the first, and goes back
 * whenever the next part has to wait: whoever waits must hold nothing but what goes back by itself.
 */
export class PartLeases {
  readonly #budget: MemoryBudget;
  readonly #signal: AbortSignal;
  readonly #aheadBytes: number;
  /** For reading ahead. */
  #ahead: Lease | undefined;
  readonly #holds = new Set<Lease>();

  /** @param aheadBytes what reading ahead takes besides the parts */
  constructor(budget: MemoryBudget, signal: AbortSignal, aheadBytes: number) {
    this.#budget = budget;
    this.#signal = signal;
    this.#aheadBytes = aheadBytes;
  }

  /** The right to hold a part of so many bytes, if it is there; to be released once its request is over. */
  now(bytes: number): Lease | undefined {
    const hold = this.#ahead && this.#budget.takeNow(this, bytes, bytes);
    return hold && this.#note(hold);
  }

  /** Waits for the same; nothing may have been read ahead. Rejects with the signal's reason. */
  async wait(bytes: number): Promise<Lease> {
    this.#ahead?.release();
    this.#ahead = undefined;
    const hold = await this.#budget.take(this, bytes + this.#aheadBytes, this.#signal, bytes);
    this.#ahead = hold.split(this.#aheadBytes);
    return this.#note(hold);
  }

  /** Gives a part's share back, with its memory if nobody can read that any more. */
  release(hold: Lease, unread: Buffer | undefined): void {
    this.#holds.delete(hold);
    hold.release(unread);
  }

  /** Gives all of it back. Nothing may be taken any more. */
  close(): void {
    this.#ahead?.release();
    for (const hold of this.#holds) hold.release();
    this.#budget.letGo();
  }

  #note(hold: Lease): Lease {
    this.#holds.add(hold);
    return hold;
  }
}
