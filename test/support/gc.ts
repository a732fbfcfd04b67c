/** The memory that is in use after garbage collection. */
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
  // Another thread frees the garbage that the first collection found. The second one waits for it.
  collect();
  return process.memoryUsage().arrayBuffers;
}
