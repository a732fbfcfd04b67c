/** Tables and machines as text: for the terminal and for docs/performance/results.md. */
import type { Goal, Results, Row, Table } from "./results.js";

/** A number with three digits that matter. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** The date, version and machine of a run, in one line. */
export function formatMachine({ date, machine, node, openssl, commit, settings }: Results): string {
  const { cpu, cores, memoryGiB, platform } = machine;
  const quick = settings.quick === true ? ", --quick" : "";
  const day = date.slice(0, 10);
  return `${day}, Node ${node}, OpenSSL ${openssl}, ${cores} x ${cpu}, ${memoryGiB} GiB, ${platform}, commit ${commit}${quick}`;
}

/** A table for the terminal, ratios first. */
export function formatTable({ id, title, unit, better, rows }: Table): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  const lines = rows.flatMap((row) => [
    `  ${row.ratio.toFixed(2).padStart(6)}x  ${row.name.padEnd(width)}  ${figures(row, unit)}${note(row)}`,
    ...row.goals.map((goal) => `           -> ${formatGoal(goal)}`),
  ]);
  return [`[${id}] ${title} (${better} is better)`, ...lines, ""].join("\n");
}

/** A figure beside its aim. */
export function formatGoal({ name, value, unit, aim }: Goal): string {
  const figure = unit === "x" ? `${value.toFixed(2)}x` : `${formatNumber(value)} ${unit}`;
  return name === "itself" ? `${figure} (aim ${aim})` : `${figure} ${name} (aim ${aim})`;
}

/** A table for a document. */
export function markdownTable({ title, unit, better, rows }: Table): string {
  const lines = rows.map(
    (row) =>
      `| ${row.name}${note(row)} | ${row.ratio.toFixed(2)}x | ${formatNumber(row.median)} | ${formatNumber(row.min)} to ${formatNumber(row.max)} |`,
  );
  return [
    `**${title}** (${unit}, ${better} is better)`,
    "",
    "| | ratio | median | spread |",
    "|---|--:|--:|--:|",
    ...lines,
  ].join("\n");
}

/** The ratios of several tables of the same rows, a column for each table: how they go with size, or with concurrency. */
export function markdownRatios(title: string, columns: ReadonlyMap<string, Table>): string {
  const names = new Set([...columns.values()].flatMap(({ rows }) => rows.map(({ name }) => name)));
  const lines = [...names].map((name) => {
    const cells = [...columns.values()].map(({ rows }) => {
      const row = rows.find((one) => one.name === name);
      return row ? `${row.ratio.toFixed(2)}x` : "";
    });
    return `| ${name} | ${cells.join(" | ")} |`;
  });
  return [
    `**${title}**`,
    "",
    `| | ${[...columns.keys()].join(" | ")} |`,
    `|---|${"--:|".repeat(columns.size)}`,
    ...lines,
  ].join("\n");
}

/** Every figure that has an aim, a column for each file of results. */
export function markdownGoals(all: readonly Results[]): string {
  const columns = all.map(({ tables }) => new Map(tables.flatMap(goalsOf)));
  const heads = new Set(columns.flatMap((goals) => [...goals.keys()]));
  const lines = [...heads].map((head) => {
    const values = columns.map((goals) => goals.get(head) ?? "");
    return `| ${head} | ${values.join(" | ")} |`;
  });
  return [
    `| table | row | figure | aim | ${all.map(({ node }) => `Node ${node}`).join(" | ")} |`,
    `|---|---|---|--:|${"--:|".repeat(all.length)}`,
    ...lines,
  ].join("\n");
}

function goalsOf({ id, rows }: Table): (readonly [head: string, figure: string])[] {
  return rows.flatMap((row) =>
    row.goals.map(({ name, value, unit, aim }) => {
      const what = name === "itself" ? "median" : name;
      const figure = unit === "x" ? `${value.toFixed(2)}x` : `${formatNumber(value)} ${unit}`;
      return [`${id} | ${row.name} | ${what} | ${aim}`, figure] as const;
    }),
  );
}

function figures({ median, min, max }: Row, unit: string): string {
  return `${formatNumber(median)} ${unit} (${formatNumber(min)} to ${formatNumber(max)})`;
}

function note({ note: text }: Row): string {
  return text === undefined ? "" : ` [${text}]`;
}
