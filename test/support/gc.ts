/** The memory that is held once all garbage is gone. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Collects garbage. */
export function collectGarbage(): void {
  collect();
}

/** The bytes of all array buffers that are still reachable. */
export function heldBytes(): number {
  collect();
  // What the first collection has found is freed by another thread, which the second waits for.
  collect();
  return process.memoryUsage().arrayBuffers;
}
