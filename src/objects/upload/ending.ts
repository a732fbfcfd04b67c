/** How an upload that has an id ends: kept for another try, or aborted with all that belongs to it. */
import { AbortMultipartUploadCommand } from "@aws-sdk/client-s3";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { ciphertextLength } from "../../cobblestone/layout.js";
import { withinTime, withLeftover } from "../../s3/clean-up.js";
import { type ConfirmedWriteOutput, findWritten } from "../../s3/confirmed-write.js";
import { objectFields } from "../../s3/fields.js";
import { discardUpload, type MultipartInput } from "../../s3/multipart.js";
import { guarded } from "../../service/response-guard.js";
import type { CallSignal } from "../../transfer/call-signal.js";
import type { ProgressMeter } from "../../transfer/progress.js";
import type { SeekableSource } from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import { newSidecarLocation } from "../encrypted/sidecar.js";
import { undoSidecar, type WriteRequest } from "../put/write.js";
import type { OpenUpload } from "./begin.js";
import type { Checkpoint } from "./checkpoint.js";
import { isUnfinished } from "./listing.js";
import { forgetTicket, type ParsedTicket, type UploadTicket } from "./ticket.js";

/** One call of `upload`. */
export interface UploadCall {
  readonly config: ClientConfig;
  readonly request: WriteRequest;
  readonly source: SeekableSource;
  readonly transfer: CallSignal;
  readonly meter: ProgressMeter;
  readonly checkpoint: Checkpoint | undefined;
}

/** A multipart upload that has an id. */
export interface Multipart extends OpenUpload {
  /** Whether an earlier call began it: it may have been completed since. */
  readonly isResumed: boolean;
}

/**
 * Runs what may fail of an upload that has an id. With a checkpoint, upload and checkpoint stay for another try, unless
 * the caller ended it or no other try can succeed; without one the upload is aborted.
 *
 * @param act is given a function to call before the first part is sent
 */
export async function withFailurePolicy<T>(
  call: UploadCall,
  multipart: Multipart,
  act: (sending: () => void) => Promise<T>,
): Promise<T> {
  const { config, transfer, checkpoint } = call;
  const { read } = multipart;
  const { ticket } = read;
  let isSending = false;
  try {
    return await act(() => {
      isSending = true;
    });
  } catch (error) {
    transfer.abort(error);
    if (checkpoint?.hasBegun) {
      const isOwn = await checkpoint.isOwn().catch(() => undefined);
      // Somebody else's by now: all of it is theirs to end.
      if (isOwn === false) throw error;
      // Nor may it be ended while nobody can tell whose it is.
      if (isOwn === undefined || !isFinal(error, isSending, transfer))
        throw keptError(error, transfer, checkpoint, ticket);
    }
    const failure = await undo(config, multipart, transfer, error);
    if (checkpoint?.hasBegun) await checkpoint.remove().catch(() => undefined);
    throw failure;
  } finally {
    forgetTicket(config, read);
  }
}

/** The error of a call that has kept upload and checkpoint, which names both. */
export function keptError(
  error: unknown,
  transfer: CallSignal,
  { path }: Checkpoint,
  { UploadId }: UploadTicket,
): unknown {
  return withLeftover(error, transfer, {
    details: { checkpointPath: path, uploadId: UploadId },
    advice: `Upload and checkpoint "${path}" were kept: call upload again to go on, or abortUpload to give up`,
  });
}

/** Aborts an upload; its sidecar goes only if nobody can have completed it, another process neither. */
async function undo(
  config: ClientConfig,
  { input, read, isResumed }: Multipart,
  transfer: CallSignal,
  error: unknown,
): Promise<unknown> {
  const { s3, put, commit } = input;
  const { UploadId, envelopeStorage } = read.ticket;
  if (envelopeStorage === "metadata") return discardUpload(input, UploadId, error);
  // One that was completed may have been overwritten since, and an older version need its sidecar.
  const mayBeCompleted = isResumed && !(await isUnfinished(input, UploadId));
  const command = new AbortMultipartUploadCommand({ ...objectFields(put), UploadId });
  const isAborted = await withinTime((options) => s3.send(guarded(command), options)).then(
    () => true,
    () => false,
  );
  const failure = isAborted ? error : await discardUpload(input, UploadId, error);
  const mayExist =
    commit.mayExist || mayBeCompleted || !isAborted || (await isWritten(input, read)) !== false;
  return undoSidecar(
    config,
    newSidecarLocation(put, read.envelope.header),
    { transfer, commit: { mayExist }, stored: true },
    failure,
  );
}

/**
 * Whether the object of an upload is there though its abort succeeded: for some hours S3 says so of uploads that
 * were completed, too. Undefined when that cannot be known.
 */
export async function isWritten(
  input: ObjectQuestion,
  read: ParsedTicket,
  signal: AbortSignal = new AbortController().signal,
): Promise<boolean | undefined> {
  return findObject(input, read, signal).then(
    (written) => written !== undefined,
    () => undefined,
  );
}

type ObjectQuestion = Pick<MultipartInput, "s3" | "put" | "target">;

/** What S3 says of the object of an upload, if it is there; rejects when that cannot be known. */
export async function findObject(
  { s3, put }: ObjectQuestion,
  { ticket }: ParsedTicket,
  signal: AbortSignal,
): Promise<ConfirmedWriteOutput | undefined> {
  try {
    return await findWritten({ s3, put, signal }, ciphertextLength(ticket.plaintextLength));
  } catch (error) {
    signal.throwIfAborted();
    if (!hasCode(error, "S3_NOT_FOUND")) throw error;
    return undefined;
  }
}

/** Whether an upload with a checkpoint is given up. */
function isFinal(error: unknown, isSending: boolean, transfer: CallSignal): boolean {
  if (transfer.isCallersReason(error)) return true;
  return isSending && (!(error instanceof EnvelopeError) || hasCode(error, "S3_PRECONDITION_FAILED"));
}
