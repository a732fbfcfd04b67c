/** What must hold before an upload goes on: the same input, and what S3 says it has. */
import { ListPartsCommand, type ListPartsCommandOutput, type Part } from "@aws-sdk/client-s3";
import { forEachConcurrently } from "../../base/concurrency.js";
import { hasCode } from "../../base/errors.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import { isUploadGone, s3Request } from "../../s3/errors.js";
import { partFields } from "../../s3/fields.js";
import type { MultipartInput } from "../../s3/multipart.js";
import { isSameETag, listGuard, pageCounter } from "../../s3/responses.js";
import { guarded } from "../../service/response-guard.js";
import { type CallSignal, transferSignal } from "../../transfer/call-signal.js";
import { type PutOutput, putOutput, type WriteRequest } from "../put/write.js";
import type { Checkpoint } from "./checkpoint.js";
import type { CheckpointState } from "./checkpoint-lines.js";
import { findObject, keptError, type Multipart, type UploadCall } from "./ending.js";
import { guardOf } from "./part-guard.js";
import { PartMaker, type UploadedPart, verifiesPart, verifiesSeal } from "./parts.js";
import type { RecordKey } from "./record-key.js";
import { invalidRecord } from "./records.js";
import {
  customerKeyMd5,
  type ParsedTicket,
  ticketKeys,
  type UnlockedTicket,
  type UploadTicket,
} from "./ticket.js";

/** What the caller asks for, as a checkpoint keeps it: JSON, no keys. */
export function fieldsOf({ put, userMetadata, storage }: WriteRequest): Readonly<Record<string, unknown>> {
  const { SSECustomerKey: _key, ...fields } = put;
  const Metadata = Object.fromEntries(Object.entries(userMetadata).sort());
  const SSECustomerKeyMD5 = customerKeyMd5(put);
  return JSON.parse(JSON.stringify({ ...fields, SSECustomerKeyMD5, Metadata, envelopeStorage: storage }));
}

/**
 * Compares what the caller asks for with what was asked for when the upload began.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID` that names the field
 */
export function requireSameFields(
  path: string,
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
): void {
  for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (JSON.stringify(before[name]) === JSON.stringify(now[name])) continue;
    throw invalidRecord(name, "it is not what the upload of the checkpoint began with", { path });
  }
}

/**
 * Compares the object that a ticket is for with the one that the caller names.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID` that names the field
 */
export function requireSameObject(path: string, ticket: UploadTicket, { target }: WriteRequest): void {
  if (ticket.Bucket !== target.bucket)
    throw invalidRecord("ticket.Bucket", "it is not the bucket that the call names", { path });
  if (ticket.Key !== target.key)
    throw invalidRecord("ticket.Key", "it is not the key that the call names", { path });
}

/** Authenticates what the caller asked for when the upload began. */
export function fieldsMac(
  recordKey: RecordKey,
  ticket: UploadTicket,
  fields: Readonly<Record<string, unknown>>,
): string {
  return recordKey.macOf("checkpoint", ticket.mac, fields);
}

/**
 * Checks the MACs of all that a checkpoint says, but for that of its ticket.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID`
 */
export async function requireAuthentic(
  path: string,
  recordKey: RecordKey,
  { read, fields, mac, begun, done }: CheckpointState,
): Promise<void> {
  const { mac: ticketMac } = read.ticket;
  const changed = (field: string) =>
    invalidRecord(field, "it was changed after it had been written, or is of another upload", { path });
  if (!recordKey.verifies("checkpoint", ticketMac, fields, mac)) throw changed("fields");
  for (const [partNumber, seal] of begun) {
    if (shouldYield()) await yieldToEventLoop();
    if (!verifiesSeal(recordKey, ticketMac, partNumber, seal)) throw changed("begun");
  }
  for (const part of done.values()) {
    if (shouldYield()) await yieldToEventLoop();
    if (!verifiesPart(recordKey, ticketMac, part)) throw changed("done");
  }
}

/** The parts that S3 lists. */
export interface ListedParts {
  /** Those that are done by our record, too. */
  readonly trusted: Map<number, UploadedPart>;
  /** The others. */
  readonly others: ReadonlyMap<number, Part>;
}

