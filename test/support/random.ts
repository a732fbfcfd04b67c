/** Random numbers that a seed determines. */

/** Returns a generator of numbers from 0 to 1, a 32-bit linear congruential generator. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
