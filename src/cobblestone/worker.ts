/** What a worker thread runs: it works on the slabs that it is sent, and sends them back in the same order. */
import { parentPort, workerData } from "node:worker_threads";
import { hasCode } from "../errors.js";
import { type Run, workInPlace } from "./slab.js";
import { isShared, type WorkerAnswer, type WorkerTask, workerProtocol } from "./worker-messages.js";

// A bundler may have put this file into a program whose own threads it must leave alone.
const port = workerData === workerProtocol ? parentPort : null;
port?.on("message", ({ run, slab }: WorkerTask) => {
  const verified = verifies(run, slab);
  const answer: WorkerAnswer = { slab: isShared(slab) ? undefined : slab, verified };
  port.postMessage(answer, answer.slab && [answer.slab]);
});
port?.postMessage(workerProtocol);

/** Anything else that goes wrong ends the thread, and is told by its end. */
function verifies(run: Run, slab: ArrayBufferLike): boolean {
  try {
    workInPlace(run, new Uint8Array(slab));
    return true;
  } catch (error) {
    if (hasCode(error, "DECRYPTION_FAILED")) return false;
    throw error;
  }
}
