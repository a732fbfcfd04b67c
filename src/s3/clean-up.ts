/** Removing what a failed call has left in S3, within bounded time, and saying so when that fails too. */

import { linkedSignal, untilAborted } from "../base/abort.js";

/** How long a request about what a failed call left may take with its retries, in milliseconds. */
const maxWaitMs = 10_000;

/** Sends such a request; rejects with the reason of the caller's signal, or when it takes too long. */
export async function withinTime<T>(
  send: (options: { abortSignal: AbortSignal }) => Promise<T>,
  caller?: AbortSignal,
): Promise<T> {
  const { signal, abort, dispose } = linkedSignal(caller);
  const timer = setTimeout(() => abort(new Error("took too long")), maxWaitMs);
  try {
    return await untilAborted(signal, send({ abortSignal: signal }));
  } finally {
    clearTimeout(timer);
    dispose();
  }
}

/**
 * Sends a request that cleans up.
 *
 * @param caller ends it early; not the signal of a call that has failed, as that may be what ended it
 * @returns whether nothing is left: it succeeded, or there was nothing to remove
 */
export async function cleanUp(
  send: (options: { abortSignal: AbortSignal }) => Promise<unknown>,
  caller?: AbortSignal,
): Promise<boolean> {
  try {
    await withinTime(send, caller);
    return true;
  } catch (error) {
    return error instanceof Error && error.name === "NoSuchUpload";
  }
}

export { type Leftover, withLeftover } from "../transfer/call.js";
