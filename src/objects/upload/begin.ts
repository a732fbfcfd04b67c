/** What all uploads from seekable sources do: begin, send a part that was made, and state it at the end. */
import { ciphertextLength as sealedLength } from "../../cobblestone/layout.js";
import { CommitState } from "../../s3/confirmed-write.js";
import {
  createUpload,
  defaultChecksum,
  type MultipartInput,
  type UploadedPart as SentPart,
  uploadPart as sendPart,
} from "../../s3/multipart.js";
import type { TransferSignal } from "../../transfer/call-signal.js";
import { partSizes } from "../../transfer/parts.js";
import type { ClientSettings } from "../encrypted/config.js";
import { type PreparedWrite, prepareWrite, type WriteRequest, withSidecar } from "../put/write.js";
import { type PartLayout, partLayout, recordPart, type SealedPart, type UploadedPart } from "./parts.js";
import { RecordKey } from "./record-key.js";
import { issueTicket, type ReadTicket, type SourceState, type UploadTicket } from "./ticket.js";

/** How a plaintext of so many bytes is cut. */
export function layoutOf({ partSizeBytes }: ClientSettings, plaintextLength: number): PartLayout {
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
  settings: ClientSettings,
  request: WriteRequest,
  layout: PartLayout,
  source: SourceState,
  transfer: TransferSignal,
): Promise<BegunUpload> {
  const { attempt, put } = request;
  const ChecksumAlgorithm = put.ChecksumAlgorithm ?? (await defaultChecksum(settings.s3));
  const prepared = await prepareWrite(
    settings,
    { ...request, put: { ...put, ChecksumAlgorithm } },
    transfer.signal,
  );
  const commit = new CommitState();
  const input = { ...settings, put: prepared.put, attempt, transfer, commit };
  const uploadId = await withSidecar(settings, prepared, transfer, commit, () => createUpload(input));
  const ticket = issueTicket(prepared, layout, source, uploadId);
  return { prepared, ticket, recordKey: new RecordKey(prepared.dataKey) };
}

/** An upload whose ticket was issued by this call, or has been verified. */
export interface OpenUpload {
  readonly input: MultipartInput;
  readonly read: ReadTicket;
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
  settings: ClientSettings,
  { ticket }: ReadTicket,
  put: MultipartInput["put"],
  transfer: TransferSignal,
): MultipartInput {
  const attempt = { operation: "CompleteMultipartUpload", bucket: ticket.Bucket, key: ticket.Key };
  return { ...settings, put, attempt, transfer, commit: new CommitState() };
}
