/** One signal for all requests of a transfer: superseded by the frame of a call. */

import { onAbort, ownController } from "../base/abort.js";
import { type FieldList, fieldsArgument, type NamesOf } from "../fields/field-list.js";
import { type CallOptions, checkedOptions } from "./call.js";

export type { CallOptions, TransferOptions } from "./call.js";

/** A signal that the transfer itself can raise. The first reason stays. */
export interface CallSignal {
  readonly signal: AbortSignal;
  /** Whether this is what the caller's signal was aborted with: nothing may be added to it. */
  isCallersReason(error: unknown): boolean;
  /** Ends the transfer with this reason, unless it has ended already. */
  readonly abort: (reason: unknown) => void;
  /** Lets go of the caller's signal. */
  readonly dispose: () => void;
  /** Ends what still runs, such as bodies that nobody will read, and lets go of the caller's signal. */
  readonly close: () => void;
}

/** Makes the signal of a transfer, which aborts with the caller's. */
export function transferSignal(caller: AbortSignal | undefined): CallSignal {
  const controller = ownController();
  const { signal } = controller;
  const abort = (reason: unknown) => controller.abort(reason);
  if (caller?.aborted) abort(caller.reason);
  const stop = caller && onAbort(caller, () => abort(caller.reason));
  const dispose = () => stop?.();
  const close = () => {
    abort(new Error("the body was closed"));
    dispose();
  };
  return { signal, ...reasonOf(caller), abort, dispose, close };
}

/** What a call without a transfer has of one. */
export function reasonOf(caller: AbortSignal | undefined): Pick<CallSignal, "isCallersReason"> {
  return { isCallersReason: (error) => caller?.aborted === true && caller.reason === error };
}

/** The signal of a call that has no other option. */
export function callSignal(list: FieldList<NamesOf<CallOptions>>, options: unknown): AbortSignal | undefined {
  return abortSignalArgument(fieldsArgument<CallOptions>(list, options));
}

/** The signal among the options of a call, checked. */
export function abortSignalArgument({
  abortSignal,
}: {
  readonly abortSignal?: unknown;
}): AbortSignal | undefined {
  return checkedOptions({ abortSignal }).abortSignal;
}
