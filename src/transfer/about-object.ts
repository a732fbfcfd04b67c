/** Which object an error is about: every error of a call on an object says so in its details. */
import { EnvelopeError, withDetails } from "../base/errors.js";
import { type CallSignal, transferSignal } from "./call-signal.js";

/** An object, and the range or the part of it that a call is about. */
export interface ObjectFacts {
  readonly bucket: string;
  readonly key: string;
  /** The bytes of the object in S3 that were requested, in the form of Range; of an encrypted object they are ciphertext. */
  readonly range?: string | undefined;
  readonly partNumber?: number | undefined;
}

/**
 * Runs a call on an object. Its errors name the object: the frame layer, the keyring and the envelope do not know it.
 *
 * @param transfer the call's, so that the reason of the caller's signal comes out as it is
 */
export async function aboutObject<T>(
  object: ObjectFacts,
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
  object: ObjectFacts,
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

/**
 * The same error with bucket, key, and range or part among its details, unless it names an object already: that of the
 * request that failed, which may be a sidecar.
 */
export function namingObject(
  error: unknown,
  { bucket, key, range, partNumber }: ObjectFacts,
  transfer: Pick<CallSignal, "isCallersReason">,
): unknown {
  if (!isOwn(error) || transfer.isCallersReason(error)) return error;
  const { details } = error;
  if (details.bucket !== undefined && details.key !== undefined) return error;
  const facts = {
    bucket,
    key,
    ...(range !== undefined && { range }),
    ...(partNumber !== undefined && { partNumber }),
  };
  return withDetails(error, { ...facts, ...details });
}

/** Not an instance of a caller's class that extends ours, which comes out as it is. */
function isOwn(error: unknown): error is EnvelopeError {
  return error instanceof EnvelopeError && Object.getPrototypeOf(error) === EnvelopeError.prototype;
}
