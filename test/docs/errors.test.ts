import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { EnvelopeError, errorCodes } from "../../src/index.js";

const text = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
const sections = new Map(
  text
    .split(/^## /m)
    .slice(1)
    .map((section) => section.split(/\n(.*)/s).slice(0, 2) as [string, string]),
);

it("docs/errors.md explains every code, in order", () => {
  expect([...sections.keys()]).toEqual([...errorCodes]);
});

it.each([...errorCodes])("docs/errors.md says of %s whether to retry, and what to do", (code) => {
  const section = sections.get(code) ?? "";
  expect(section).toMatch(new EnvelopeError(code, "").retryable ? /^\nRetry: yes\.\n/ : /^\nRetry: no\.\n/);
  expect(section).toMatch(/\n\*\*What to do:\*\* \S/);
});

it("every code is asserted by a test", () => {
  const folder = new URL("../", import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".test.ts"),
  );
  const tests = files.map((file) => readFileSync(new URL(file, folder), "utf8")).join("\n");
  for (const code of errorCodes) expect(tests.includes(`"${code}"`), code).toBe(true);
});

it("an EnvelopeError keeps its cause and cannot be changed", () => {
  const cause = new Error("first");
  const error = new EnvelopeError("S3_UNAVAILABLE", "message", { cause, details: { bucket: "b" } });
  expect(error).toMatchObject({
    name: "EnvelopeError",
    code: "S3_UNAVAILABLE",
    retryable: true,
    cause,
    message: "message",
  });
  expect(Object.isFrozen(error.details)).toBe(true);
  expect("cause" in new EnvelopeError("S3_UNAVAILABLE", "message")).toBe(false);
});

it("an EnvelopeError has a code of the list", () => {
  expect(() => new EnvelopeError("NOPE" as never, "message")).toThrow(
    new RangeError("code: expected one of errorCodes"),
  );
});
