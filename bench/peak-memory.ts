/** The peak memory of this process. */
import { readFileSync } from "node:fs";

/**
 * The most memory that this process has had resident, in bytes. On Linux it is not taken from `getrusage`, which
 * counts what the parent had when it forked.
 */
export function peakRssBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  if (kibibytes === undefined) throw new Error("/proc/self/status has no VmHWM");
  return Number(kibibytes) * 1024;
}
