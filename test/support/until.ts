/** Waiting for a condition, with a bound that only a hang reaches: how fast the machine is decides nothing. */
import { vi } from "vitest";

/** The result of the first call that does not throw. */
export function until<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 240_000, interval: 10 });
}

/**
 * Waits until a number has not changed for many turns of the event loop, for tests that something does not go on. To
 * return too early weakens such a test and never makes it fail.
 */
export async function steady(count: () => number): Promise<number> {
  for (let before = count(), turns = 0; ; turns++) {
    await new Promise(setImmediate);
    if (count() !== before) turns = 0;
    if (turns === 200) return before;
    before = count();
  }
}
