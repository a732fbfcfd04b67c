/** What must hold before an upload goes on: the same input, and what S3 says it has. */
import { ListPartsCommand, type ListPartsCommandOutput } from "@aws-sdk/client-s3";
import { guarded } from "../response-guard.js";
import { partFields } from "./fields.js";
import type { MultipartInput } from "./multipart.js";
import { isSameETag, listGuard, pageCounter } from "./responses.js";
import { isUploadGone, s3Request } from "./s3-errors.js";
import { findObject } from "./upload-ending.js";
import type { UploadedPart } from "./upload-parts.js";
import { invalidRecord } from "./upload-records.js";
import { customerKeyMd5, type ReadTicket } from "./upload-ticket.js";
import { type PutOutput, putOutput, type WriteRequest } from "./write.js";

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

/** The parts that are done by our record and by S3's alike; undefined when the upload is gone. */
export async function findTrusted(
  { s3, put, attempt, transfer }: MultipartInput,
  UploadId: string,
  done: ReadonlyMap<number, UploadedPart>,
): Promise<Map<number, UploadedPart> | undefined> {
  const { ChecksumAlgorithm: _algorithm, ...fields } = partFields(put);
  const asked = { ...attempt, operation: "ListParts" };
  const trusted = new Map<number, UploadedPart>();
  const count = pageCounter(asked, ([before], [next]) => Number(next) > Number(before));
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
    for (const { PartNumber = 0, ETag, Size } of page.Parts ?? []) {
      const part = done.get(PartNumber);
      if (part && ETag !== undefined && isSameETag(part.ETag, ETag) && part.size === Size)
        trusted.set(PartNumber, part);
    }
    const { NextPartNumberMarker: next } = page;
    // A store that names no next page, or the same again, has no more.
    PartNumberMarker = page.IsTruncated && next !== PartNumberMarker ? next : undefined;
    if (PartNumberMarker !== undefined) count([PartNumberMarker]);
  } while (PartNumberMarker !== undefined);
  return trusted;
}

/**
 * What became of an upload that is gone: the output if its object is there, and is of the present source. A sidecar
 * stays in any case: an object that was overwritten since may be there as an older version.
 */
export async function findFinished(
  input: MultipartInput,
  read: ReadTicket,
  isSameSource: boolean,
): Promise<PutOutput | undefined> {
  const written = await findObject(input, read, input.transfer.signal);
  return written && isSameSource ? putOutput(written, read.ticket.plaintextLength) : undefined;
}
