import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { compareResults } from "../../bench/compare.js";
import { smallResults } from "./support.js";

const machine = "2026-11-24, Node 20.1.0, OpenSSL 3.0.1, 2 x A & B, 8 GiB, linux x64, commit abc";

describe("compareResults", () => {
  it("marks rows whose spreads have nothing in common", () => {
    expect(compareResults(smallResults(1), smallResults(1.5))).toBe(
      [
        `old: ${machine}`,
        `new: ${machine}`,
        "",
        "[encrypt-1-GiB] encrypt 1 GiB (higher is better)",
        "    1.00x  plain                  2.00 -> 2.00 GB/s",
        "    1.50x  pipeline, s3-envelope  1.00 -> 1.50 GB/s  BETTER: spreads do not overlap",
        "",
      ].join("\n"),
    );
    expect(compareResults(smallResults(1.5), smallResults(1))).toContain(
      "GB/s  WORSE: spreads do not overlap",
    );
    expect(compareResults(smallResults(1), smallResults(1.1))).not.toContain("overlap");
  });

  it("knows that less may be better", () => {
    const [before, after] = [smallResults(1), smallResults(1.5)].map((results) => ({
      ...results,
      tables: results.tables.map((table) => ({ ...table, better: "lower" as const })),
    }));
    if (!before || !after) throw new Error("two results");
    expect(compareResults(before, after)).toContain("WORSE");
  });

  it("tells what differs between the runs", () => {
    const text = compareResults(smallResults(1), {
      ...smallResults(1),
      node: "24.0.0",
      machine: { ...smallResults(1).machine, cores: 4 },
      settings: { quick: true },
    });
    expect(text).toContain("The machines differ: A & B, 2, 8, linux x64 and A & B, 4, 8, linux x64\n");
    expect(text).toContain("The Node versions differ: 20.1.0 and 24.0.0\n");
    expect(text).toContain('The settings differ: {"quick":false} and {"quick":true}\n');
    expect(text).not.toContain("OpenSSL versions");
  });

  it("tells of tables and rows that only one file has", () => {
    const results = smallResults(1);
    const [table] = results.tables;
    if (!table) throw new Error("a table");
    const fewer = { ...results, tables: [{ ...table, rows: table.rows.slice(0, 1) }] };
    const other = { ...results, tables: [{ ...table, id: "other" }] };
    expect(compareResults(results, fewer)).toContain("    gone   pipeline, s3-envelope\n");
    expect(compareResults(fewer, results)).toContain("     new   pipeline, s3-envelope  1.00 GB/s\n");
    expect(compareResults(results, other)).toContain("[other] only in the new file\n");
    expect(compareResults(results, other)).toContain("[encrypt-1-GiB] only in the old file\n");
  });
});

describe("npm run bench:compare", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "s3-envelope-compare-"));
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const good = file("good.json", JSON.stringify(smallResults(1)));
  const other = file("other.json", '{"schema":7}');
  const run = (...files: string[]) =>
    spawnSync(process.execPath, ["--import", "tsx", "bench/compare-files.ts", ...files], {
      cwd: root,
      encoding: "utf8",
    });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("prints the comparison", () => {
    const { status, stdout } = run(good, good);
    expect(status).toBe(0);
    expect(stdout).toBe(`${compareResults(smallResults(1), smallResults(1))}\n`);
  });

  it.each([
    [[good], /^usage: /],
    [[good, join(folder, "none.json")], /none\.json: it cannot be read: ENOENT/],
    [[good, other], /other\.json: no results of this bench: schema: expected 1, got 7/],
  ])("refuses %j", (files, message) => {
    const { status, stdout, stderr } = run(...files);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });
});
