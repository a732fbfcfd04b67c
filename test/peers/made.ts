/** Caches folders that are built from files until the files change. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Builds a folder from files, once for the same files, completely or not at all. */
export function made(cache: string, name: string, from: readonly string[]) {
  const hash = createHash("sha256");
  for (const file of from) hash.update(readFileSync(file));
  const folder = join(cache, `${name}-${hash.digest("hex").slice(0, 16)}`);
  return {
    folder,
    async make(fill: (into: string) => Promise<unknown>): Promise<void> {
      if (existsSync(folder)) return;
      const unfinished = mkdtempSync(`${folder}-`);
      try {
        await fill(unfinished);
        renameSync(unfinished, folder);
      } catch (error) {
        rmSync(unfinished, { recursive: true, force: true });
        throw error;
      }
    },
  };
}
