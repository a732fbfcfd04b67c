/** An upload that several processes share: it is begun by one, and completed by one from the parts that all have sent. */
import { wrongType } from "../../base/arguments.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { type CallOptions, callOptions, withCall } from "../../transfer/call.js";
import type { ClientConfig } from "../encrypted/config.js";
import { type PutOutput, type WriteInput, writeArguments } from "../put/write-arguments.js";
import { requireOneSource } from "./part-guard.js";
import { layoutArgument, readAllUploaded, requireAuthenticParts, type UploadedPart } from "./parts.js";
import { UploadSession } from "./session.js";
import { sourceDigestArgument, type TicketInput, ticketArguments, type UploadTicket } from "./ticket.js";

export { type AbortUploadInput, type AbortUploadOutput, abortUpload } from "./abort.js";
export { type UploadPartInput, uploadPartByTicket } from "./part-upload.js";
export type { UploadedPart, UploadTicket };

/** The input of `beginUpload`: that of PutObject without a body, and the length of the plaintext. */
export interface BeginUploadInput extends WriteInput {
  /** Length of the plaintext that all parts make up, in bytes. */
  readonly plaintextLength: number;
  /**
   * Modification time of the source file, in milliseconds, as `stat` returns it in `mtimeMs`. A part from a `filePath` is
   * then sent only if its file has the same time.
   */
  readonly sourceModifiedMs?: number | undefined;
  /**
   * Text of your own that identifies the state of the source, at most 1,024 characters: for example its SHA-256, or the
   * ETag or version id of the object that it comes from. `uploadPart` then requires the same text. It is readable in the
   * ticket.
   */
  readonly sourceDigest?: string | undefined;
}

/** See `EnvelopeClient.beginUpload`. */
export async function beginUpload(
  config: ClientConfig,
  input: BeginUploadInput,
  options: CallOptions,
): Promise<UploadTicket> {
  const { beginUpload: names } = fieldNames;
  const checked = callOptions(names.options, options);
  const given = fieldsArgument<BeginUploadInput>(names.input, input) as BeginUploadInput;
  const { plaintextLength, sourceModifiedMs, sourceDigest, ...others } = given;
  const request = writeArguments(config, others, "CreateMultipartUpload");
  const layout = layoutArgument(config, plaintextLength);
  const source = {
    sourceModifiedMs: timeArgument("sourceModifiedMs", sourceModifiedMs),
    sourceDigest: sourceDigestArgument(sourceDigest),
  };
  return withCall({ ...request.target, operation: "beginUpload" }, checked, async (call) => {
    const { ticket } = await UploadSession.begin(config, request, layout, source, call);
    return ticket;
  });
}

function timeArgument(title: string, value: unknown): number | undefined {
  if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
  throw typeof value === "number"
    ? new RangeError(`${title}: expected milliseconds, got ${value}`)
    : wrongType(title, "a number of milliseconds", value);
}

/** The input of `completeUpload`. */
export interface CompleteUploadInput extends TicketInput {
  /** The results of all parts, in any order. */
  readonly parts: readonly UploadedPart[];
}

/** See `EnvelopeClient.completeUpload`. */
export async function completeUpload(
  config: ClientConfig,
  input: CompleteUploadInput,
  options: CallOptions,
): Promise<PutOutput> {
  const { completeUpload: names } = fieldNames;
  const checked = callOptions(names.options, options);
  const given = fieldsArgument<CompleteUploadInput>(names.input, input);
  const request = ticketArguments(given);
  const { ticket } = request.parsed;
  const target = { operation: "completeUpload", bucket: ticket.Bucket, key: ticket.Key } as const;
  return withCall(target, checked, async (call) => {
    const parts = readAllUploaded(given.parts, ticket);
    const session = await UploadSession.open(config, request, call);
    await requireAuthenticParts(session.recordKey, ticket.mac, parts);
    await requireOneSource(ticket, parts);
    const output = await session.complete(parts);
    session.forgetKeys();
    return output;
  });
}