/** The parts of an upload that S3 has, compared with those that are done by our record; undefined when it is gone. */
export async function findTrusted(
  { s3, put, target, transfer }: MultipartInput,
  UploadId: string,
  done: ReadonlyMap<number, UploadedPart>,
): Promise<ListedParts | undefined> {
  const { ChecksumAlgorithm: _algorithm, ...fields } = partFields(put);
  const asked = { ...target, operation: "ListParts" };
  const trusted = new Map<number, UploadedPart>();
  const count = pageCounter(asked, ([before], [next]) => Number(next) > Number(before));
  const others = new Map<number, Part>();
  let PartNumberMarker: string | undefined;
  do {
    const command = guarded(new ListPartsCommand({ ...fields, UploadId, PartNumberMarker }), listGuard);
    let page: ListPartsCommandOutput;
    try {
      page = await s3Request(asked, transfer.signal, (options) => s3.send(command, options));
    } catch (error) {
      if (isUploadGone(error)) return undefined;
      throw error;
    }
    for (const listed of page.Parts ?? []) {
      const { PartNumber = 0, ETag, Size } = listed;
      const part = done.get(PartNumber);
      if (part && ETag !== undefined && isSameETag(part.ETag, ETag) && part.size === Size)
        trusted.set(PartNumber, part);
      else others.set(PartNumber, listed);
    }
    const { NextPartNumberMarker: next } = page;
    // A store that names no next page, or the same again, has no more.
    PartNumberMarker = page.IsTruncated && next !== PartNumberMarker ? next : undefined;
    if (PartNumberMarker !== undefined) count([PartNumberMarker]);
  } while (PartNumberMarker !== undefined);
  return { trusted, others };
}

/**
 * What became of an upload that is gone: the output if its object is there, and is of the present source. A sidecar
 * stays in any case: an object that was overwritten since may be there as an older version.
 *
 * @param isOfSource compares every part of the object with the present source
 */
export async function findFinished(
  input: MultipartInput,
  read: ParsedTicket,
  isOfSource: () => Promise<boolean>,
): Promise<PutOutput | undefined> {
  const written = await findObject(input, read, input.transfer.signal);
  if (!written || !(await isOfSource())) return undefined;
  return putOutput(written, read.ticket.plaintextLength);
}

/** The keys of an upload that is gone on with, once all of its checkpoint has been authenticated. */
export async function unlockCheckpoint(
  { config, request, transfer }: UploadCall,
  checkpoint: Checkpoint,
  found: CheckpointState,
): Promise<UnlockedTicket> {
  try {
    const open = await ticketKeys(config, found.read, request.context, transfer.signal);
    await requireAuthentic(checkpoint.path, open.recordKey, found);
    return open;
  } catch (error) {
    if (hasCode(error, "CHECKPOINT_INVALID") || hasCode(error, "CONTEXT_MISMATCH")) throw error;
    throw keptError(error, transfer, checkpoint, found.read.ticket);
  }
}

/**
 * Makes all parts anew that were begun, and compares them with what was written down then.
 *
 * @throws EnvelopeError `SOURCE_CHANGED`
 */
export async function requireSameBytes(
  { config, source }: UploadCall,
  { read }: Multipart,
  keys: MessageKeys,
  { begun }: CheckpointState,
  transfer: Pick<CallSignal, "signal" | "abort">,
): Promise<void> {
  const { ticket } = read;
  const guard = guardOf(config, ticket);
  for (const [partNumber, seal] of begun) guard.require(partNumber, seal);
  const maker = new PartMaker({ config: config, layout: ticket, keys, source, signal: transfer.signal });
  await forEachConcurrently(begun.keys(), config.maxConcurrentParts, transfer, (partNumber) =>
    maker.with(partNumber, async (part) => {
      guard.require(partNumber, part);
      part.release();
    }),
  );
  await source.requireUnchanged();
}

/** Whether an upload that is gone was made of the present source. The call goes on in either case. */
export async function isOfSource(
  call: UploadCall,
  multipart: Multipart,
  keys: MessageKeys,
  recorded: CheckpointState,
): Promise<boolean> {
  const { signal } = call.transfer;
  const comparison = transferSignal(signal);
  try {
    await requireSameBytes(call, multipart, keys, recorded, comparison);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (hasCode(error, "SOURCE_CHANGED")) return false;
    throw error;
  } finally {
    comparison.dispose();
  }
}
