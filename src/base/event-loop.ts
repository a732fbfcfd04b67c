/** Shares the event loop: lets timers, signals and sockets run between the iterations of loops that never wait. */

/** How long all loops together run before other callbacks run. */
const maxSliceMs = 4;

/** When the loops started after the event loop last ran other callbacks. */
let start = 0;
let hasBegun = false;
/** Functions that resume the waiting loops, in the order in which they yielded. */
const waiting: (() => void)[] = [];
/** Whether `resume` is scheduled or runs. Two of them would run one loop twice before other callbacks run. */
let isResuming = false;

function begin(): void {
  if (hasBegun) return;
  hasBegun = true;
  start = performance.now();
  setImmediate(() => {
    hasBegun = false;
  });
}

/** Resumes one loop after another until their common time is over. */
async function resume(): Promise<void> {
  hasBegun = true;
  start = performance.now();
  for (let next = waiting.shift(); next; next = shouldYield() ? undefined : waiting.shift()) {
    next();
    // The resumed loop runs an iteration before this continues.
    await undefined;
  }
  hasBegun = false;
  isResuming = waiting.length > 0;
  if (isResuming) setImmediate(resume);
}

/** Whether the caller should yield, because loops have kept timers, signals and sockets waiting for long enough. */
export function shouldYield(): boolean {
  begin();
  return performance.now() - start > maxSliceMs;
}

/** Lets other callbacks of the event loop run, and resolves when this loop may run at least one iteration. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (isResuming) return;
    isResuming = true;
    setImmediate(resume);
  });
}
