/** Random numbers that a seed repeats. */

/** A generator of numbers from 0 to 1, by a 32-bit linear congruence: good enough for moments and choices. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
