/** The file of results: its types, and the check of a file that comes from outside. */
import type { Summary } from "./statistics.js";

/** Changes whenever an older reader would misread a file. */
export const schemaVersion = 1;

/** A figure that has an aim. It is printed beside the aim, and never asserted. */
export interface Goal {
  /** The meaning of the figure, for instance the row that a ratio refers to. */
  readonly name: string;
  readonly value: number;
  /** "x" for a ratio. */
  readonly unit: string;
  /** For instance ">= 0.8x". */
  readonly aim: string;
}

/** One way to do the work of a table. */
export interface Row extends Summary {
  readonly name: string;
  /** The median as a ratio to that of the table's first row. */
  readonly ratio: number;
  readonly goals: readonly Goal[];
  /** The peculiarity of this row, for instance fewer bytes. */
  readonly note?: string;
}

/** Rows that were measured in turn, in one run. */
export interface Table {
  /** Names the table from run to run. */
  readonly id: string;
  readonly title: string;
  /** The unit of the samples. */
  readonly unit: string;
  readonly better: "higher" | "lower";
  readonly rows: readonly Row[];
}

/** The date, version and machine of a run. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  /** Operating system and architecture. */
  readonly platform: string;
}

/** Everything about one run. */
export interface Results {
  readonly schema: typeof schemaVersion;
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly machine: Machine;
  readonly node: string;
  readonly openssl: string;
  /** Of this project; "-dirty" when files differed from it, "unknown" without git. */
  readonly commit: string;
  /** Sizes, rounds and so on. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly tables: readonly Table[];
}

/**
 * Reads a file of results.
 *
 * @throws Error that names the first invalid field
 */
export function parseResults(json: string): Results {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new Error("it is not JSON", { cause });
  }
  const results = record("the file", value);
  if (results.schema !== schemaVersion) {
    throw new Error(`schema: expected ${schemaVersion}, got ${JSON.stringify(results.schema)}`);
  }
  const machine = record("machine", results.machine);
  return {
    schema: schemaVersion,
    date: text("date", results.date),
    machine: {
      cpu: text("machine.cpu", machine.cpu),
      cores: finite("machine.cores", machine.cores),
      memoryGiB: finite("machine.memoryGiB", machine.memoryGiB),
      platform: text("machine.platform", machine.platform),
    },
    node: text("node", results.node),
    openssl: text("openssl", results.openssl),
    commit: text("commit", results.commit),
    settings: settings(results.settings),
    tables: list("tables", results.tables, table),
  };
}

function table(title: string, value: unknown): Table {
  const { better, ...given } = record(title, value);
  if (better !== "higher" && better !== "lower") {
    throw new Error(`${title}.better: expected "higher" or "lower", got ${JSON.stringify(better)}`);
  }
  return {
    id: text(`${title}.id`, given.id),
    title: text(`${title}.title`, given.title),
    unit: text(`${title}.unit`, given.unit),
    better,
    rows: list(`${title}.rows`, given.rows, row),
  };
}

function row(title: string, value: unknown): Row {
  const { note, ...given } = record(title, value);
  return {
    name: text(`${title}.name`, given.name),
    samples: list(`${title}.samples`, given.samples, finite),
    median: finite(`${title}.median`, given.median),
    min: finite(`${title}.min`, given.min),
    max: finite(`${title}.max`, given.max),
    ratio: finite(`${title}.ratio`, given.ratio),
    goals: list(`${title}.goals`, given.goals, goal),
    ...(note === undefined ? {} : { note: text(`${title}.note`, note) }),
  };
}

function goal(title: string, value: unknown): Goal {
  const given = record(title, value);
  return {
    name: text(`${title}.name`, given.name),
    value: finite(`${title}.value`, given.value),
    unit: text(`${title}.unit`, given.unit),
    aim: text(`${title}.aim`, given.aim),
  };
}

function settings(value: unknown): Results["settings"] {
  const entries = Object.entries(record("settings", value)).map(([name, setting]) => {
    if (typeof setting === "string" || typeof setting === "number" || typeof setting === "boolean")
      return [name, setting] as const;
    throw new Error(`settings.${name}: expected a string, a number or a boolean`);
  });
  return Object.fromEntries(entries);
}

function record(title: string, value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new Error(`${title}: expected an object`);
}

function list<T>(title: string, value: unknown, item: (title: string, value: unknown) => T): T[] {
  if (!Array.isArray(value)) throw new Error(`${title}: expected an array`);
  return value.map((one, index) => item(`${title}[${index}]`, one));
}

function text(title: string, value: unknown): string {
  if (typeof value === "string") return value;
  throw new Error(`${title}: expected a string`);
}

function finite(title: string, value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new Error(`${title}: expected a number`);
}
