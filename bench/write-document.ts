/** `npm run bench:docs`: puts docs/performance/results-*.json into docs/performance/results.md and draws the chart. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { chart } from "./chart.js";
import { withResults } from "./document.js";
import { readResults } from "./results-file.js";

const document = "docs/performance/results.md";
const folder = "docs/performance";
const all = readdirSync(folder)
  .filter((file) => /^results-.*\.json$/.test(file))
  .sort()
  .map((file) => readResults(`${folder}/${file}`));
const [first] = all;
if (!first) throw new Error(`${folder}: there is no results-*.json`);
writeFileSync(document, withResults(readFileSync(document, "utf8"), all));
writeFileSync(`${folder}/chart.svg`, chart(first));
