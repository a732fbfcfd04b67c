/** Sharing the event loop, in loops whose every step may be at hand at once. */

/** Work goes on for so long before others have their turn. */
const maxTurnMs = 15;

/** The turn of one loop: how long it has kept timers, signals and sockets waiting. */
export class Turn {
  #start = performance.now();

  /** Whether it is time to give others their turn. */
  get isOver(): boolean {
    return performance.now() - this.#start > maxTurnMs;
  }

  /** Gives others their turn. */
  async give(): Promise<void> {
    await new Promise(setImmediate);
    this.#start = performance.now();
  }
}
