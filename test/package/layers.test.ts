import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const source = fileURLToPath(new URL("../../src", import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".ts"),
);

/** The folders from the bottom up. A file imports from its own folder and from those above it in this list. */
const folders = [
  "base",
  "fields",
  "observe",
  "service",
  "source",
  "cobblestone",
  "cobblestone/engine",
  "cobblestone/stream",
  "keys",
  "keys/rsa",
  "keys/kms",
  "envelope",
  "s3ec",
  "s3ec/content",
  "s3ec/keyrings",
  "encryption-sdk",
  "transfer",
  "s3",
  "s3/body",
  "objects/encrypted",
  "objects/put",
  "objects/parallel",
  "objects/get",
  "objects/open",
  "objects/download",
  "objects/upload",
  "objects",
  "s3ec-objects/read",
  "s3ec-objects/write",
  "s3ec-objects/migrate",
  "s3ec-objects",
  // The entry points.
  ".",
];
/** The folders of the in-process S3 and KMS, in the same order. */
const testingFolders = [
  "testing",
  "testing/kms",
  "testing/s3/wire",
  "testing/s3/storage",
  "testing/s3/request",
  "testing/s3/operations",
  "testing/s3",
];
/** The in-process S3 and KMS stand apart: of the library they use these folders alone. */
const usedByTesting = ["base", "fields"];

/** What a file imports and re-exports, types included. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(source, file), "utf8");
  return [...text.matchAll(/(?:^|\n)(?:import|export)\b[^;]*?from\s+"([^"]+)"|import\("([^"]+)"\)/g)].map(
    (match) => match[1] ?? match[2] ?? "",
  );
}

const localImports = new Map(
  files.map((file) => [
    file,
    importsOf(file)
      .filter((specifier) => specifier.startsWith("."))
      .map((specifier) =>
        relative(source, resolve(source, dirname(file), specifier)).replace(/\.js$/, ".ts"),
      ),
  ]),
);

const isTesting = (file: string) => file.startsWith("testing/");

describe("layers", () => {
  it("hold every file", () => {
    for (const file of files) expect([...folders, ...testingFolders]).toContain(dirname(file));
  });

  it.each(files)("%s imports downward only", (file) => {
    for (const imported of localImports.get(file) ?? []) {
      expect(files).toContain(imported);
      const [from, to] = [dirname(file), dirname(imported)];
      if (isTesting(file)) expect(isTesting(imported) || usedByTesting.includes(to), imported).toBe(true);
      else expect(folders.indexOf(from), imported).toBeGreaterThanOrEqual(folders.indexOf(to));
    }
  });

  it("have no cycle, types included", () => {
    const done = new Set<string>();
    const visit = (file: string, path: string[]) => {
      expect(path, `cycle: ${[...path, file].join(" -> ")}`).not.toContain(file);
      if (done.has(file)) return;
      for (const imported of localImports.get(file) ?? []) visit(imported, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
  });

  it("keep legacy code out of what users of the main entry point load", () => {
    const loaded = new Set<string>();
    const visit = (file: string) => {
      if (loaded.has(file)) return;
      loaded.add(file);
      const text = readFileSync(join(source, file), "utf8");
      const loads = [...text.matchAll(/(?:^|\n)(?:import|export)\b(?! type)[^;]*?from\s+"(\.[^"]+)"/g)];
      for (const [, specifier = ""] of loads) {
        visit(relative(source, resolve(source, dirname(file), specifier)).replace(/\.js$/, ".ts"));
      }
    };
    visit("index.ts");
    const isLegacy = (file: string) => /^(s3ec|s3ec-objects|encryption-sdk)\//.test(file);
    expect([...loaded].filter(isLegacy)).toEqual([]);
    visit("legacy.ts");
    expect([...loaded]).toContain("s3ec-objects/read/reading.ts");
  });

  it("keep packages where they belong", () => {
    const allowed: Record<string, RegExp> = {
      "@aws-sdk/client-s3": /^(s3|transfer|objects|s3ec-objects|testing)\//,
      "@aws-sdk/client-kms": /^(keys\/kms|testing)\//,
      "@aws-crypto/client-node": /^encryption-sdk\/(materials|observed-keyring)\.ts/,
      "node:worker_threads": /^cobblestone\/engine\/worker/,
      "node:crypto": /^(cobblestone|keys|envelope|s3ec|encryption-sdk|testing|objects|s3ec-objects)\//,
    };
    for (const file of files) {
      for (const specifier of importsOf(file).filter((name) => !name.startsWith("."))) {
        if (specifier in allowed) expect(file).toMatch(allowed[specifier] ?? /^$/);
        else expect(specifier).toMatch(/^node:/);
      }
    }
  });

  it("keep the sizes of a chunk inside the frame layer, which alone computes with them", () => {
    for (const file of files.filter((name) => !/^(cobblestone|testing)\//.test(name))) {
      const text = readFileSync(join(source, file), "utf8");
      for (const [, names = ""] of text.matchAll(
        /import (?:type )?\{([^}]*)\} from "[^"]*\/cobblestone\/[^"]*"/g,
      )) {
        expect(names, file).not.toMatch(/\b(chunkBytes|sealedChunkBytes|tagBytes)\b/);
      }
      expect(text, file).not.toMatch(/\b(16_?384|16_?400)\b/);
    }
  });

  it("have folders of at most 15 files", () => {
    const counts = new Map<string, number>();
    for (const file of files) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
    for (const [folder, count] of counts) expect(count, folder).toBeLessThanOrEqual(15);
  });

  it("have files with at most 12 local imports, but for the entry points", () => {
    for (const [file, imported] of localImports) {
      if (dirname(file) !== ".") expect(imported.length, file).toBeLessThanOrEqual(12);
    }
  });

  it("have files that open with their purpose", () => {
    for (const file of files) expect(readFileSync(join(source, file), "utf8"), file).toMatch(/^\/\*\*/);
  });
});
