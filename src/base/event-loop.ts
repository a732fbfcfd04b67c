/** Sharing the event loop, in loops whose every step may be at hand at once. */

/** Work goes on for so long before others have their turn. */
const maxTurnMs = 4;

/** When these loops began to work since the event loop last had its turn. */
let start = 0;
let hasBegun = false;
/** Loops that have given up their turn, in their order. */
const waiting: (() => void)[] = [];
/** Whether `resume` is scheduled or runs. One at a time: two of them would give one loop two turns in a row. */
let isResuming = false;

function begin(): void {
  if (hasBegun) return;
  hasBegun = true;
  start = performance.now();
  setImmediate(() => {
    hasBegun = false;
  });
}

/** One after the other goes on, as long as their common turn lasts. */
async function resume(): Promise<void> {
  hasBegun = true;
  start = performance.now();
  for (let next = waiting.shift(); next; next = turn.isOver ? undefined : waiting.shift()) {
    next();
    // What was resumed does its step before this goes on.
    await undefined;
  }
  hasBegun = false;
  isResuming = waiting.length > 0;
  if (isResuming) setImmediate(resume);
}

/** The turn of all loops together: how long they have kept timers, signals and sockets waiting. */
export const turn = {
  /** Whether it is time to give others their turn. */
  get isOver(): boolean {
    begin();
    return performance.now() - start > maxTurnMs;
  },

  /** Gives others their turn, and resolves when it is this loop's again: for one step at least. */
  give(): Promise<void> {
    return new Promise((resolve) => {
      waiting.push(resolve);
      if (isResuming) return;
      isResuming = true;
      setImmediate(resume);
    });
  },
};
