/** Sharing the event loop, in loops whose every step may be at hand at once. */

/** Work goes on for so long before others have their turn. */
const maxTurnMs = 4;

/** When the event loop last had its turn, as far as these loops know, and the wait for its next one. */
let start = performance.now();
let next: Promise<void> | undefined;

/**
 * The turn of all loops together: how long they have kept timers, signals and sockets waiting. A loop that has
 * just been resumed does one step at least, also when others have used up the turn.
 */
export const turn = {
  /** Whether it is time to give others their turn. */
  get isOver(): boolean {
    return performance.now() - start > maxTurnMs;
  },

  /** Gives others their turn. */
  give(): Promise<void> {
    next ??= new Promise<void>((resolve) => void setImmediate(resolve)).then(() => {
      start = performance.now();
      next = undefined;
    });
    return next;
  },
};
