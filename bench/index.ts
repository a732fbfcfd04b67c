/** `npm run bench`: tables of ratios, measured side by side in one run, as text, JSON and a chart. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { chart } from "./chart.js";
import { describeRun } from "./machine.js";
import { formatMachine, formatTable } from "./report.js";
import type { Results, Table } from "./results.js";

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"; // also of the processes started here
const { defaultSuites, suites } = await import("./suites.js");

const usage = `npm run bench -- [options]

  --quick        smaller and fewer: under a minute
  --only <name>  of ${Object.keys(suites).join(", ")}; may be given again
  --json <file>  where the results go; bench/results/<time>-node<version>.json by default
  --svg <file>   where the chart goes; beside the results by default
  --help         this text`;

const { quick, only, json, svg, help } = options();
if (help) console.log(usage);
else await run();

async function run(): Promise<void> {
  const start = performance.now();
  const about = describeRun({ quick, only: only.join(",") });
  console.log(`${formatMachine({ ...about, tables: [] })}\n`);
  const tables: Table[] = [];
  for (const name of only) {
    const begin = performance.now();
    await suites[name]?.(quick, (table) => {
      tables.push(table);
      console.log(formatTable(table));
    });
    console.log(`(${name}: ${secondsSince(begin)} s)\n`);
  }
  const results: Results = { ...about, tables };
  const time = about.date.slice(0, 19).replaceAll(":", "");
  const jsonFile = json ?? `bench/results/${time}-node${about.node}.json`;
  const svgFile = svg ?? jsonFile.replace(/(\.json)?$/, ".svg");
  write(jsonFile, `${JSON.stringify(results, null, 1)}\n`);
  write(svgFile, chart(results));
  console.log(`${secondsSince(start)} s; written: ${jsonFile}, ${svgFile}`);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        only: { type: "string", multiple: true, default: [] as string[] },
        json: { type: "string" },
        svg: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    const unknown = values.only.find((name) => !(name in suites));
    if (unknown !== undefined) throw new Error(`--only: there is no "${unknown}"`);
    return { ...values, only: values.only.length > 0 ? values.only : defaultSuites(values.quick) };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    process.exit(1);
  }
}

function secondsSince(start: number): string {
  return ((performance.now() - start) / 1000).toFixed(0);
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
