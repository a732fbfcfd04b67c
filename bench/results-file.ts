/** Files of results on disk. */
import { readFileSync } from "node:fs";
import { parseResults, type Results } from "./results.js";

/** @throws Error that names the file and its fault */
export function readResults(file: string): Results {
  let json: string;
  try {
    json = readFileSync(file, "utf8");
  } catch (cause) {
    throw new Error(`${file}: it cannot be read: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
  try {
    return parseResults(json);
  } catch (cause) {
    throw new Error(`${file}: no results of this bench: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}
