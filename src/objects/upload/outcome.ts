/** The outcome of a multipart upload: whether its object exists, and the abort of a failed one together with its sidecar. */
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { ciphertextLength } from "../../cobblestone/layout.js";
import { type ConfirmedWriteOutput, findWritten } from "../../s3/confirmed-write.js";
import { isUploadGone } from "../../s3/errors.js";
import { abortMultipart, discardUpload } from "../../s3/multipart.js";
import { isUnfinished } from "../../s3/stored-parts.js";
import { newSidecarLocation } from "../encrypted/sidecar.js";
import { removeSidecar } from "../put/sidecar-write.js";
import type { UploadSession } from "./session.js";

type Upload = Pick<UploadSession, "multipart" | "ticket">;

/**
 * Finds the object of an upload.
 *
 * @returns undefined when the object does not exist, or when another write made it
 * @throws EnvelopeError when the request fails
 */
export async function findObject(
  { multipart: { s3, put }, ticket }: Upload,
  signal: AbortSignal,
): Promise<ConfirmedWriteOutput | undefined> {
  try {
    return await findWritten({ s3, put, signal }, ciphertextLength(ticket.plaintextLength));
  } catch (error) {
    if (hasCode(error, "S3_NOT_FOUND")) return undefined;
    throw error;
  }
}

/**
 * Whether the object of an upload exists although S3 has accepted the abort: for some hours it accepts the abort of a
 * completed upload, too.
 *
 * @returns undefined when the request fails
 */
export async function isWritten(
  upload: Upload,
  signal: AbortSignal = new AbortController().signal,
): Promise<boolean | undefined> {
  return findObject(upload, signal).then(
    (written) => written !== undefined,
    () => undefined,
  );
}

/**
 * Aborts an upload that has failed. Its sidecar is removed only if nobody, another process included, can have completed
 * the upload.
 *
 * @param isResumed whether an earlier call began the upload, so that it may have been completed since
 * @returns the error, which names everything that is left
 */
export async function abortFailed(
  session: UploadSession,
  isResumed: boolean,
  error: unknown,
): Promise<unknown> {
  const { config, call, multipart, ticket, envelope } = session;
  const { UploadId } = ticket;
  if (ticket.envelopeStorage === "metadata") return discardUpload(multipart, UploadId, error);
  // A completed object may have been overwritten since, and an older version needs the sidecar.
  const mayBeCompleted = isResumed && !(await isUnfinished(multipart, UploadId));
  const isAborted = await abortMultipart(multipart, UploadId, { isBounded: true }).catch(() => false);
  const failure = isAborted ? error : await discardUpload(multipart, UploadId, error);
  const mayExist =
    multipart.commit.mayExist || mayBeCompleted || !isAborted || (await isWritten(session)) !== false;
  return removeSidecar(
    config,
    newSidecarLocation(multipart.put, envelope.header),
    { call, commit: { mayExist }, stored: true },
    failure,
  );
}

/**
 * Replaces the error of a request whose upload does not exist any more. A call with a ticket cannot succeed later; one
 * that would begin another upload can.
 *
 * @returns every other error unchanged
 */
export function goneError(error: unknown): unknown {
  if (!isUploadGone(error)) return error;
  const { cause, details } = error;
  const message =
    "the upload of the ticket does not exist any more: it was completed, or aborted by a lifecycle rule or by somebody else (NoSuchUpload)";
  return new EnvelopeError("S3_NOT_FOUND", message, { cause, details });
}
