import { expect, it } from "vitest";
import { turn } from "../../src/base/event-loop.js";
import { countTurns } from "../support/turns.js";

async function loop(steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) if (turn.isOver) await turn.give();
}

// On the clock of countTurns, a loop looks at the time five times in each of its turns.
it.each([1, 2, 10])(
  "%i loops beside each other give the event loop a turn after each of theirs",
  async (loops) => {
    const { turns } = await countTurns(() => Promise.all(Array.from({ length: loops }, () => loop(2_000))));
    expect(turns).toBeGreaterThan((loops * 2_000) / 10);
  },
);
