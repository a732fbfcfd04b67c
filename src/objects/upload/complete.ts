/** Makes the object of the parts that any number of processes have sent. */

import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { commitUpload as completeMultipart } from "../../s3/multipart.js";
import { withTransfer } from "../../transfer/about-object.js";
import type { CallOptions } from "../../transfer/call-signal.js";
import { callSignal } from "../../transfer/call-signal.js";
import type { ClientConfig } from "../encrypted/config.js";
import { expectedContextArgument } from "../encrypted/read-arguments.js";
import { type PutOutput, putOutput } from "../put/write.js";
import { multipartInput, sentPart } from "./begin.js";
import type { UploadPartInput } from "./distributed.js";
import { PartGuard, requireTime } from "./part-guard.js";
import { readUploadedParts, type UploadedPart, verifiesPart } from "./parts.js";
import type { RecordKey } from "./record-key.js";
import { invalidRecord } from "./records.js";
import { forgetTicket, objectOf, type ParsedTicket, readTicket, ticketKeys, ticketPut } from "./ticket.js";

/** What `completeUpload` takes. */
export interface CompleteUploadInput
  extends Pick<UploadPartInput, "ticket" | "encryptionContext" | "SSECustomerKey"> {
  /** The results of all parts, in any order. */
  readonly parts: readonly UploadedPart[];
}

/** See `EnvelopeClient.completeUpload`. */
export async function completeUpload(
  config: ClientConfig,
  input: CompleteUploadInput,
  options: CallOptions,
): Promise<PutOutput> {
  const names = fieldNames.completeUpload;
  const caller = callSignal(names.options, options);
  const given = fieldsArgument<CompleteUploadInput>(names.input, input) as CompleteUploadInput;
  const expected = expectedContextArgument(given.encryptionContext);
  const read = readTicket("ticket", given.ticket);
  const { ticket } = read;
  return withTransfer(caller, objectOf(ticket), async (transfer) => {
    const parts = readUploadedParts(given.parts, ticket);
    const put = ticketPut(read, given.SSECustomerKey);
    const { recordKey } = await ticketKeys(config, read, expected, transfer.signal);
    await requireSameSource(read, parts, recordKey);
    const sending = multipartInput(config, read, put, transfer);
    const output = await completeMultipart(sending, ticket.UploadId, parts.map(sentPart));
    forgetTicket(config, read);
    return putOutput(output, ticket.plaintextLength);
  });
}

/** Checks that all parts are this upload's, and made of one state of the source. */
async function requireSameSource(
  { ticket }: ParsedTicket,
  parts: readonly UploadedPart[],
  recordKey: RecordKey,
): Promise<void> {
  for (const part of parts) {
    if (shouldYield()) await yieldToEventLoop();
    if (verifiesPart(recordKey, ticket.mac, part)) continue;
    throw invalidRecord(`part ${part.PartNumber}`, "its result was changed, or is of another upload");
  }
  const guard = new PartGuard(ticket);
  const modifiedMs =
    ticket.sourceModifiedMs ?? parts.find((part) => part.sourceModifiedMs !== undefined)?.sourceModifiedMs;
  for (const part of parts) {
    if (shouldYield()) await yieldToEventLoop();
    guard.require(part.PartNumber, part);
    requireTime(part.sourceModifiedMs, modifiedMs, part.PartNumber);
  }
}
