/** Which object an error is about: superseded by the frame of a call. */
import { type ObjectTarget, withTarget } from "./call.js";
import { type CallSignal, transferSignal } from "./call-signal.js";

/**
 * Runs a call on an object. Its errors name the object: the frame layer, the keyring and the envelope do not know it.
 *
 * @param transfer the call's, so that the reason of the caller's signal comes out as it is
 */
export async function aboutObject<T>(
  object: ObjectTarget,
  transfer: Pick<CallSignal, "isCallersReason">,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw namingObject(error, object, transfer);
  }
}

/** Runs a call on an object that ends with the caller's signal, and whose failure ends all of its requests. */
export async function withTransfer<T>(
  caller: AbortSignal | undefined,
  object: ObjectTarget,
  act: (transfer: CallSignal) => Promise<T>,
): Promise<T> {
  const transfer = transferSignal(caller);
  try {
    transfer.signal.throwIfAborted();
    return await aboutObject(object, transfer, () => act(transfer));
  } catch (error) {
    transfer.abort(error);
    throw error;
  } finally {
    transfer.dispose();
  }
}

/** The same error with bucket, key, and range or part among its details. */
export const namingObject: (
  error: unknown,
  object: ObjectTarget,
  transfer: Pick<CallSignal, "isCallersReason">,
) => unknown = withTarget;

export type { ObjectTarget as ObjectFacts } from "./call.js";
