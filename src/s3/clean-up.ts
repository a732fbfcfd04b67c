/** Removing what a failed call has left in S3, within bounded time, and saying so when that fails too. */

import { untilAborted } from "../base/abort.js";
import { EnvelopeError, withDetails } from "../base/errors.js";
import { type CallSignal, transferSignal } from "../transfer/call-signal.js";

/** How long a request about what a failed call left may take with its retries, in milliseconds. */
const maxWaitMs = 10_000;

/** Sends such a request; rejects with the reason of the caller's signal, or when it takes too long. */
export async function withinTime<T>(
  send: (options: { abortSignal: AbortSignal }) => Promise<T>,
  caller?: AbortSignal,
): Promise<T> {
  const { signal, abort, dispose } = transferSignal(caller);
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

/** What a failed call could not remove, or kept to go on later: a fact for the details of its error, and what to do about it. */
export interface Leftover {
  readonly details:
    | { readonly orphanedUploadId: string }
    | { readonly orphanedSidecarKey: string }
    | { readonly possiblyOrphanedSidecarKey: string }
    | { readonly orphanedKeys: readonly string[] }
    | { readonly stagingKey: string }
    | { readonly targetBucket: string; readonly targetKey: string }
    | { readonly orphanedInstructionFileKey: string }
    | { readonly possiblyOrphanedInstructionFileKey: string }
    | { readonly lostInstructionFileKey: string }
    | { readonly checkpointPath: string; readonly uploadId: string };
  readonly advice: string;
}

/** The same error, which now also says what was left behind. The reason of a caller's signal stays as it is. */
export function withLeftover(error: unknown, transfer: CallSignal, leftover: Leftover): unknown {
  if (!(error instanceof EnvelopeError) || transfer.isCallersReason(error)) return error;
  return withDetails(error, leftover.details, `${error.message}. ${leftover.advice}`);
}
