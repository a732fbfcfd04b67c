/** Medians with their spread. */

/** A summary of samples. */
export interface Summary {
  /** In the order in which they were taken. */
  readonly samples: readonly number[];
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @throws RangeError when there is no sample, or one is no finite number */
export function summarize(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((left, right) => left - right);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new RangeError("samples: expected at least one");
  if (!samples.every(Number.isFinite)) throw new RangeError("samples: expected finite numbers");
  return { samples, median: percentile(sorted, 50), min, max };
}

/** A percentile of ascending numbers, between its two neighbours where it falls between them. */
export function percentile(sorted: readonly number[], percent: number): number {
  const place = ((sorted.length - 1) * percent) / 100;
  const below = sorted[Math.floor(place)];
  const above = sorted[Math.ceil(place)];
  if (below === undefined || above === undefined)
    throw new RangeError("sorted: expected at least one number");
  return below + (above - below) * (place - Math.floor(place));
}

/** Whether two spreads have a number in common. */
export function overlap(left: Summary, right: Summary): boolean {
  return left.min <= right.max && right.min <= left.max;
}
