/** Timing: interleaved rounds, medians with spread, ratios to the first case. */

/** One way to do the same work. */
export interface Case {
  readonly name: string;
  run(): Promise<unknown>;
}

/** The rates of one case. */
export interface Result {
  readonly name: string;
  /** Bytes a second, one for each round, ascending. */
  readonly rates: readonly number[];
}

/** Runs all cases in turn, so that a noisy moment hits all of them. Each run does `bytes`. */
export async function measure(rounds: number, bytes: number, cases: readonly Case[]): Promise<Result[]> {
  const results = cases.map(({ name }) => ({ name, rates: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const [index, { run }] of cases.entries()) {
      const start = performance.now();
      await run();
      results[index]?.rates.push((bytes / (performance.now() - start)) * 1000);
    }
  }
  for (const { rates } of results) rates.sort((left, right) => left - right);
  return results;
}

/** Prints ratios of medians to the first case, then the medians and the spread. */
export function report(results: readonly Result[]): void {
  const median = ({ rates }: Result) => rates[Math.floor(rates.length / 2)] ?? 0;
  const base = results[0] ? median(results[0]) : 0;
  for (const result of results) {
    const spread = [median(result), result.rates[0] ?? 0, result.rates.at(-1) ?? 0];
    const [middle, least, most] = spread.map((rate) => (rate / 1e9).toFixed(2));
    const ratio = (median(result) / base).toFixed(2);
    console.log(`  ${ratio}x  ${result.name.padEnd(38)} ${middle} GB/s (${least} to ${most})`);
  }
  console.log();
}
