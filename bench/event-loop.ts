/** The effect of encryption at full speed on other work of the event loop. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { blockBytes, formatBytes, nowhere, repeated, sourcePieceBytes } from "./bytes.js";
import { type Delay, delayDuring } from "./delay.js";
import { type Aim, type Case, measure, tableOf } from "./measure.js";
import type { Table } from "./results.js";
import { plainPipeline, reusingIteration, threadPipeline, type Way, workersPipeline } from "./ways.js";

const block = randomBytes(blockBytes);
const idle = "idle";
const withWorkers = [workersPipeline.name, reusingIteration.name];

/** Delays p50, p99 and max: idle, and while each way encrypts bytes from memory. */
export async function benchEventLoop(
  bytes: number,
  rounds: number,
  show: (table: Table) => void,
): Promise<void> {
  const encrypting = ({ name, seal }: Way): Case<Delay> => ({
    name,
    run: () => delayDuring(() => seal(repeated(block, bytes, sourcePieceBytes), nowhere)),
  });
  const cases: readonly Case<Delay>[] = [
    { name: idle, run: () => delayDuring(() => sleep(bytes / 1e6)) },
    encrypting(workersPipeline),
    encrypting(reusingIteration),
    encrypting(threadPipeline),
    encrypting(plainPipeline),
  ];
  const measured = await measure(rounds, cases);
  const aims: readonly Aim[] = [{ kind: "difference", to: idle, aim: "< 5 ms" }];
  for (const metric of ["p50", "p99", "max"] as const) {
    const head = {
      id: `event-loop-${metric}`,
      title: `event-loop delay, ${metric}, while encrypting ${formatBytes(bytes)} at full speed`,
      unit: "ms",
      better: "lower",
    } as const;
    const series = measured.map(({ name, samples }) => ({
      name,
      samples: samples.map((delay) => delay[metric]),
      aims: metric === "p99" && withWorkers.includes(name) ? aims : undefined,
    }));
    show(tableOf(head, series));
  }
}
