/** What the calling thread and a worker thread tell each other. */
import type { ChunkBatch } from "../batch.js";

/**
 * Given to a worker when it is started, and said by it first of all: the code that runs there may be a copy from
 * another release. To be changed with anything in this file or in what a run means.
 */
export const workerProtocol = "s3-envelope/worker 1";

/** What a worker is sent; the slab is transferred. */
export interface WorkerTask {
  readonly run: ChunkBatch;
  readonly slab: ArrayBuffer;
}

/** What it sends back, in the order of the tasks; the slab is transferred. */
export interface WorkerResponse {
  readonly slab: ArrayBuffer;
  /** False when a tag did not verify; then the slab holds zeros. */
  readonly verified: boolean;
}

/** Whether something that a worker sent is an answer to a task whose slab had so many bytes. */
export function isResponse(message: unknown, slabBytes: number): message is WorkerResponse {
  const { slab, verified } = Object(message) as Partial<WorkerResponse>;
  return slab instanceof ArrayBuffer && slab.byteLength === slabBytes && typeof verified === "boolean";
}
