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
import type { ClientConfig } from "../encrypted/config.js";
import { deleteSidecar, sidecarLocation } from "../encrypted/sidecar.js";
import { multipartInput } from "./begin.js";
import { Checkpoint } from "./checkpoint.js";
import { isWritten } from "./ending.js";
import { isUnfinished } from "./listing.js";
import {
  forgetTicket,
  objectOf,
  type ParsedTicket,
  readTicket,
  ticketKeys,
  ticketPut,
  type UploadTicket,
} from "./ticket.js";

/** What `abortUpload` takes: the ticket, or the checkpoint of an `upload` that will not be gone on with. */
export type AbortUploadInput = { readonly ticket: UploadTicket } | { readonly checkpointPath: string };

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
  config: ClientConfig,
  input: AbortUploadInput,
  options: CallOptions,
): Promise<AbortUploadOutput> {
  const signal = callSignal(fieldNames.abortUpload.options, options);
  const { ticket, checkpointPath } = fieldsArgument<AbortUploadInput>(fieldNames.abortUpload.input, input);
  if ((ticket === undefined) === (checkpointPath === undefined))
    throw new TypeError("ticket, checkpointPath: expected one of them");
  if (checkpointPath === undefined) return abortTicket(config, readTicket("ticket", ticket), signal);
  const checkpoint = await Checkpoint.find(stringArgument("checkpointPath", checkpointPath));
  if (!checkpoint) return {};
  try {
    const { recorded } = checkpoint;
    if (recorded) await checkpoint.takeOver();
    const output = recorded ? await abortTicket(config, recorded.read, signal) : {};
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
  config: ClientConfig,
  read: ParsedTicket,
  caller: AbortSignal | undefined,
): Promise<AbortUploadOutput> {
  const { UploadId, envelopeStorage } = read.ticket;
  return withTransfer(caller, objectOf(read.ticket), async (transfer) => {
    const { signal } = transfer;
    const put = ticketPut({ ...read, ticket: withoutCustomerKey(read.ticket) }, undefined);
    const input = multipartInput(config, read, put, transfer);
    const isSidecar = envelopeStorage === "sidecar";
    const isVerified = isSidecar && (await verify(config, read, signal));
    forgetTicket(config, read);
    // One that was completed may have been overwritten since, and an older version need its sidecar.
    const wasUnfinished = isVerified && (await isUnfinished(input, UploadId, signal));
    const { s3, target } = input;
    const command = new AbortMultipartUploadCommand({ ...objectFields(put), UploadId });
    const asked = { ...target, operation: "AbortMultipartUpload" };
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
async function verify(config: ClientConfig, read: ParsedTicket, signal: AbortSignal): Promise<boolean> {
  try {
    await ticketKeys(config, read, "any", signal);
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
