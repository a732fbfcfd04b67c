/** The memory of an upload by its size, with client and S3 in separate processes. */
import { tableOf } from "./measure.js";
import { answerOf, type ServerReady, startProcess, withServer } from "./processes.js";
import type { Table } from "./results.js";

/** The input of a client's process. */
export interface UploadOrder extends ServerReady {
  readonly mebibytes: number;
  /** Read the object back and compare; the server must keep bodies for that. */
  readonly verify: boolean;
}

/** The output of a client's process. */
export interface UploadResult {
  readonly peakRssMiB: number;
  readonly seconds: number;
  /** The same process before the upload, with the SDK loaded. */
  readonly startRssMiB: number;
}

/** The most memory that the client may use. The bench fails above it. */
const maxPeakRssMiB = 250e6 / 2 ** 20;
/** How much more it may take for a larger object, from where its heap has reached its level. */
const maxGrowth = 1.1;
const levelMiB = 512;

/** One row for each size, after one upload that is read back and compared. */
export async function benchUploadMemory(
  sizes: readonly number[],
  show: (table: Table) => void,
): Promise<void> {
  await withServer({}, (ready) => upload({ ...ready, mebibytes: 20, verify: true }));
  const peaks: number[] = [];
  const series = await withServer({ discardBodies: true }, async (ready) => {
    const rows = [];
    for (const mebibytes of sizes) {
      const { peakRssMiB, startRssMiB, seconds } = await upload({ ...ready, mebibytes, verify: false });
      peaks.push(peakRssMiB);
      const rate = ((mebibytes * 2 ** 20) / seconds / 1e6).toFixed(0);
      const note = `${startRssMiB.toFixed(0)} MiB before the upload, ${rate} MB/s`;
      rows.push({ name: `upload of ${mebibytes} MiB`, samples: [peakRssMiB], note });
    }
    return rows;
  });
  const level = peaks.filter((_, index) => (sizes[index] ?? 0) >= levelMiB);
  const [first = 0] = level;
  if (peaks.some((peak) => peak > maxPeakRssMiB) || level.some((peak) => peak > first * maxGrowth)) {
    console.log(`  an upload took more than ${maxPeakRssMiB.toFixed(0)} MiB, or grew with the object`);
    process.exitCode = 1;
  }
  const title = "peak RSS of one put of a stream of unknown length, S3 in another process, default settings";
  show(tableOf({ id: "upload-memory", title, unit: "MiB", better: "lower" }, series));
}

async function upload(order: UploadOrder): Promise<UploadResult> {
  const client = startProcess("upload-client.ts", []);
  client.send(order);
  return (await answerOf(client)) as UploadResult;
}
