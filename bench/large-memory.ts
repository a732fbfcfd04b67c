/** How much memory uploads of files and downloads to files take, as they grow: client and S3 in processes of their own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tableOf } from "./measure.js";
import { answerOf, type ServerReady, startProcess, withServer } from "./processes.js";
import type { Table } from "./results.js";

/** The input of a client's process. */
export interface LargeOrder extends ServerReady {
  readonly operation: "upload" | "download";
  /** The file. */
  readonly path: string;
  /** For an upload, whose file is made, and is nothing but a hole. */
  readonly mebibytes: number;
}

/** The output of a client's process. */
export interface LargeResult {
  readonly peakRssMiB: number;
  readonly seconds: number;
}

/** The most memory that the client may use. The bench fails above it. */
const maxPeakRssMiB = 250e6 / 2 ** 20;

/** A row for each size and direction. */
export async function benchLargeMemory(
  sizes: readonly number[],
  show: (table: Table) => void,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "s3-envelope-bench-"));
  const path = join(folder, "file");
  const rows: { name: string; samples: number[]; note: string }[] = [];
  const run = async (order: LargeOrder) => {
    const client = startProcess("large-client.ts", []);
    client.send(order);
    const { peakRssMiB, seconds } = (await answerOf(client)) as LargeResult;
    const note = `${((order.mebibytes * 2 ** 20) / seconds / 1e6).toFixed(0)} MB/s`;
    rows.push({ name: `${order.operation} of ${order.mebibytes} MiB`, samples: [peakRssMiB], note });
    if (peakRssMiB > maxPeakRssMiB) {
      console.log(`  a transfer took more than ${maxPeakRssMiB.toFixed(0)} MiB`);
      process.exitCode = 1;
    }
  };
  try {
    for (const mebibytes of sizes) {
      await withServer({ directory: join(folder, "s3") }, async (ready) => {
        await run({ ...ready, operation: "upload", path, mebibytes });
        await rm(path);
        await run({ ...ready, operation: "download", path, mebibytes });
        await rm(path);
      });
      await rm(join(folder, "s3"), { recursive: true, force: true });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const title =
    "peak RSS of one upload of a file and one download to a file, S3 in another process, default settings";
  const aims = [{ kind: "itself", aim: "< 238 MiB (250 MB)" }] as const;
  show(
    tableOf(
      { id: "large-memory", title, unit: "MiB", better: "lower" },
      rows.map((row) => ({ ...row, aims })),
    ),
  );
}
