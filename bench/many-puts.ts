/** How much memory many puts take that one client sends at once; and that copies by it, get into put, come to an end. */
import { tableOf } from "./measure.js";
import { answerOf, type ServerReady, startProcess, withServer } from "./processes.js";
import type { Table } from "./results.js";

/** The input of a client's process. */
export interface PutsOrder extends ServerReady {
  readonly count: number;
  readonly mebibytes: number;
  /** Where the bodies come from: they are generated, or read by `get` from an object that is put first. */
  readonly from: "nowhere" | "get";
  /** Whether the process states the length of bodies. */
  readonly stated: boolean;
}

/** The output of a client's process. */
export interface PutsResult {
  readonly peakRssMiB: number;
  readonly startRssMiB: number;
  readonly seconds: number;
}

/** Runs each of these in a process of its own, with default settings. */
export async function benchManyPuts(
  count: number,
  mebibytes: number,
  show: (table: Table) => void,
): Promise<void> {
  const orders = [
    { name: "puts of streams of unknown length", from: "nowhere", stated: false },
    { name: "puts of streams of stated length", from: "nowhere", stated: true },
    { name: "copies, get into put", from: "get", stated: true },
  ] as const;
  const series: { name: string; samples: number[]; note: string }[] = [];
  for (const { name, from, stated } of orders) {
    // What is read must be kept.
    await withServer({ discardBodies: from === "nowhere" }, async (ready) => {
      const copies = from === "get" ? Math.min(count, 50) : count;
      const client = startProcess("many-puts-client.ts", []);
      client.send({ ...ready, count: copies, mebibytes, from, stated } satisfies PutsOrder);
      const { peakRssMiB, startRssMiB, seconds } = (await answerOf(client)) as PutsResult;
      const rate = ((copies * mebibytes * 2 ** 20) / seconds / 1e6).toFixed(0);
      const note = `${startRssMiB.toFixed(0)} MiB before them, ${rate} MB/s`;
      series.push({ name: `${copies} ${name}`, samples: [peakRssMiB], note });
    });
  }
  const title = `peak RSS of a process with many puts of ${mebibytes} MiB at once, S3 in another process, default settings`;
  show(tableOf({ id: "many-puts", title, unit: "MiB", better: "lower" }, series));
}
