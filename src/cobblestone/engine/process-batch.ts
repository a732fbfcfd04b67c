/** Has a run worked on in the slab that it lies in: by a worker, or where there is none by this thread. */
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { type ChunkBatch, stepsInPlace } from "../batch.js";
import { type CryptoEngine, poolOf } from "./engine.js";

/** The thread that sends and receives is slower than one worker. */
const wantedWorkers = 1;

/**
 * Works on the run that a slab begins with. The slab is handed over, for good when this fails. This thread takes turns
 * with others.
 *
 * @param messageEnd where what is worked on ends in its message; the first `minWorkerBytes` are not worth a worker
 * @returns the slab, which may have moved
 * @throws EnvelopeError `DECRYPTION_FAILED`, `WORKER_FAILED`
 */
export async function processBatch(
  engine: CryptoEngine,
  run: ChunkBatch,
  messageEnd: number,
  slab: ArrayBuffer,
): Promise<ArrayBuffer> {
  if (run.chunks === 0) return slab;
  const pool = poolOf(engine);
  if (pool.hasWorkers && messageEnd > pool.minWorkerBytes) {
    while (!pool.findRoom(wantedWorkers) && pool.readyWorkers > 0) await pool.changed.wait();
    if (pool.readyWorkers > 0) return pool.run(run, slab);
  }
  const steps = stepsInPlace(run, new Uint8Array(slab));
  while (!steps.next().done) if (shouldYield()) await yieldToEventLoop();
  return slab;
}
