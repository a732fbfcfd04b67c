/** The messages between the calling thread and a worker thread. */
import type { ChunkBatch } from "../batch.js";

/**
 * The first message of a worker, which receives it when it starts: the code that runs there may be a copy from another
 * release. Change it together with any message in this file or with the meaning of a batch.
 */
export const workerProtocol = "s3-envelope/worker 2";

/** A task for a worker. The buffer is transferred. */
export interface WorkerTask {
  readonly batch: ChunkBatch;
  readonly buffer: ArrayBuffer;
}

/** The response to a task; responses come in the order of the tasks. The buffer is transferred back. */
export interface WorkerResponse {
  readonly buffer: ArrayBuffer;
  /** False when a tag did not verify; the buffer then holds zeros. */
  readonly verified: boolean;
}

/** Whether a message from a worker is a response to a task whose buffer had this size. */
export function isResponse(message: unknown, bufferBytes: number): message is WorkerResponse {
  const { buffer, verified } = Object(message) as Partial<WorkerResponse>;
  return buffer instanceof ArrayBuffer && buffer.byteLength === bufferBytes && typeof verified === "boolean";
}
