/** The part of docs/performance.md that is made from the results in docs/performance. */
import { formatMachine, markdownGoals, markdownTable } from "./report.js";
import type { Results } from "./results.js";

const begin = "<!-- results -->";
const end = "<!-- /results -->";

/**
 * Puts the results between the markers of a document: the runs, all figures that have aims, and every table of the
 * first run.
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
    `### All tables, Node ${first.node}`,
    "",
    ...first.tables.flatMap((table) => [markdownTable(table), ""]),
  ];
  return `${document.slice(0, start)}${begin}\n\n${parts.join("\n")}\n${document.slice(stop)}`;
}
