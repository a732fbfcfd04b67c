/** Waits for conditions. The time limits are so long that only a hang reaches them. */
import { vi } from "vitest";

/** Repeats a check until it does not throw, and returns its result. */
export function until<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 240_000, interval: 10 });
}

/**
 * Waits until a number has not changed for many turns of the event loop, for tests that something stops. Returning
 * too early weakens such a test and never makes it fail.
 */
export async function steady(count: () => number): Promise<number> {
  for (let before = count(), turns = 0; ; turns++) {
    await new Promise(setImmediate);
    if (count() !== before) turns = 0;
    if (turns === 200) return before;
    before = count();
  }
}
