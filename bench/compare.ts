/** Two files of results side by side. */
import { formatMachine, formatNumber } from "./report.js";
import type { Results, Row, Table } from "./results.js";
import { overlap } from "./statistics.js";

/**
 * Every row of both, with the old median, the new one and the ratio new to old. A row whose spreads have nothing in
 * common is marked, since noise alone does not explain it.
 */
export function compareResults(before: Results, after: Results): string {
  const lines = [
    `old: ${formatMachine(before)}`,
    `new: ${formatMachine(after)}`,
    ...differences(before, after),
    "",
  ];
  const old = new Map(before.tables.map((table) => [table.id, table]));
  for (const table of after.tables) {
    const other = old.get(table.id);
    if (other) lines.push(...compareTables(other, table));
    else lines.push(`[${table.id}] only in the new file`, "");
    old.delete(table.id);
  }
  for (const id of old.keys()) lines.push(`[${id}] only in the old file`, "");
  return lines.join("\n");
}

function differences(before: Results, after: Results): string[] {
  const facts = (results: Results) => ({
    machines: Object.values(results.machine).join(", "),
    "Node versions": results.node,
    "OpenSSL versions": results.openssl,
    settings: JSON.stringify(results.settings),
  });
  const [left, right] = [Object.entries(facts(before)), Object.values(facts(after))];
  return left.flatMap(([name, value], index) =>
    value === right[index] ? [] : [`The ${name} differ: ${value} and ${right[index]}`],
  );
}

function compareTables(before: Table, after: Table): string[] {
  const head = `[${after.id}] ${after.title} (${after.better} is better)`;
  if (before.unit !== after.unit) return [head, `  units differ: ${before.unit} and ${after.unit}`, ""];
  const width = Math.max(...[...before.rows, ...after.rows].map(({ name }) => name.length));
  const old = new Map(before.rows.map((row) => [row.name, row]));
  const lines = after.rows.map((row) => {
    const other = old.get(row.name);
    old.delete(row.name);
    const name = row.name.padEnd(width);
    if (!other) return `     new   ${name}  ${formatNumber(row.median)} ${after.unit}`;
    const figures = `${formatNumber(other.median)} -> ${formatNumber(row.median)} ${after.unit}`;
    const ratio = other.median === 0 ? "-" : `${(row.median / other.median).toFixed(2)}x`;
    return `  ${ratio.padStart(7)}  ${name}  ${figures}${verdict(other, row, after.better)}`;
  });
  const gone = [...old.keys()].map((name) => `    gone   ${name}`);
  return [head, ...lines, ...gone, ""];
}

function verdict(before: Row, after: Row, better: Table["better"]): string {
  if (overlap(before, after)) return "";
  const improved = after.median > before.median === (better === "higher");
  return improved ? "  BETTER: spreads do not overlap" : "  WORSE: spreads do not overlap";
}
