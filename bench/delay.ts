/** How long the event loop keeps others waiting while something runs. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";

/** Delays of the event loop in milliseconds. An idle loop has about 1, the resolution of the monitor. */
export interface Delay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Runs a task and returns the delays of the event loop meanwhile. */
export async function delayDuring(run: () => Promise<unknown>): Promise<Delay> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  await sleep(5);
  histogram.reset();
  // A delay counts from one tick of the monitor to the next: one before, and one after it is over.
  await sleep(3);
  await run();
  await sleep(3);
  histogram.disable();
  const milliseconds = (nanoseconds: number) => nanoseconds / 1e6;
  return {
    p50: milliseconds(histogram.percentile(50)),
    p99: milliseconds(histogram.percentile(99)),
    max: milliseconds(histogram.max),
  };
}
