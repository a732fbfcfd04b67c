/** Finds the Wycheproof vectors, which stay outside the project. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The folder of the vectors: WYCHEPROOF_VECTORS, or `shared/vectors` beside the checkout. */
export const vectorFolder =
  process.env.WYCHEPROOF_VECTORS ?? fileURLToPath(new URL("../../../shared/vectors", import.meta.url));

/** Reads one vector file; undefined, with a word on the console, where the folder is absent, but never in CI. */
export function readVectors<T>(file: string): T | undefined {
  const path = `${vectorFolder}/${file}`;
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as T;
  if (process.env.CI) throw new Error(`CI must have the Wycheproof vectors: ${path} is missing`);
  console.warn(`SKIPPED: ${path} is missing; point WYCHEPROOF_VECTORS at a folder that has it`);
  return undefined;
}
