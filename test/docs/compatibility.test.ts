import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { knownGaps } from "../servers/known-gaps.js";
import { checksOf, compatibilityTable } from "../servers/table.js";

const file = new URL("../../docs/compatibility.md", import.meta.url);
const tables = {
  s3: compatibilityTable(checksOf.s3, ["in-process", "versitygw", "seaweedfs", "moto"]),
  kms: compatibilityTable(checksOf.kms, ["in-process", "local-kms", "moto"]),
};

it.each(["s3", "kms"] as const)("docs/compatibility.md has the generated table of %s checks", (service) => {
  const [begin, end] = [`<!-- ${service} -->`, `<!-- /${service} -->`];
  const text = readFileSync(file, "utf8");
  const whole = `${text.split(begin)[0]}${begin}\n\n${tables[service]}\n\n${end}${text.split(end)[1]}`;
  if (process.env.WRITE_TABLES) writeFileSync(file, whole);
  expect(readFileSync(file, "utf8")).toBe(whole);
});

it("every known gap of a server names a check, and the in-process servers have no gap", () => {
  const names = [...checksOf.s3, ...checksOf.kms].map(({ operation, name }) => `${operation}: ${name}`);
  expect(new Set(names).size).toBe(names.length);
  for (const gaps of Object.values(knownGaps))
    for (const name of Object.keys(gaps)) expect(names).toContain(name);
  expect(knownGaps["in-process"]).toBeUndefined();
});
