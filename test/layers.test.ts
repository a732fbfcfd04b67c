import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".ts"),
);

/** From the top down. A file imports from its own layer and from those below it. */
const layers = [
  "index.ts",
  "legacy.ts",
  "s3",
  "legacy",
  "envelope",
  "keys",
  "cobblestone",
  "observe",
  "source",
  "base",
];
const baseFiles = [
  "arguments.ts",
  "bytes.ts",
  "client-setting-names.ts",
  "documents.ts",
  "errors.ts",
  "field-list.ts",
  "field-names.ts",
  "file-error.ts",
  "response-fields.ts",
  "response-guard.ts",
  "legacy-field-names.ts",
  "sdk-names.ts",
  "own-file.ts",
  "service-failure.ts",
  "spelling.ts",
  "set-up-fault.ts",
  "source-failed.ts",
  "turn.ts",
  "until-aborted.ts",
];

function layerOf(file: string): string {
  if (baseFiles.includes(file)) return "base";
  return file.includes("/") ? (file.split("/")[0] ?? "") : file;
}

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

describe("layers", () => {
  it("hold every file", () => {
    for (const file of files) expect([...layers, "testing"]).toContain(layerOf(file));
  });

  it.each(files)("%s imports downward only", (file) => {
    for (const imported of localImports.get(file) ?? []) {
      expect(files).toContain(imported);
      const [from, to] = [layerOf(file), layerOf(imported)];
      if (from === "testing") expect(["testing", "base"]).toContain(to);
      else expect(layers.indexOf(to)).toBeGreaterThanOrEqual(layers.indexOf(from));
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
    expect([...loaded].filter((file) => file.includes("legacy/"))).toEqual([]);
    visit("legacy.ts");
    expect([...loaded]).toContain("s3/legacy/reading.ts");
  });

  it("keep packages where they belong", () => {
    const allowed: Record<string, RegExp> = {
      "@aws-sdk/client-s3": /^(s3|testing)\//,
      "@aws-sdk/client-kms": /^(keys\/kms(-key)?\.ts|testing\/)/,
      "@aws-crypto/client-node": /^legacy\/encryption-sdk\/(materials|observed-keyring)\.ts/,
      "node:worker_threads": /^cobblestone\/worker/,
      "node:crypto":
        /^(cobblestone|keys|envelope|legacy|testing)\/|^s3\/(get|write|upload-listing|upload-mac|upload-ticket)\.ts/,
    };
    for (const file of files) {
      for (const specifier of importsOf(file).filter((name) => !name.startsWith("."))) {
        if (specifier in allowed) expect(file).toMatch(allowed[specifier] ?? /^$/);
        else expect(specifier).toMatch(/^node:/);
      }
    }
  });

  it("have files of one idea: none is over 300 lines, each opens with its purpose", () => {
    for (const file of files) {
      const text = readFileSync(join(source, file), "utf8");
      expect(text.split("\n").length, file).toBeLessThanOrEqual(300);
      expect(text, file).toMatch(/^\/\*\*/);
    }
  });
});
