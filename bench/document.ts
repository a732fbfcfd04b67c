/** The part of docs/performance/results.md that is made from the results beside it. */
import { formatMachine, markdownGoals, markdownRatios, markdownTable } from "./report.js";
import type { Results, Table } from "./results.js";

const begin = "<!-- results -->";
const end = "<!-- /results -->";

/** Tables of the same rows, by a part of their names. */
const series = [
  { title: "encrypt", id: /^encrypt-(\d+)-(.iB|bytes)$/i, column: "$1 $2" },
  { title: "decrypt", id: /^decrypt-(\d+)-(.iB|bytes)$/i, column: "$1 $2" },
  { title: "64 encrypts", id: /^concurrent-(\d+)$/, column: "$1 at once" },
  { title: "event-loop delay (p99) of 64 encrypts", id: /^concurrent-(\d+)-delay$/, column: "$1 at once" },
  { title: "put and get of 1 KiB", id: /^small-puts-(\d+)$/, column: "$1 at once" },
];

function tablesBy(tables: readonly Table[], id: RegExp, column: string): ReadonlyMap<string, Table> {
  const matching = tables.filter((table) => id.test(table.id));
  return new Map(matching.map((table) => [table.id.replace(id, column), table]));
}

/**
 * Puts the results between the markers of a document: the runs, all figures that have aims, and of the first run how
 * ratios go with size and concurrency, and every table.
 *
 * @throws Error when a marker is missing, or there are no results
 */
export function withResults(document: string, all: readonly Results[]): string {
  const [first] = all;
  if (!first) throw new Error("there are no results to put in");
  const [start, stop] = [document.indexOf(begin), document.indexOf(end)];
  if (start < 0 || stop < start) throw new Error(`the document has no ${begin} and ${end}`);
  const parts = [
    ...all.map((results) => `- ${formatMachine(results)}`),
    "",
    "### Aims",
    "",
    markdownGoals(all),
    "",
    `### Ratios by size and by concurrency, Node ${first.node}`,
    "",
    ...series.flatMap(({ title, id, column }) => {
      const tables = tablesBy(first.tables, id, column);
      return tables.size > 1 ? [markdownRatios(title, tables), ""] : [];
    }),
    `### All tables, Node ${first.node}`,
    "",
    ...first.tables.flatMap((table) => [markdownTable(table), ""]),
  ];
  return `${document.slice(0, start)}${begin}\n\n${parts.join("\n")}\n${document.slice(stop)}`;
}
