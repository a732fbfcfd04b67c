/** How an upload that has an id ends: kept for another try, or aborted with all that belongs to it. */
import { AbortMultipartUploadCommand } from "@aws-sdk/client-s3";
import { EnvelopeError, hasCode } from "../errors.js";
import { withinTime, withLeftover } from "./clean-up.js";
import { objectFields } from "./fields.js";
import { abortUpload, type MultipartInput } from "./multipart.js";
import type { ProgressMeter } from "./progress.js";
import type { ClientSettings } from "./settings.js";
import { sidecarLocation } from "./sidecar-object.js";
import type { TransferSignal } from "./transfer-signal.js";
import type { Checkpoint } from "./upload-checkpoint.js";
import type { SeekableSource } from "./upload-source.js";
import { forgetTicket, type ReadTicket } from "./upload-ticket.js";
import { type PutOutput, undoSidecar, type WriteRequest } from "./write.js";

/** One call of `upload`. */
export interface Run {
  readonly settings: ClientSettings;
  readonly request: WriteRequest;
  readonly source: SeekableSource;
  readonly transfer: TransferSignal;
  readonly meter: ProgressMeter;
  readonly checkpoint: Checkpoint | undefined;
}

/** A multipart upload that has an id. */
export interface Multipart {
  readonly input: MultipartInput;
  readonly read: ReadTicket;
}

/**
 * Runs what may fail of an upload that has an id. With a checkpoint, upload and checkpoint stay for another try, unless
 * the caller ended it or no other try can succeed; without one the upload is aborted.
 *
 * @param act is given a function to call before the first part is sent
 */
export async function endingWell(
  call: Run,
  multipart: Multipart,
  act: (sending: () => void) => Promise<PutOutput>,
): Promise<PutOutput> {
  const { settings, transfer, checkpoint } = call;
  const { read } = multipart;
  const { ticket } = read;
  let isSending = false;
  let output: PutOutput;
  try {
    output = await act(() => {
      isSending = true;
    });
  } catch (error) {
    transfer.abort(error);
    if (checkpoint?.hasBegun) {
      // Somebody else's by now: all of it is theirs to end.
      if (!(await checkpoint.isOwn().catch(() => true))) throw error;
      if (!isFinal(error, isSending, transfer)) {
        throw withLeftover(error, transfer, {
          details: { checkpointPath: checkpoint.path, uploadId: ticket.UploadId },
          advice: `Upload and checkpoint "${checkpoint.path}" were kept: call upload again to go on, or abortUpload to give up`,
        });
      }
    }
    const failure = await undo(settings, multipart, transfer, error);
    if (checkpoint?.hasBegun) await checkpoint.remove().catch(() => undefined);
    throw failure;
  } finally {
    forgetTicket(settings, read);
  }
  return output;
}

/** Aborts an upload; its sidecar goes only if nobody can have completed it, another process neither. */
async function undo(
  settings: ClientSettings,
  { input, read }: Multipart,
  transfer: TransferSignal,
  error: unknown,
): Promise<unknown> {
  const { s3, put, commit } = input;
  const { UploadId, envelopeStorage } = read.ticket;
  if (envelopeStorage === "metadata") return abortUpload(input, UploadId, error);
  const command = new AbortMultipartUploadCommand({ ...objectFields(put), UploadId });
  const isAborted = await withinTime((options) => s3.send(command, options)).then(
    () => true,
    () => false,
  );
  const failure = isAborted ? error : await abortUpload(input, UploadId, error);
  const state = { transfer, commit: { mayExist: commit.mayExist || !isAborted }, stored: true };
  return undoSidecar(settings, sidecarLocation(put, read.envelope.header), state, failure);
}

/** Whether an upload with a checkpoint is given up. */
function isFinal(error: unknown, isSending: boolean, transfer: TransferSignal): boolean {
  if (transfer.isCallersReason(error)) return true;
  return isSending && (!(error instanceof EnvelopeError) || hasCode(error, "S3_PRECONDITION_FAILED"));
}
