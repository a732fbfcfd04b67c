/** `npm run bench:compare -- <old.json> <new.json>`. */
import { parseArgs } from "node:util";
import { compareResults } from "./compare.js";
import { readResults } from "./results-file.js";

try {
  const { positionals } = parseArgs({ allowPositionals: true });
  const [before, after, ...others] = positionals;
  if (before === undefined || after === undefined || others.length > 0)
    throw new Error("usage: npm run bench:compare -- <old.json> <new.json>");
  console.log(compareResults(readResults(before), readResults(after)));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
