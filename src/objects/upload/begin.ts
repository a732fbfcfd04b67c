/** What all uploads from seekable sources do: begin, send a part that was made, and state it at the end. */
import { ciphertextLength as sealedLength } from "../../cobblestone/layout.js";
import { ConfirmedWrite } from "../../s3/confirmed-write.js";
import {
  createUpload,
  defaultChecksum,
  type MultipartInput,
  type SentPart,
  sendPart,
} from "../../s3/multipart.js";
import type { CallSignal } from "../../transfer/call-signal.js";
import { partSizes } from "../../transfer/part-sizes.js";
import type { ClientConfig } from "../encrypted/config.js";
import { type PreparedWrite, prepareWrite } from "../put/prepare-write.js";
import { withSidecar } from "../put/sidecar-write.js";
import type { WriteRequest } from "../put/write-arguments.js";
import { type PartLayout, partLayout, recordPart, type SealedPart, type UploadedPart } from "./parts.js";
import { RecordKey } from "./record-key.js";
import { issueTicket, type ParsedTicket, type SourceState, type UploadTicket } from "./ticket.js";

/** How a plaintext of so many bytes is cut. */
export function layoutOf({ partSizeBytes }: ClientConfig, plaintextLength: number): PartLayout {
  const sizes = partSizes(sealedLength(plaintextLength), partSizeBytes);
  return partLayout(plaintextLength, sizes(1));
}

/** An upload that has begun. */
export interface BegunUpload {
  readonly prepared: PreparedWrite;
  readonly ticket: UploadTicket;
  readonly recordKey: RecordKey;
}

/** Stores the sidecar, if there is to be one, and begins the multipart upload. */
export async function begin(
  config: ClientConfig,
  request: WriteRequest,
  layout: PartLayout,
  source: SourceState,
  transfer: CallSignal,
): Promise<BegunUpload> {
  const { target, put } = request;
  const ChecksumAlgorithm = put.ChecksumAlgorithm ?? (await defaultChecksum(config.s3));
  const prepared = await prepareWrite(
    config,
    { ...request, put: { ...put, ChecksumAlgorithm } },
    transfer.signal,
  );
  const commit = new ConfirmedWrite();
  const input = { ...config, put: prepared.put, target, transfer, commit };
  const uploadId = await withSidecar(config, prepared, transfer, commit, () => createUpload(input));
  const ticket = issueTicket(prepared, layout, source, uploadId);
  return { prepared, ticket, recordKey: new RecordKey(prepared.dataKey) };
}

/** An upload whose ticket was issued by this call, or has been verified. */
export interface OpenUpload {
  readonly input: MultipartInput;
  readonly read: ParsedTicket;
  readonly recordKey: RecordKey;
}

/**
 * Sends a part, once it is known to be what was sent of it before, if anything was.
 *
 * @param modifiedMs when the file that it was made of was modified last, if it was made of a file
 */
export async function sendSealed(
  { input, read, recordKey }: OpenUpload,
  partNumber: number,
  sealed: SealedPart,
  modifiedMs: number | undefined,
): Promise<UploadedPart> {
  const { bytes, release, tagDigest, firstTag, lastTag } = sealed;
  const { mac, UploadId } = read.ticket;
  const size = bytes.length;
  const { part } = await sendPart(input, UploadId, {
    partNumber,
    bytes,
    length: size,
    release: (isUnread) => isUnread && release(),
  });
  const { PartNumber: _number, ETag = "", ...checksums } = part;
  return recordPart(recordKey, mac, {
    PartNumber: partNumber,
    ETag,
    size,
    checksums: { ...checksums },
    tagDigest,
    firstTag,
    lastTag,
    ...(modifiedMs !== undefined && { sourceModifiedMs: modifiedMs }),
  });
}

/** A finished part as the completion takes it. */
export function sentPart({ PartNumber, ETag, size, checksums }: UploadedPart): SentPart {
  return { part: { PartNumber, ETag, ...checksums }, bytes: size };
}

/** What requests about an upload of a ticket take. */
export function multipartInput(
  config: ClientConfig,
  { ticket }: ParsedTicket,
  put: MultipartInput["put"],
  transfer: CallSignal,
): MultipartInput {
  const target = { operation: "CompleteMultipartUpload", bucket: ticket.Bucket, key: ticket.Key };
  return { ...config, put, target: target, transfer, commit: new ConfirmedWrite() };
}
