import { expect, it } from "vitest";
import { parseResults } from "../../bench/results.js";
import { smallResults } from "./support.js";

it("results are read as they were written", () => {
  const results = smallResults(1);
  expect(parseResults(JSON.stringify(results))).toEqual(results);
});

it.each([
  ["nonsense", "it is not JSON"],
  ["[]", "the file: expected an object"],
  ["{}", "schema: expected 1, got undefined"],
  [JSON.stringify({ ...smallResults(1), schema: 2 }), "schema: expected 1, got 2"],
  [JSON.stringify({ ...smallResults(1), machine: null }), "machine: expected an object"],
  [
    JSON.stringify({ ...smallResults(1), settings: { a: [] } }),
    "settings.a: expected a string, a number or a boolean",
  ],
  [JSON.stringify({ ...smallResults(1), tables: {} }), "tables: expected an array"],
  [
    JSON.stringify(smallResults(1)).replace('"better":"higher"', '"better":"more"'),
    'tables[0].better: expected "higher" or "lower", got "more"',
  ],
  [
    JSON.stringify(smallResults(1)).replace('"samples":[2]', '"samples":["2"]'),
    "tables[0].rows[0].samples[0]: expected a number",
  ],
  [
    JSON.stringify(smallResults(1)).replace('"aim":', '"aims":'),
    "tables[0].rows[1].goals[0].aim: expected a string",
  ],
])("%.30s... is refused: %s", (json, message) => {
  expect(() => parseResults(json)).toThrow(new Error(message));
});
