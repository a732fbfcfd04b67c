/** Records of buckets, objects, uploads and parts in a directory. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The kinds of records, one folder each. */
export const recordKinds = ["buckets", "versions", "uploads", "parts"] as const;
/** One of {@link recordKinds}. */
export type RecordKind = (typeof recordKinds)[number];

/** Stores records, or ignores them. It is synchronous, so that no request sees half a change. */
export interface Records {
  /** Writes or replaces a record: afterwards it is complete, or as it was. */
  save(kind: RecordKind, name: string, record: object): void;
  remove(kind: RecordKind, name: string): void;
  /** All records of a kind. */
  load(kind: RecordKind): readonly unknown[];
}

/** Ignores records. */
export const noRecords: Records = { save: () => undefined, remove: () => undefined, load: () => [] };

/**
 * Records as JSON files. Each is written under another name and renamed, so a process that dies leaves no
 * partial record. Nothing is flushed, so a loss of power can.
 */
export class RecordFiles implements Records {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    for (const kind of recordKinds) mkdirSync(join(directory, kind), { recursive: true, mode: 0o700 });
  }

  save(kind: RecordKind, name: string, record: object): void {
    const path = this.#path(kind, name);
    writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  remove(kind: RecordKind, name: string): void {
    rmSync(this.#path(kind, name), { force: true });
  }

  load(kind: RecordKind): unknown[] {
    const folder = join(this.#directory, kind);
    const records: unknown[] = [];
    for (const file of readdirSync(folder)) {
      const path = join(folder, file);
      if (file.endsWith(".json")) records.push(JSON.parse(readFileSync(path, "utf8")));
      else if (file.endsWith(".json.new")) rmSync(path, { force: true });
    }
    return records;
  }

  #path(kind: RecordKind, name: string): string {
    return join(this.#directory, kind, `${name}.json`);
  }
}
