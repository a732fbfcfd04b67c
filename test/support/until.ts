/** Waiting for a condition, with a bound that only a hang reaches: how fast the machine is decides nothing. */
import { vi } from "vitest";

/** The result of the first call that does not throw. */
export function until<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 240_000, interval: 10 });
}
