/**
 * The frame of every call: its options, its signal, its progress, the memory that it borrows, and the object that its errors
 * name. A call begins and ends here and nowhere else.
 */
import { linkedSignal } from "../base/abort.js";
import { wrongType } from "../base/arguments.js";
import { EnvelopeError, withDetails } from "../base/errors.js";
import { type FieldList, type Fields, fieldsArgument, type NamesOf } from "../fields/field-list.js";
import type { MemoryBudget } from "./memory-budget.js";
import { type ProgressListener, ProgressMeter, progressArgument, type TransferProgress } from "./progress.js";

/** Options of every call. */
export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason. */
  readonly abortSignal?: AbortSignal | undefined;
}

/** Options of every call that moves a body. */
export interface TransferOptions extends CallOptions {
  /** Called with the progress, at most ten times a second, and once at the end. An error that it throws ends the call. */
  readonly onProgress?: ProgressListener | undefined;
}

/** The options of a call after validation. */
export interface CheckedCallOptions {
  readonly abortSignal: AbortSignal | undefined;
  readonly onProgress: ProgressListener | undefined;
}

/**
 * Checks the options of a call, names and values.
 *
 * @param list the options that the call accepts
 */
export function callOptions(
  list: FieldList<NamesOf<CallOptions>> | FieldList<NamesOf<TransferOptions>>,
  options: unknown,
): CheckedCallOptions {
  return checkedOptions(fieldsArgument(list as FieldList<NamesOf<TransferOptions>>, options));
}

/** Checks the values of the options that every call has; the names have been checked, as those of a call with more options. */
export function checkedOptions({
  abortSignal,
  onProgress,
}: Partial<Fields<TransferOptions>>): CheckedCallOptions {
  if (abortSignal !== undefined && !(abortSignal instanceof AbortSignal))
    throw wrongType("options.abortSignal", "an AbortSignal", abortSignal);
  return { abortSignal, onProgress: progressArgument(onProgress) };
}

/** An object, and the range or the part of it that a call or a request concerns. */
export interface ObjectTarget {
  readonly bucket: string;
  readonly key: string;
  /** The bytes of the object in S3, in the form of Range; of an encrypted object they are ciphertext. */
  readonly range?: string | undefined;
  readonly partNumber?: number | undefined;
}

/** The methods of this package that run in a frame. */
export type CallOperation =
  | TransferProgress["operation"]
  | "head"
  | "delete"
  | "open"
  | "read"
  | "beginUpload"
  | "uploadPart"
  | "completeUpload"
  | "abortUpload"
  | "listUploads"
  | "abortUploads"
  | "reEncryptInstructionFile";

/** The operation and the object of a call. */
export interface CallTarget extends ObjectTarget {
  readonly operation: CallOperation;
  /** The budget that the call acquires leases from, if it does. Leases that it still has at its end are released. */
  readonly budget?: MemoryBudget | undefined;
}

/** How requests and helpers of a call take part in its ending. */
export interface CallControl {
  /** Aborts with the caller's signal, and with the first failure of the call. */
  readonly signal: AbortSignal;
  /** Ends all requests of the call with this reason, unless the call has been aborted already. */
  readonly abort: (reason: unknown) => void;
  /** Whether this is the reason of the caller's signal, which must come out unchanged. */
  readonly isCallersReason: (error: unknown) => boolean;
}

/** A call that is under way. Its identity stands for it in the memory budget. */
export interface Call extends CallControl {
  readonly meter: ProgressMeter;
}

/** A call whose result, such as a body, outlives the function that made it: `end` or `close` ends it, whichever comes first. */
export interface OpenCall extends Call {
  /** Ends the call after the result has been read to its end. */
  readonly end: () => void;
  /** Ends the call before that, and aborts what still runs. */
  readonly close: () => void;
  /** Adds the object of the call to an error of its result; see {@link withTarget}. */
  readonly named: (error: unknown, range?: string) => unknown;
}

/**
 * Runs a call. Its errors name the object; its first failure aborts all of its requests.
 *
 * @throws the reason of the caller's signal, before `act` runs if it was aborted already
 */
