/** What `npm test` runs of a large table of tests. `npm run test:slow` runs the whole table. */

/** Whether the slow tier is running, where a file `x.slow.ts` imports `x.test.ts` to run its tables whole. */
export const isSlowTier = process.env.TEST_TIER === "slow";

/** All items in the slow tier; else every `step`th, beginning with number `first % step`. */
export function everyNth<T>(items: readonly T[], step: number, first = 0): T[] {
  return items.filter((_, index) => isSlowTier || index % step === first % step);
}
