/** Recovery of an upload with a checkpoint: whether a failed one is kept or aborted, and how a later call resumes it. */
import { linkedSignal } from "../../base/abort.js";
import { forEachConcurrently } from "../../base/concurrency.js";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { type Call, type CallControl, withLeftover } from "../../transfer/call.js";
import { type SeekableSource, sourceChanged } from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import { type PutOutput, putOutput, type WriteRequest } from "../put/write-arguments.js";
import { type Checkpoint, type CheckpointState, requireAuthentic, requireSameRequest } from "./checkpoint.js";
import { abortFailed, findObject } from "./outcome.js";
import { guardOf } from "./part-guard.js";
import { earlierParts, sendMissingParts } from "./sending.js";
import { UploadSession } from "./session.js";

/**
 * Handles the failure of a call after its upload was created. With a checkpoint, upload and checkpoint are kept for
 * another call, unless the caller aborted or no other call can succeed. Without one, the upload is aborted.
 *
 * @param isSending whether parts may have been sent by this call
 * @returns the error to throw
 */
export async function failedUpload(
  session: UploadSession,
  checkpoint: Checkpoint | undefined,
  { isResumed, isSending }: { readonly isResumed: boolean; readonly isSending: boolean },
  error: unknown,
): Promise<unknown> {
  const { call } = session;
  call.abort(error);
  if (checkpoint?.hasHeader) {
    const isOwn = await checkpoint.isOwn().catch(() => undefined);
    // The process that has taken over decides.
    if (isOwn === false) return error;
    // Nothing is aborted while the owner is unknown.
    if (isOwn === undefined || !isFinal(error, isSending, call))
      return keptError(error, call, checkpoint, session.ticket.UploadId);
  }
  const failure = await abortFailed(session, isResumed, error);
  if (checkpoint?.hasHeader) await checkpoint.remove().catch(() => undefined);
  return failure;
}

/** Whether no other call with the checkpoint can succeed, or the caller wants none. */
function isFinal(error: unknown, isSending: boolean, call: Call): boolean {
  if (call.isCallersReason(error)) return true;
  return isSending && (!(error instanceof EnvelopeError) || hasCode(error, "S3_PRECONDITION_FAILED"));
}

/** The error of a call that has kept upload and checkpoint. It names both. */
function keptError(error: unknown, call: CallControl, { path }: Checkpoint, uploadId: string): unknown {
  return withLeftover(error, call, {
    details: { checkpointPath: path, uploadId },
    advice: `Upload and checkpoint "${path}" were kept: call upload again to resume, or abortUpload to abort`,
  });
}

/**
 * Resumes the upload of a checkpoint. All of the checkpoint is compared with the call and authenticated before any
 * request that depends on it.
 *
 * @returns undefined when the upload does not exist any more, and its object does not exist either
 */
export async function resumeUpload(
  config: ClientConfig,
  request: WriteRequest,
  source: SeekableSource,
  checkpoint: Checkpoint,
  found: CheckpointState,
  call: Call,
): Promise<PutOutput | undefined> {
  const session = await openRecorded(config, request, checkpoint, found, call);
  let recorded = found;
  let isSending = false;
  try {
    recorded = await checkpoint.takeOver();
    await requireAuthentic(checkpoint.path, session.recordKey, recorded);
    const listed = await session.listParts();
    if (listed) {
      requireSameSource(session, source);
      await requireSameBytes(session, source, recorded, call);
      isSending = true;
      return await sendMissingParts(session, source, checkpoint, earlierParts(recorded, listed));
    }
  } catch (error) {
    throw await failedUpload(session, checkpoint, { isResumed: true, isSending }, error);
  } finally {
    session.forgetKeys();
  }
  return findFinished(session, source, recorded);
}

/** Opens the upload of a checkpoint, once all of the checkpoint has been authenticated. */
async function openRecorded(
  config: ClientConfig,
  request: WriteRequest,
  checkpoint: Checkpoint,
  found: CheckpointState,
  call: Call,
): Promise<UploadSession> {
  const { path } = checkpoint;
  const { parsed } = found;
  requireSameRequest(path, found, request);
  const { SSECustomerKey } = request.put;
  try {
    const session = await UploadSession.open(
      config,
      { parsed, expected: request.context, SSECustomerKey },
      call,
    );
    await requireAuthentic(path, session.recordKey, found);
    return session;
  } catch (error) {
    if (hasCode(error, "CHECKPOINT_INVALID") || hasCode(error, "CONTEXT_MISMATCH")) throw error;
    throw keptError(error, call, checkpoint, parsed.ticket.UploadId);
  }
}

/** @throws EnvelopeError `SOURCE_CHANGED` for another length or modification time */
function requireSameSource({ ticket }: UploadSession, { length, modifiedMs }: SeekableSource): void {
  if (length !== ticket.plaintextLength) throw sourceChanged("it has another length", { size: length });
  if (modifiedMs !== ticket.sourceModifiedMs) throw sourceChanged("the file was modified", { modifiedMs });
}

/**
 * Encrypts all parts that were started again, and compares them with their recorded fingerprints.
 *
 * @param control ends the comparison; the call itself, or a part of it that may fail without ending the call
 * @throws EnvelopeError `SOURCE_CHANGED`
 */
async function requireSameBytes(
  session: UploadSession,
  source: SeekableSource,
  { started }: CheckpointState,
  control: Pick<CallControl, "signal" | "abort">,
): Promise<void> {
  const { config, ticket } = session;
  const guard = guardOf(config, ticket);
  for (const [partNumber, part] of started) guard.require(partNumber, part);
  await forEachConcurrently(started.keys(), config.maxConcurrentParts, control, async (partNumber) => {
    const part = await session.sealPart(source, partNumber, control.signal);
    try {
      guard.require(partNumber, part);
    } finally {
      part.release(true);
    }
  });
  await source.requireUnchanged();
}

/**
 * Finds the object of an upload that does not exist any more. Its sidecar stays in any case: an object that was
 * overwritten since may exist as an older version.
 *
 * @returns undefined when the object does not exist, or when it is not of the present source
 */
async function findFinished(
  session: UploadSession,
  source: SeekableSource,
  recorded: CheckpointState,
): Promise<PutOutput | undefined> {
  const { call, ticket } = session;
  const written = await findObject(session, call.signal);
  if (!written) return undefined;
  const isSame = source.length === ticket.plaintextLength && source.modifiedMs === ticket.sourceModifiedMs;
  if (!isSame || recorded.started.size < ticket.partCount) return undefined;
  if (!(await isOfSource(session, source, recorded))) return undefined;
  return putOutput(written, ticket.plaintextLength);
}

/** Whether an upload was made of the present source. The call continues in either case. */
async function isOfSource(
  session: UploadSession,
  source: SeekableSource,
  recorded: CheckpointState,
): Promise<boolean> {
  const { signal } = session.call;
  const comparison = linkedSignal(signal);
  try {
    await requireSameBytes(session, source, recorded, comparison);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (hasCode(error, "SOURCE_CHANGED")) return false;
    throw error;
  } finally {
    comparison.dispose();
  }
}
