import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { chart } from "../../bench/chart.js";
import { withResults } from "../../bench/document.js";
import { formatTable } from "../../bench/report.js";
import { readResults } from "../../bench/results-file.js";
import { smallResults } from "./support.js";

const docs = new URL("../../docs/", import.meta.url);

it("docs/performance/results.md and the chart are made from the results beside them", () => {
  const folder = new URL("performance/", docs);
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  const all = files.sort().map((file) => readResults(new URL(file, folder).pathname));
  const [first] = all;
  if (!first) throw new Error("there are no results");
  const text = readFileSync(new URL("results.md", folder), "utf8");
  expect(text, "run `npm run bench:docs`").toBe(withResults(text, all));
  expect(readFileSync(new URL("chart.svg", folder), "utf8"), "run `npm run bench:docs`").toBe(chart(first));
});

it("the results replace what is between the markers", () => {
  const all = [smallResults(1), { ...smallResults(1.5), node: "24.0.0" }];
  expect(withResults("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n", all)).toBe(`before
<!-- results -->

- 2026-11-24, Node 20.1.0, OpenSSL 3.0.1, 2 x A & B, 8 GiB, linux x64, commit abc
- 2026-11-24, Node 24.0.0, OpenSSL 3.0.1, 2 x A & B, 8 GiB, linux x64, commit abc

### Aims

| table | row | figure | aim | Node 20.1.0 | Node 24.0.0 |
|---|---|---|--:|--:|--:|
| encrypt-1-GiB | pipeline, s3-envelope | of plain | >= 0.5x | 0.50x | 0.75x |

### Ratios by size and by concurrency, Node 20.1.0

### All tables, Node 20.1.0

**encrypt 1 GiB** (GB/s, higher is better)

| | ratio | median | spread |
|---|--:|--:|--:|
| plain | 1.00x | 2.00 | 2.00 to 2.00 |
| pipeline, s3-envelope [1 x 8 MiB] | 0.50x | 1.00 | 0.90 to 1.10 |

<!-- /results -->
after
`);
});

it("tables of the same rows stand side by side", () => {
  const results = smallResults(1);
  const [table] = results.tables;
  if (!table) throw new Error("a table");
  const small = { ...table, id: "encrypt-64-KiB", rows: table.rows.slice(0, 1) };
  const text = withResults("<!-- results --><!-- /results -->", [{ ...results, tables: [small, table] }]);
  expect(text).toContain(`**encrypt**

| | 64 KiB | 1 GiB |
|---|--:|--:|
| plain | 1.00x | 1.00x |
| pipeline, s3-envelope |  | 0.50x |

###`);
});

it("a document without markers, or no results, is refused", () => {
  expect(() => withResults("text", [smallResults(1)])).toThrow(
    new Error("the document has no <!-- results --> and <!-- /results -->"),
  );
  expect(() => withResults("<!-- results --><!-- /results -->", [])).toThrow(
    new Error("there are no results to put in"),
  );
});

it("a table in the terminal has ratios first, and figures beside their aims", () => {
  const [table] = smallResults(1).tables;
  if (!table) throw new Error("a table");
  expect(formatTable(table)).toBe(`[encrypt-1-GiB] encrypt 1 GiB (higher is better)
    1.00x  plain                  2.00 GB/s (2.00 to 2.00)
    0.50x  pipeline, s3-envelope  1.00 GB/s (0.90 to 1.10) [1 x 8 MiB]
           -> 0.50x of plain (aim >= 0.5x)
`);
});
