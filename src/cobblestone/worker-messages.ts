/** What the calling thread and a worker thread tell each other. */
import type { Run } from "./slab.js";

/**
 * Given to a worker when it is started, and said by it first of all: the code that runs there may be a copy from
 * another release. To be changed with anything in this file or in what a run means.
 */
export const workerProtocol = "s3-envelope/worker 2";

/** What a worker is sent; the slab is transferred, unless both share it. */
export interface WorkerTask {
  readonly run: Run;
  readonly slab: ArrayBufferLike;
}

/** What it sends back, in the order of the tasks; the slab is transferred. */
export interface WorkerAnswer {
  /** Undefined when both share it. */
  readonly slab: ArrayBuffer | undefined;
  /** False when a tag did not verify; then the slab holds zeros. */
  readonly verified: boolean;
}

/** Whether both threads have the slab: then it need not be transferred. */
export function isShared(slab: ArrayBufferLike): slab is SharedArrayBuffer {
  return slab instanceof SharedArrayBuffer;
}

/** Whether something that a worker sent is an answer to a task; one whose slab is not shared had so many bytes. */
export function isAnswer(message: unknown, slabBytes: number | undefined): message is WorkerAnswer {
  const { slab, verified } = Object(message) as Partial<WorkerAnswer>;
  const bytes = slab instanceof ArrayBuffer ? slab.byteLength : slab;
  return bytes === slabBytes && typeof verified === "boolean";
}
