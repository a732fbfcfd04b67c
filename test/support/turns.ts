/** Counts how often the event loop has its turn during an act, on a clock of its own: however fast the machine is. */

import { vi } from "vitest";

/** Runs `act` while each look at `performance.now` finds that another millisecond has passed. */
export async function countTurns<T>(act: () => Promise<T>): Promise<{ turns: number; result: T }> {
  let now = performance.now();
  const clock = vi.spyOn(performance, "now").mockImplementation(() => ++now);
  let turns = 0;
  let timer = setImmediate(function count() {
    turns += 1;
    timer = setImmediate(count);
  });
  try {
    const result = await act();
    return { turns, result };
  } finally {
    clearImmediate(timer);
    clock.mockRestore();
  }
}
