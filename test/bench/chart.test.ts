import { expect, it } from "vitest";
import { chart } from "../../bench/chart.js";
import { smallResults } from "./support.js";

it("draws a bar for each row, as long as its median, with its spread and its ratio", () => {
  expect(
    chart(smallResults(1)),
  ).toBe(`<svg xmlns="http://www.w3.org/2000/svg" width="860" height="152" viewBox="0 0 860 152" role="img" aria-label="s3-envelope beside others: rates, longer is better" font-family="system-ui, sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="12" y="24" font-size="15" font-weight="600" fill="#1f2328">s3-envelope beside others: rates, longer is better</text>
<text x="12" y="42" font-size="11" fill="#59636e">2026-11-24, Node 20.1.0, OpenSSL 3.0.1, 2 x A &amp; B, 8 GiB, linux x64, commit abc</text>
<text x="12" y="76" font-weight="600" fill="#1f2328">encrypt 1 GiB</text>
<text x="262" y="102" text-anchor="end" fill="#1f2328">plain</text>
<rect x="270" y="90" width="400" height="16" fill="#8c959f"/>
<path d="M670 98H670M670 94v8M670 94v8" stroke="#1f2328" fill="none"/>
<text x="680" y="102" fill="#1f2328">1.00x, 2.00 GB/s</text>
<text x="262" y="124" text-anchor="end" fill="#1f2328">pipeline, s3-envelope</text>
<rect x="270" y="112" width="200" height="16" fill="#0969da"/>
<path d="M450 120H490M450 116v8M490 116v8" stroke="#1f2328" fill="none"/>
<text x="680" y="124" fill="#1f2328">0.50x, 1.00 GB/s</text>
</svg>
`);
});

it("draws the largest encrypt, and uploads, but no other tables", () => {
  const results = smallResults(1);
  const [table] = results.tables;
  if (!table) throw new Error("a table");
  const named = (id: string) => ({ ...table, id, title: id });
  const tables = ["encrypt-1-KiB", "encrypt-1-GiB", "range", "upload", "encrypt-memory"].map(named);
  const titles = [...chart({ ...results, tables }).matchAll(/font-weight="600" fill="#1f2328">([^<]*)</g)];
  expect(titles.map(([, title]) => title).slice(1)).toEqual(["encrypt-1-GiB", "upload"]);
});

it("draws nothing but its head when there are no tables", () => {
  expect(chart({ ...smallResults(1), tables: [] })).toMatch(/height="56".*commit abc<\/text>\n\n<\/svg>\n$/s);
});
