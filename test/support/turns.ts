/** Counts the turns of the event loop during an operation, on a simulated clock, so that the speed of the machine has no effect. */

import { vi } from "vitest";

/** Runs `act` while each call of `performance.now` returns one millisecond more. */
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
