/** The form of the documents: what opens with code, what is short, what is listed. */
import { basename } from "node:path";
import { describe, expect, it } from "vitest";
import { documentsIn, documentText } from "../support/document-blocks.js";

const guides = documentsIn("docs/guides");
const decisions = documentsIn("docs/decisions").filter((file) => basename(file) !== "README.md");
const linesOf = (file: string) => documentText(file).trimEnd().split("\n");
const titleOf = (file: string) => linesOf(file)[0]?.replace(/^# /, "") ?? "";

describe("README.md", () => {
  it("has at most 150 lines", () => expect(linesOf("README.md").length).toBeLessThanOrEqual(150));

  it.each(["npm ci && npm run demo", "npm ci && npm test"])("has the command %s", (command) => {
    expect(linesOf("README.md")).toContain(command);
  });
});

describe("guides", () => {
  it.each(guides)("%s opens with code and has at most 160 lines", (file) => {
    const lines = linesOf(file);
    const code = lines.findIndex((line) => line.startsWith("```"));
    expect(code).toBeGreaterThan(0);
    expect(code).toBeLessThanOrEqual(5);
    expect(lines.length).toBeLessThanOrEqual(160);
  });

  it("are all listed in docs/README.md by their titles", () => {
    const list = documentText("docs/README.md");
    for (const file of guides) expect(list).toContain(`[${titleOf(file)}](guides/${basename(file)})`);
  });
});

describe("decisions", () => {
  it("are numbered without a gap", () => {
    const numbers = decisions.map((file) => Number(basename(file).slice(0, 4)));
    expect(numbers).toEqual(decisions.map((_, index) => index + 1));
  });

  it.each(decisions)("%s has at most 30 lines: context, decision, consequence", (file) => {
    const lines = linesOf(file);
    expect(lines.length).toBeLessThanOrEqual(30);
    expect(titleOf(file)).toMatch(new RegExp(`^${Number(basename(file).slice(0, 4))}\\. `));
    const headings = lines.filter((line) => line.startsWith("## "));
    expect(headings).toEqual(["## Context", "## Decision", "## Consequence"]);
  });

  it("are all listed in docs/decisions/README.md by their titles", () => {
    const list = documentText("docs/decisions/README.md");
    for (const file of decisions) expect(list).toContain(`[${titleOf(file)}](${basename(file)})`);
  });
});

it("CONTRIBUTING.md maps the folders of src in the order that test/package/layers.test.ts enforces", () => {
  const [, list = ""] =
    /const folders = \[(.*?)\n\];/s.exec(documentText("test/package/layers.test.ts")) ?? [];
  const enforced = [...list.matchAll(/^ {2}"([^".]+)",/gm)].map(([, folder]) => folder);
  const [, map = ""] = documentText("CONTRIBUTING.md").split("| Folder | Contains |");
  const mapped = [...(map.split("\n\n")[0] ?? "").matchAll(/^\| `([^`]+)`/gm)].map(([, folder]) => folder);
  expect(enforced.length).toBeGreaterThan(20);
  expect(mapped).toEqual(enforced);
});

it.each(documentsIn("docs"))("each JSON block of %s parses", (file) => {
  for (const [, json = ""] of documentText(file).matchAll(/^```json\n(.*?)^```/gms)) {
    expect(() => JSON.parse(json)).not.toThrow();
  }
});
