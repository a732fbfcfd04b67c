/** One signal for all requests of a transfer: raised by the caller's signal or by the first failure. */
import { setMaxListeners } from "node:events";
import { recordArgument, wrongType } from "../arguments.js";

/** A signal that the transfer itself can raise. The first reason stays. */
export interface TransferSignal {
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
export function transferSignal(caller: AbortSignal | undefined): TransferSignal {
  const controller = new AbortController();
  const { signal } = controller;
  // Each request listens to it, and up to 64 parts are sent at once.
  setMaxListeners(0, signal);
  const abort = (reason: unknown) => controller.abort(reason);
  const onAbort = () => abort(caller?.reason);
  if (caller?.aborted) onAbort();
  else caller?.addEventListener("abort", onAbort, { once: true });
  const dispose = () => caller?.removeEventListener("abort", onAbort);
  const close = () => {
    abort(new Error("the body was closed"));
    dispose();
  };
  return { signal, ...reasonOf(caller), abort, dispose, close };
}

/** What a call without a transfer has of one. */
export function reasonOf(caller: AbortSignal | undefined): Pick<TransferSignal, "isCallersReason"> {
  return { isCallersReason: (error) => caller?.aborted === true && caller.reason === error };
}

/** The signal in the options of a call, checked. A signal in place of the options would never be heard. */
export function abortSignalArgument(options: unknown): AbortSignal | undefined {
  const { abortSignal } = recordArgument("options", options);
  if (abortSignal === undefined || abortSignal instanceof AbortSignal) return abortSignal;
  throw wrongType("options.abortSignal", "an AbortSignal", abortSignal);
}
