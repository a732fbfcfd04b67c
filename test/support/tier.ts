/** What `npm test` runs of a large table of tests, and `npm run test:slow` runs whole. */

/** Whether the slow tier is running. A file `x.slow.ts` that imports `x.test.ts` runs its tests whole. */
export const isSlowTier = process.env.TEST_TIER === "slow";

/** All pairs in the slow tier; else as few as have each row and each column at least once. */
export function pairs<R, C>(rows: readonly R[], columns: readonly C[]): [R, C][] {
  const all = rows.flatMap((row) => columns.map((column): [R, C] => [row, column]));
  if (isSlowTier) return all;
  const longest = Math.max(rows.length, columns.length);
  // The cells of a diagonal that begins anew at each edge.
  return all.filter((_, index) => {
    const row = Math.floor(index / columns.length);
    const column = index % columns.length;
    return rows.length >= columns.length
      ? column === row % columns.length
      : row === column % rows.length && column < longest;
  });
}

/** All in the slow tier; else each `step`th, beginning with the first. */
export function everyNth<T>(rows: readonly T[], step: number): readonly T[] {
  return isSlowTier ? rows : rows.filter((_, index) => index % step === 0);
}
