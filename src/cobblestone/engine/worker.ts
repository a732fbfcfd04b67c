/** What a worker thread runs: it works on the slabs that it is sent, and sends them back in the same order. */
import { parentPort, workerData } from "node:worker_threads";
import { hasCode } from "../../base/errors.js";
import { type ChunkBatch, workInPlace } from "../batch.js";
import { type WorkerResponse, type WorkerTask, workerProtocol } from "./worker-messages.js";

// A bundler may have put this file into a program whose own threads it must leave alone.
const port = workerData === workerProtocol ? parentPort : null;
port?.on("message", ({ run, slab }: WorkerTask) => {
  const answer: WorkerResponse = { slab, verified: verifies(run, slab) };
  port.postMessage(answer, [slab]);
});
port?.postMessage(workerProtocol);

/** Anything else that goes wrong ends the thread, and is told by its end. */
function verifies(run: ChunkBatch, slab: ArrayBuffer): boolean {
  try {
    workInPlace(run, new Uint8Array(slab));
    return true;
  } catch (error) {
    if (hasCode(error, "DECRYPTION_FAILED")) return false;
    throw error;
  }
}
