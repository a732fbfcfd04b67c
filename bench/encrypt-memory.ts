/** How much memory an encrypt at full speed takes: each way in a fresh process. */
import { formatBytes, mebibyte } from "./bytes.js";
import { measure, tableOf } from "./measure.js";
import { answerOf, startProcess } from "./processes.js";
import type { Table } from "./results.js";
import { plainPipeline, threadPipeline, workersPipeline } from "./ways.js";

/** The measured ways, by the names that are passed to their processes. */
export const measuredWays = { plain: plainPipeline, workers: workersPipeline, thread: threadPipeline };

/** The input of such a process. */
export interface MemoryOrder {
  readonly way: keyof typeof measuredWays;
  readonly bytes: number;
}

/** Peak RSS after encrypting a number of bytes from memory, whose ciphertext is discarded. */
export async function benchEncryptMemory(
  bytes: number,
  rounds: number,
  show: (table: Table) => void,
): Promise<void> {
  const ways = ["plain", "workers", "thread"] as const;
  const cases = ways.map((way) => ({
    name: measuredWays[way].name,
    run: async () => {
      const child = startProcess("encrypt-memory-process.ts", []);
      const order: MemoryOrder = { way, bytes };
      child.send(order);
      return Number(await answerOf(child)) / mebibyte;
    },
  }));
  const title = `peak RSS of a process that encrypts ${formatBytes(bytes)} from memory to nowhere`;
  const series = await measure(rounds, cases);
  show(tableOf({ id: "encrypt-memory", title, unit: "MiB", better: "lower" }, series));
}