export async function withCall<T>(
  target: CallTarget,
  options: CheckedCallOptions,
  act: (call: Call) => Promise<T>,
): Promise<T> {
  return openCall(target, options, async (call) => {
    const result = await act(call);
    // Not aborted: that would close connections which are about to be kept alive.
    call.end();
    return result;
  });
}

/** The same for a call that stays open until its result is read to the end or closed. A failure of `act` closes it. */
export async function openCall<T>(
  target: CallTarget,
  options: CheckedCallOptions,
  act: (call: OpenCall) => Promise<T>,
): Promise<T> {
  const call = beginCall(target, options);
  try {
    call.signal.throwIfAborted();
    return await act(call);
  } catch (error) {
    const failure = call.named(error);
    call.abort(failure);
    call.end();
    throw failure;
  }
}

/** The same for a call that yields its results. */
export async function* iterateCall<T>(
  target: CallTarget,
  options: CheckedCallOptions,
  act: (call: Call) => AsyncIterable<T>,
): AsyncGenerator<T, undefined> {
  const call = beginCall(target, options);
  try {
    call.signal.throwIfAborted();
    yield* act(call);
    return undefined;
  } catch (error) {
    const failure = call.named(error);
    call.abort(failure);
    throw failure;
  } finally {
    call.end();
  }
}

function beginCall({ budget, operation, ...object }: CallTarget, options: CheckedCallOptions): OpenCall {
  const { abortSignal: caller, onProgress } = options;
  const { signal, abort, dispose } = linkedSignal(caller);
  const { bucket: Bucket, key: Key } = object;
  // Only the calls that TransferProgress lists accept a listener.
  const subject = { operation: operation as TransferProgress["operation"], Bucket, Key };
  let isOver = false;
  const call: OpenCall = {
    signal,
    abort,
    isCallersReason: (error) => caller?.aborted === true && caller.reason === error,
    meter: new ProgressMeter(subject, onProgress),
    end() {
      if (isOver) return;
      isOver = true;
      dispose();
      budget?.releaseAll(call);
    },
    close() {
      abort(new Error(`${operation} was closed`));
      call.end();
    },
    named: (error, range = object.range) => withTarget(error, { ...object, range }, call),
  };
  return call;
}

/**
 * Adds bucket, key, and range or part to the details of an error, unless the error names an object already: that of the
 * request that failed, which may be a sidecar. The frame layer, the keyring and the envelope do not know the object.
 *
 * @returns the error itself when it is the reason of the caller's signal, or of a class of the caller's
 */
export function withTarget(
  error: unknown,
  { bucket, key, range, partNumber }: ObjectTarget,
  call?: Pick<CallControl, "isCallersReason">,
): unknown {
  if (!isOwn(error) || call?.isCallersReason(error)) return error;
  const { details } = error;
  if (details.bucket !== undefined && details.key !== undefined) return error;
  const target = {
    bucket,
    key,
    ...(range !== undefined && { range }),
    ...(partNumber !== undefined && { partNumber }),
  };
  return withDetails(error, { ...target, ...details });
}

/** Whether an error is of EnvelopeError itself; instances of a caller's subclass come out unchanged. */
function isOwn(error: unknown): error is EnvelopeError {
  return error instanceof EnvelopeError && Object.getPrototypeOf(error) === EnvelopeError.prototype;
}

/** Something that a failed call could not remove, or kept for a later call: a detail of its error, and what to do about it. */
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
  /** A sentence without its full stop, which follows the message of the error. */
  readonly advice: string;
}

/** Adds a leftover to the error of a call. The reason of the caller's signal, and an error of the caller's, stay unchanged. */
export function withLeftover(
  error: unknown,
  call: Pick<CallControl, "isCallersReason">,
  leftover: Leftover,
): unknown {
  if (!(error instanceof EnvelopeError) || call.isCallersReason(error)) return error;
  return withDetails(error, leftover.details, `${error.message}. ${leftover.advice}`);
}
