/** Interleaved rounds, and tables of their results. */
import type { Goal, Row, Table } from "./results.js";
import { type Summary, summarize } from "./statistics.js";

/** One way to do the same work. */
export interface Case<T = number> {
  readonly name: string;
  /** The number of rounds that it takes part in; all by default. */
  readonly rounds?: number;
  /** Does the work once and returns the measurement. */
  run(): Promise<T>;
}

/**
 * Runs all cases in turn, so that a noisy moment hits all of them; every other round backwards, so that a case does
 * not always pay for the garbage of the same other one.
 */
export async function interleave<T>(rounds: number, cases: readonly Case<T>[]): Promise<T[][]> {
  const samples = cases.map((): T[] => []);
  for (let round = 0; round < rounds; round++) {
    const order = [...cases.entries()].filter(([, { rounds: most = rounds }]) => round < most);
    if (round % 2 === 1) order.reverse();
    for (const [index, { run }] of order) samples[index]?.push(await run());
  }
  return samples;
}

/** Interleaved rounds: the samples of each case, beside its name. */
export async function measure<T>(
  rounds: number,
  cases: readonly Case<T>[],
): Promise<{ readonly name: string; readonly samples: readonly T[] }[]> {
  const samples = await interleave(rounds, cases);
  return cases.map(({ name }, index) => ({ name, samples: samples[index] ?? [] }));
}

/** Does work and returns its rate per second. */
export async function rateOf(work: number, run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return (work / (performance.now() - start)) * 1000;
}

/** An aim for a row: for its ratio to another row, for its difference from one, or for itself. */
export type Aim =
  | { readonly kind: "ratio" | "difference"; readonly to: string; readonly aim: string }
  | { readonly kind: "itself"; readonly aim: string };

/** The samples of a row to be. */
export interface Series {
  readonly name: string;
  readonly samples: readonly number[];
  readonly note?: string | undefined;
  readonly aims?: readonly Aim[] | undefined;
}

/** Makes a table; the first series is the one that ratios refer to. Aims against a row that is not there are left out. */
export function tableOf(head: Omit<Table, "rows">, series: readonly Series[]): Table {
  const summaries = new Map(series.map(({ name, samples }) => [name, summarize(samples)]));
  const base = summarize(series[0]?.samples ?? []);
  const rows = series.map(({ name, samples, note, aims = [] }): Row => {
    const summary = summarize(samples);
    const goals = aims.flatMap((aim) => goalOf(aim, summary, summaries, head.unit));
    const ratio = base.median === 0 ? 1 : summary.median / base.median;
    return { name, ...summary, ratio, goals, ...(note === undefined ? {} : { note }) };
  });
  return { ...head, rows };
}

function goalOf(aim: Aim, summary: Summary, all: ReadonlyMap<string, Summary>, unit: string): Goal[] {
  if (aim.kind === "itself") return [{ name: "itself", value: summary.median, unit, aim: aim.aim }];
  const other = all.get(aim.to);
  if (!other) return [];
  return aim.kind === "ratio"
    ? [{ name: `of ${aim.to}`, value: summary.median / other.median, unit: "x", aim: aim.aim }]
    : [{ name: `above ${aim.to}`, value: summary.median - other.median, unit, aim: aim.aim }];
}
