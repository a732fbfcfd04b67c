/** Aborts an upload by its ticket or its checkpoint, together with a sidecar that certainly belongs to it alone. */
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { abortMultipart } from "../../s3/multipart.js";
import { isUnfinished } from "../../s3/stored-parts.js";
import { type CallOptions, type CheckedCallOptions, callOptions, withCall } from "../../transfer/call.js";
import type { ClientConfig } from "../encrypted/config.js";
import { deleteSidecar, sidecarLocation } from "../encrypted/sidecar.js";
import { Checkpoint, checkpointPathArgument } from "./checkpoint.js";
import { isWritten } from "./outcome.js";
import { multipartInput } from "./session.js";
import {
  forgetTicket,
  type ParsedTicket,
  parseTicket,
  ticketPut,
  type UploadTicket,
  unlockTicket,
} from "./ticket.js";

/** The input of `abortUpload`: the ticket, or the checkpoint of an `upload` that will not be resumed. */
export type AbortUploadInput = { readonly ticket: UploadTicket } | { readonly checkpointPath: string };

/** The output of `abortUpload`. */
export interface AbortUploadOutput {
  /**
   * Key of the upload's sidecar, if it was kept because an object may need it. Remove it if no object, older versions
   * included, has the salt that is in its key.
   */
  readonly possiblyOrphanedSidecarKey?: string;
}

/** See `EnvelopeClient.abortUpload`. */
export async function abortUpload(
  config: ClientConfig,
  input: AbortUploadInput,
  options: CallOptions,
): Promise<AbortUploadOutput> {
  const { abortUpload: names } = fieldNames;
  const checked = callOptions(names.options, options);
  const { ticket, checkpointPath } = fieldsArgument<AbortUploadInput>(names.input, input);
  if ((ticket === undefined) === (checkpointPath === undefined))
    throw new TypeError("ticket, checkpointPath: expected one of them");
  if (checkpointPath === undefined) return abortParsed(config, parseTicket("ticket", ticket), checked);
  const checkpoint = await Checkpoint.find(checkpointPathArgument(checkpointPath));
  if (!checkpoint) return {};
  try {
    const { recorded } = checkpoint;
    if (recorded) await checkpoint.takeOver();
    const output = recorded ? await abortParsed(config, recorded.parsed, checked) : {};
    await checkpoint.remove();
    return output;
  } finally {
    await checkpoint.close();
  }
}

/**
 * Aborts the upload of a ticket. An unverified ticket can end only that: its salt may be that of an object that is in
 * use.
 */
function abortParsed(
  config: ClientConfig,
  parsed: ParsedTicket,
  options: CheckedCallOptions,
): Promise<AbortUploadOutput> {
  const { ticket, envelope } = parsed;
  const { UploadId, Bucket: bucket, Key: key } = ticket;
  return withCall({ operation: "abortUpload", bucket, key }, options, async (call) => {
    const { signal } = call;
    const put = ticketPut({ envelope, ticket: withoutCustomerKey(ticket) }, undefined);
    const multipart = multipartInput(config, call, put);
    const hasSidecar = ticket.envelopeStorage === "sidecar";
    const isVerified = hasSidecar && (await verifies(config, parsed, signal));
    forgetTicket(config, ticket);
    // A completed object may have been overwritten since, and an older version needs the sidecar.
    const wasUnfinished = isVerified && (await isUnfinished(multipart, UploadId, signal));
    // Without an upload, the object may exist and need its sidecar.
    if (!(await abortMultipart(multipart, UploadId, { signal }))) return {};
    const location = hasSidecar ? sidecarLocation(put, envelope.header) : undefined;
    if (!location) return {};
    const written = isVerified ? await isWritten({ multipart, ticket }, signal) : undefined;
    signal.throwIfAborted();
    if (written) return {};
    if (!wasUnfinished || written === undefined) return { possiblyOrphanedSidecarKey: location.Key };
    if (await deleteSidecar(config.s3, location, signal)) return {};
    signal.throwIfAborted();
    throw new EnvelopeError(
      "S3_UNAVAILABLE",
      `the upload was aborted, but its sidecar "${location.Key}" could not be removed: nothing needs it, remove it`,
      { details: { orphanedSidecarKey: location.Key } },
    );
  });
}

/**
 * Verifies a ticket. An upload can be aborted without its key, so a key that is gone is no failure.
 *
 * @returns false when no key can verify it
 * @throws EnvelopeError `CHECKPOINT_INVALID` when the ticket was changed; every retryable error
 */
async function verifies(config: ClientConfig, parsed: ParsedTicket, signal: AbortSignal): Promise<boolean> {
  try {
    await unlockTicket(config, parsed, "any", signal);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (hasCode(error, "CHECKPOINT_INVALID")) throw error;
    if (error instanceof EnvelopeError && error.retryable) throw error;
    return false;
  }
}

function withoutCustomerKey({ SSECustomerKeyMD5: _md5, ...ticket }: UploadTicket): UploadTicket {
  return ticket;
}
