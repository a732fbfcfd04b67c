/** Gives up an upload by its ticket or its checkpoint, with a sidecar that is surely its own. */

import { AbortMultipartUploadCommand } from "@aws-sdk/client-s3";
import { stringArgument } from "../../base/arguments.js";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { isUploadGone, s3Request } from "../../s3/errors.js";
import { objectFields } from "../../s3/fields.js";
import { guarded } from "../../service/response-guard.js";
import { withTransfer } from "../../transfer/about-object.js";
import type { CallOptions } from "../../transfer/call-signal.js";
import { callSignal } from "../../transfer/call-signal.js";
import type { ClientSettings } from "../encrypted/config.js";
import { deleteSidecar, sidecarLocation } from "../encrypted/sidecar.js";
import { multipartInput } from "./begin.js";
import { Checkpoint } from "./checkpoint.js";
import { isWritten } from "./ending.js";
import { isUnfinished } from "./listing.js";
import {
  forgetTicket,
  objectOf,
  type ReadTicket,
  readTicket,
  ticketKeys,
  ticketPut,
  type UploadTicket,
} from "./ticket.js";

/** What `abortUpload` takes: the ticket, or the checkpoint of an `upload` that will not be gone on with. */
export type AbortUploadInput = { readonly ticket: UploadTicket } | { readonly CheckpointPath: string };

/** What `abortUpload` gives. */
export interface AbortUploadOutput {
  /**
   * The key of the upload's sidecar, when it was kept, since it could not be shown that no object needs it: remove it if no
   * object, older versions included, has the salt that is in its key.
   */
  readonly possiblyOrphanedSidecarKey?: string;
}

/** See `EnvelopeClient.abortUpload`. */
export async function abortUpload(
  settings: ClientSettings,
  input: AbortUploadInput,
  options: CallOptions,
): Promise<AbortUploadOutput> {
  const signal = callSignal(fieldNames.abortUpload.options, options);
  const { ticket, CheckpointPath } = fieldsArgument<AbortUploadInput>(fieldNames.abortUpload.input, input);
  if ((ticket === undefined) === (CheckpointPath === undefined))
    throw new TypeError("ticket, CheckpointPath: expected one of them");
  if (CheckpointPath === undefined) return abortTicket(settings, readTicket("ticket", ticket), signal);
  const checkpoint = await Checkpoint.find(stringArgument("CheckpointPath", CheckpointPath));
  if (!checkpoint) return {};
  try {
    const { recorded } = checkpoint;
    if (recorded) await checkpoint.takeOver();
    const output = recorded ? await abortTicket(settings, recorded.read, signal) : {};
    await checkpoint.remove();
    return output;
  } finally {
    await checkpoint.close();
  }
}

/**
 * Ends the upload that a ticket names. A ticket that nobody has verified may end that and nothing else: its salt may
 * be the one of an object that is read every day.
 */
function abortTicket(
  settings: ClientSettings,
  read: ReadTicket,
  caller: AbortSignal | undefined,
): Promise<AbortUploadOutput> {
  const { UploadId, envelopeStorage } = read.ticket;
  return withTransfer(caller, objectOf(read.ticket), async (transfer) => {
    const { signal } = transfer;
    const put = ticketPut({ ...read, ticket: withoutCustomerKey(read.ticket) }, undefined);
    const input = multipartInput(settings, read, put, transfer);
    const isSidecar = envelopeStorage === "sidecar";
    const isVerified = isSidecar && (await verify(settings, read, signal));
    forgetTicket(settings, read);
    // One that was completed may have been overwritten since, and an older version need its sidecar.
    const wasUnfinished = isVerified && (await isUnfinished(input, UploadId, signal));
    const { s3, attempt } = input;
    const command = new AbortMultipartUploadCommand({ ...objectFields(put), UploadId });
    const asked = { ...attempt, operation: "AbortMultipartUpload" };
    try {
      await s3Request(asked, signal, (sending) => s3.send(guarded(command), sending));
    } catch (error) {
      // It may have been completed, and its object need its sidecar.
      if (isUploadGone(error)) return {};
      throw error;
    }
    const location = isSidecar ? sidecarLocation(put, read.envelope.header) : undefined;
    if (!location) return {};
    const written = isVerified ? await isWritten(input, read, signal) : undefined;
    signal.throwIfAborted();
    if (written) return {};
    if (!wasUnfinished || written === undefined) return { possiblyOrphanedSidecarKey: location.Key };
    if (await deleteSidecar(s3, location, signal)) return {};
    signal.throwIfAborted();
    throw new EnvelopeError(
      "S3_UNAVAILABLE",
      `the upload was aborted, but its sidecar "${location.Key}" could not be removed: nothing needs it, remove it`,
      { details: { orphanedSidecarKey: location.Key } },
    );
  });
}

/**
 * Whether a ticket is what was issued; false when no key can tell. What can be ended must not depend on a key that is
 * gone.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID` when it was changed, and what is worth another try
 */
async function verify(settings: ClientSettings, read: ReadTicket, signal: AbortSignal): Promise<boolean> {
  try {
    await ticketKeys(settings, read, "any", signal);
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
