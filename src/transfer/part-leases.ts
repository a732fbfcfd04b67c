/** What one put holds of the client's budget: the parts being filled or sent, and what is read ahead for them. */
import type { CallControl } from "./call.js";
import type { Lease, MemoryBudget } from "./memory-budget.js";

/**
 * Takes a share before each part. What is read ahead for the part being filled comes with the first, and goes back
 * whenever the next part has to wait: whoever waits must hold nothing but what goes back by itself.
 */
export class PartLeases {
  readonly #budget: MemoryBudget;
  readonly #call: Pick<CallControl, "signal">;
  readonly #aheadBytes: number;
  /** For reading ahead. */
  #ahead: Lease | undefined;

  /** @param aheadBytes what reading ahead takes besides the parts */
  constructor(budget: MemoryBudget, call: Pick<CallControl, "signal">, aheadBytes: number) {
    this.#budget = budget;
    this.#call = call;
    this.#aheadBytes = aheadBytes;
  }

  /** The right to hold a part of so many bytes, if it is there; to be released once its request is over. */
  now(bytes: number): Lease | undefined {
    return this.#ahead && this.#budget.tryAcquire(this.#call, bytes, bytes);
  }

  /** Waits for the same; nothing may have been read ahead. Rejects with the signal's reason. */
  async wait(bytes: number): Promise<Lease> {
    this.#ahead?.release();
    this.#ahead = undefined;
    const lease = await this.#budget.acquire(this.#call, bytes + this.#aheadBytes, this.#call.signal, bytes);
    this.#ahead = lease.split(this.#aheadBytes);
    return lease;
  }

  /** Gives all of it back. Nothing may be taken any more. */
  close(): void {
    this.#budget.releaseAll(this.#call);
  }
}
