import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { allDocuments, documentText } from "../support/document-blocks.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A document without its code, where brackets are no links and "#" begins no heading. */
const proseOf = (file: string) => documentText(file).replace(/^```.*?^```$/gms, "");

/** The anchor that GitHub gives a heading. */
const anchorOf = (heading: string) =>
  heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\- _]/gu, "")
    .replaceAll(" ", "-");

function anchorsIn(file: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of proseOf(file).matchAll(/^#+ (.*)$/gm)) {
    const anchor = anchorOf(heading.trim());
    let unique = anchor;
    for (let count = 1; anchors.has(unique); count++) unique = `${anchor}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}

const linksIn = (file: string) =>
  [...proseOf(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);

it.each(allDocuments())("each link of %s leads to a file, a heading or an https address", (file) => {
  for (const link of linksIn(file)) {
    if (/^[a-z]+:/.test(link)) {
      expect(URL.canParse(link) && link.startsWith("https://"), `${file}: ${link}`).toBe(true);
      continue;
    }
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? file : join(dirname(file), path);
    expect(existsSync(join(root, target)), `${file}: ${link}`).toBe(true);
    if (anchor !== undefined) expect([...anchorsIn(target)], `${file}: ${link}`).toContain(anchor);
  }
});

it.each(allDocuments())("each file of this repository that %s names exists", (file) => {
  const named = proseOf(file).matchAll(/`((?:src|test|bench|docs|tools|scripts)\/[\w./-]+)`/g);
  for (const [, path = ""] of named) {
    if (path !== "bench/results") expect(existsSync(join(root, path)), `${file}: ${path}`).toBe(true);
  }
});

it("each document that a message refers to exists", () => {
  const [, names = ""] = /documentAt\(name: ([^)]+)\)/.exec(documentText("src/base/documents.ts")) ?? [];
  const files = [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => `docs/${name}`);
  expect(files).toContain("docs/errors.md");
  for (const file of files) expect(existsSync(join(root, file)), file).toBe(true);
});
