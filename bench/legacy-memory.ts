/** How much memory reads of large objects of Amazon's clients take: client and S3 in processes of their own. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createS3Client } from "s3-envelope";
import { blockBytes, mebibyte, repeated, sourcePieceBytes } from "./bytes.js";
import { type LegacyContent, putLegacy } from "./legacy-objects.js";
import { tableOf } from "./measure.js";
import { answerOf, type ServerReady, startProcess, withServer } from "./processes.js";
import type { Table } from "./results.js";

/** The input of a client's process. */
export interface LegacyOrder extends ServerReady {
  readonly content: LegacyContent;
  readonly wrappingKey: string;
  readonly bytes: number;
}

/** The output of a client's process. */
export interface LegacyResult {
  readonly peakRssMiB: number;
  readonly seconds: number;
}

/** The most memory that the client may use. The bench fails above it. */
const maxPeakRssMiB = 200e6 / 2 ** 20;

/** A row for each size and content algorithm. */
export async function benchLegacyMemory(
  mebibytes: readonly number[],
  show: (table: Table) => void,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "s3-envelope-bench-"));
  const wrappingKey = randomBytes(32);
  const block = randomBytes(blockBytes);
  const rows: { name: string; samples: number[]; note: string }[] = [];
  try {
    for (const size of mebibytes) {
      for (const content of ["gcm", "cbc"] as const) {
        const directory = join(folder, "s3");
        const bytes = size * mebibyte;
        await withServer({ directory }, async (ready) => {
          const s3 = createS3Client(ready.s3Config);
          await putLegacy(s3, content, wrappingKey, repeated(block, bytes, sourcePieceBytes));
          s3.destroy();
          const client = startProcess("legacy-client.ts", []);
          const order: LegacyOrder = { ...ready, content, wrappingKey: wrappingKey.toString("hex"), bytes };
          client.send(order);
          const { peakRssMiB, seconds } = (await answerOf(client)) as LegacyResult;
          const how = content === "gcm" ? "AES/GCM, released unverified" : "AES/CBC";
          rows.push({
            name: `${how}, ${size} MiB`,
            samples: [peakRssMiB],
            note: `${(bytes / seconds / 1e6).toFixed(0)} MB/s`,
          });
          if (peakRssMiB > maxPeakRssMiB) {
            console.log(`  a read took more than ${maxPeakRssMiB.toFixed(0)} MiB`);
            process.exitCode = 1;
          }
        });
        await rm(directory, { recursive: true, force: true });
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const aims = [{ kind: "itself", aim: "< 191 MiB (200 MB)" }] as const;
  const title = "peak RSS of one read of an object of Amazon's clients, S3 in another process";
  show(
    tableOf(
      { id: "legacy-memory", title, unit: "MiB", better: "lower" },
      rows.map((row) => ({ ...row, aims })),
    ),
  );
}
