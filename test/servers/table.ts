/** The table of docs/compatibility.md, made from the checks and the known gaps. */
import { envelopeChecks } from "./checks/envelope.js";
import { keyringChecks } from "./checks/keyring.js";
import { kmsChecks } from "./checks/kms.js";
import { largeChecks } from "./checks/large.js";
import { s3Checks } from "./checks/s3.js";
import { knownGaps } from "./known-gaps.js";

type Named = readonly { readonly operation: string; readonly name: string }[];

/** All checks of S3, by service. */
export const checksOf: Readonly<Record<"s3" | "kms", Named>> = {
  s3: [...envelopeChecks, ...largeChecks, ...s3Checks],
  kms: [...keyringChecks, ...kmsChecks],
};

/** A row for each operation and a column for each server, with the known gaps in words. */
export function compatibilityTable(checks: Named, servers: readonly string[]): string {
  const operations = [...new Set(checks.map(({ operation }) => operation))];
  const rows = operations.map((operation) => {
    const own = checks.filter((check) => check.operation === operation);
    return [`${operation} (${own.length})`, ...servers.map((server) => cell(server, own))];
  });
  return [["Operation (checks)", ...servers], servers.map(() => "---").concat("---"), ...rows]
    .map((row) => `| ${row.join(" | ")} |`)
    .join("\n");
}

function cell(server: string, checks: Named): string {
  const lacking = checks.flatMap(({ operation, name }) => {
    const gap = knownGaps[server]?.[`${operation}: ${name}`];
    if (gap === undefined) return [];
    return [`*${name}*: ${typeof gap === "string" ? gap : `at times ${gap.atTimes}`}`];
  });
  return lacking.length === 0 ? "yes" : lacking.join("; ");
}
