/** Waiting in a loop for state of an object that other callbacks change. */

/** Wakes whoever waits for something to become true. Who waits checks that by itself, before and after each wait. */
export class Condition {
  readonly #callbacks = new Set<() => void>();

  /** Resolves at the next {@link notify}. */
  wait(): Promise<void> {
    return new Promise((resolve) => void this.once(resolve));
  }

  /**
   * Calls back at the next {@link notify}.
   *
   * @returns a function that cancels the callback
   */
  once(callback: () => void): () => void {
    // A function of its own for each call: the same callback may wait twice.
    const entry = () => callback();
    this.#callbacks.add(entry);
    return () => void this.#callbacks.delete(entry);
  }

  /** Wakes all who wait now. */
  notify(): void {
    const callbacks = [...this.#callbacks];
    this.#callbacks.clear();
    for (const callback of callbacks) callback();
  }
}
