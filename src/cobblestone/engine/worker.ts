/** The program of a worker thread: it processes the batches that it receives, and sends them back in the same order. */
import { parentPort, workerData } from "node:worker_threads";
import { hasCode } from "../../base/errors.js";
import { type ChunkBatch, processInPlace } from "../batch.js";
import { type WorkerResponse, type WorkerTask, workerProtocol } from "./worker-messages.js";

// A bundler may have put this file into a program with worker threads of its own, which this must leave alone.
const port = workerData === workerProtocol ? parentPort : null;
port?.on("message", ({ batch, buffer }: WorkerTask) => {
  const response: WorkerResponse = { buffer, verified: verifies(batch, buffer) };
  port.postMessage(response, [buffer]);
});
port?.postMessage(workerProtocol);

/** Any other error ends the thread, and its exit reports the error. */
function verifies(batch: ChunkBatch, buffer: ArrayBuffer): boolean {
  try {
    processInPlace(batch, new Uint8Array(buffer));
    return true;
  } catch (error) {
    if (hasCode(error, "DECRYPTION_FAILED")) return false;
    throw error;
  }
}
