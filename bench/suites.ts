/** The groups of tables, each by the name that `--only` takes. */
import { gibibyte, mebibyte } from "./bytes.js";
import { benchConcurrentEncrypts, benchConcurrentPuts } from "./concurrency.js";
import { benchEncryptMemory } from "./encrypt-memory.js";
import { benchEventLoop } from "./event-loop.js";
import { benchEsdkSettings, benchFrames, fullFrames, quickFrames } from "./frames.js";
import { benchLargeMemory } from "./large-memory.js";
import { benchLargeObjects } from "./large-objects.js";
import { benchLegacyReads, legacySizes } from "./legacy.js";
import { benchLegacyMemory } from "./legacy-memory.js";
import { benchManyPuts } from "./many-puts.js";
import { benchRandomReads } from "./random-reads.js";
import type { Table } from "./results.js";
import { benchRoundTrips } from "./round-trips.js";
import { s3Variants } from "./s3-clients.js";
import { benchTransfers } from "./transfers.js";
import { benchUploadMemory } from "./upload-memory.js";

/** How many encrypts, puts and gets run at once. */
const counts = { quick: [1, 64], full: [1, 4, 16, 64] };

/** Measures tables and yields each as soon as it is complete. */
export type Suite = (quick: boolean, show: (table: Table) => void) => Promise<void>;

/** In the order in which they run. */
export const suites: Readonly<Record<string, Suite>> = {
  frames: (quick, show) => benchFrames(quick ? quickFrames : fullFrames, show),
  "round-trips": (quick, show) => benchRoundTrips(quick ? 40 : 500, quick ? 3 : 7, show),
  "event-loop": (quick, show) => benchEventLoop(quick ? 128 * mebibyte : gibibyte, quick ? 3 : 7, show),
  concurrency: (quick, show) =>
    quick
      ? benchConcurrentEncrypts(counts.quick, mebibyte, 3, show)
      : benchConcurrentEncrypts(counts.full, 8 * mebibyte, 5, show),
  transfers: async (quick, show) => {
    const full = { rounds: 7, bytes: 512 * mebibyte, ranges: 300 };
    const settings = quick ? { rounds: 3, bytes: 32 * mebibyte, ranges: 25 } : full;
    for (const variant of s3Variants) await benchTransfers(variant, settings, show);
  },
  "random-reads": (quick, show) => {
    const full = { rounds: 5, bytes: 512 * mebibyte, reads: 1000, counts: [1, 16] };
    const settings = quick ? { rounds: 2, bytes: 64 * mebibyte, reads: 200, counts: [1, 16] } : full;
    return benchRandomReads(settings, show);
  },
  "small-puts": async (quick, show) => {
    for (const variant of s3Variants) {
      if (quick) await benchConcurrentPuts(variant, counts.quick, 64, 2, show);
      else await benchConcurrentPuts(variant, counts.full, 320, 5, show);
    }
  },
  "encrypt-memory": (quick, show) =>
    benchEncryptMemory(quick ? 128 * mebibyte : gibibyte, quick ? 1 : 3, show),
  "upload-memory": (quick, show) => benchUploadMemory(quick ? [128, 256] : [512, 2048], show),
  "many-puts": (quick, show) => benchManyPuts(quick ? 20 : 200, 20, show),
  "large-objects": (quick, show) =>
    benchLargeObjects(
      quick
        ? { rounds: 2, sizes: [32 * mebibyte] }
        : { rounds: 3, sizes: [256 * mebibyte, gibibyte, 4 * gibibyte] },
      show,
    ),
  "large-memory": (quick, show) => benchLargeMemory(quick ? [64] : [1024, 4096, 16_384], show),
  legacy: (quick, show) =>
    benchLegacyReads({ rounds: quick ? 2 : 5, sizes: quick ? legacySizes.quick : legacySizes.full }, show),
  "legacy-memory": (quick, show) => benchLegacyMemory(quick ? [64] : [1024, 4096], show),
  "esdk-settings": (quick, show) =>
    benchEsdkSettings(quick ? { ...quickFrames, rounds: 2 } : { ...fullFrames, rounds: 5 }, show),
};

/** Suites that run only when they are asked for: in full they take 40 GB of the disk, or longer than all others. */
const onlyAsked = {
  quick: ["esdk-settings", "many-puts", "large-memory", "legacy", "legacy-memory"],
  full: ["large-objects", "large-memory", "legacy-memory"],
};

/** The suites that run by default. */
export function defaultSuites(quick: boolean): readonly string[] {
  const left: readonly string[] = onlyAsked[quick ? "quick" : "full"];
  return Object.keys(suites).filter((name) => !left.includes(name));
}
