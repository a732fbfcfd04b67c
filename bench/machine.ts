/** The machine of a run. */
import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { type Results, schemaVersion } from "./results.js";

/** Everything of a file of results except the tables. */
export function describeRun(settings: Results["settings"]): Omit<Results, "tables"> {
  const { node, openssl } = process.versions;
  return {
    schema: schemaVersion,
    date: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      platform: `${process.platform} ${process.arch}`,
    },
    node,
    openssl,
    commit: commit(),
    settings,
  };
}

function commit(): string {
  const git = (...args: string[]) =>
    execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    return git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain") === "" ? "" : "-dirty");
  } catch {
    return "unknown";
  }
}
