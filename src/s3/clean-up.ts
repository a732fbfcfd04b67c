/** Requests with bounded time, which remove the objects and uploads of a failed call. */

import { linkedSignal, untilAborted } from "../base/abort.js";
import { isUploadGone } from "./errors.js";

/** The longest time of such a request with its retries, in milliseconds. */
const maxWaitMs = 10_000;

/** Runs requests that must end soon; rejects with the reason of the caller's signal, or after 10 seconds. */
export async function withinTime<T>(
  act: (options: { abortSignal: AbortSignal }) => Promise<T>,
  caller?: AbortSignal,
): Promise<T> {
  const { signal, abort, dispose } = linkedSignal(caller);
  const timer = setTimeout(() => abort(tookTooLong()), maxWaitMs);
  try {
    return await untilAborted(signal, act({ abortSignal: signal }));
  } finally {
    clearTimeout(timer);
    dispose();
  }
}

function tookTooLong(): Error {
  return Object.assign(new Error(`no response within ${maxWaitMs} ms`), { name: "TimeoutError" });
}

/**
 * Sends a request that removes something, in bounded time.
 *
 * @param request one of `requests.ts`, with these options
 * @param caller ends it early; not the signal of a call that has failed, as that may be what ended it
 * @returns whether nothing is left: it succeeded, or there was nothing to remove
 */
export async function cleanUp(
  request: (options: {
    readonly signal: AbortSignal | undefined;
    readonly isBounded: true;
  }) => Promise<unknown>,
  caller?: AbortSignal,
): Promise<boolean> {
  try {
    await request({ signal: caller, isBounded: true });
    return true;
  } catch (error) {
    return isUploadGone(error);
  }
}
