/** One signal for all requests of a transfer: raised by the caller's signal or by the first failure. */

import { onAbort, ownController } from "../base/abort.js";
import { wrongType } from "../base/arguments.js";
import { type FieldList, type Fields, fieldsArgument, type NamesOf } from "../fields/field-list.js";
import type { ProgressListener } from "./progress.js";

/** Options of every call. */
export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason. */
  readonly abortSignal?: AbortSignal | undefined;
}

/** Options of every call that moves a body. */
export interface TransferOptions extends CallOptions {
  /** Is told how far it has come, at most ten times a second and at its end. What it throws ends the call. */
  readonly onProgress?: ProgressListener | undefined;
}

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
export function abortSignalArgument({ abortSignal }: Fields<CallOptions>): AbortSignal | undefined {
  if (abortSignal === undefined || abortSignal instanceof AbortSignal) return abortSignal;
  throw wrongType("options.abortSignal", "an AbortSignal", abortSignal);
}
