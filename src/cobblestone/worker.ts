/** What a worker thread runs: it works on the slabs that it is sent, and sends them back in the same order. */
import { isMainThread, parentPort } from "node:worker_threads";
import { hasCode } from "../errors.js";
import { type Run, workInPlace } from "./slab.js";

/** What a worker is sent. */
export interface WorkerTask {
  readonly run: Run;
  readonly slab: ArrayBuffer;
}

/** What it sends back. */
export interface WorkerAnswer {
  readonly slab: ArrayBuffer;
  /** False when a tag did not verify; then the slab holds zeros. */
  readonly verified: boolean;
}

/** What it sends first of all, once it can work. */
export const workerReady = "ready";

const port = isMainThread ? null : parentPort;
port?.on("message", ({ run, slab }: WorkerTask) => {
  const answer: WorkerAnswer = { slab, verified: verifies(run, slab) };
  port.postMessage(answer, [slab]);
});
port?.postMessage(workerReady);

/** Anything else that goes wrong ends the thread, and is told by its end. */
function verifies(run: Run, slab: ArrayBuffer): boolean {
  try {
    workInPlace(run, new Uint8Array(slab));
    return true;
  } catch (error) {
    if (hasCode(error, "DECRYPTION_FAILED")) return false;
    throw error;
  }
}
