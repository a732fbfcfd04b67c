import { expect, it } from "vitest";
import { shouldYield, yieldToEventLoop } from "../../src/base/event-loop.js";
import { countTurns } from "../support/turns.js";

async function loop(steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) if (shouldYield()) await yieldToEventLoop();
}

// On the clock of countTurns, a loop reads the time five times before it yields.
it.each([1, 2, 10])(
  "%i loops that yield let other callbacks of the event loop run each time",
  async (loops) => {
    const { turns } = await countTurns(() => Promise.all(Array.from({ length: loops }, () => loop(2_000))));
    expect(turns).toBeGreaterThan((loops * 2_000) / 10);
  },
);
