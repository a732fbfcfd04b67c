/** The parts of a multipart upload that S3 has stored. */
import type { ListPartsCommandOutput, Part } from "@aws-sdk/client-s3";
import { isUploadGone, unusableResponse } from "./errors.js";
import { partFields } from "./fields.js";
import type { MultipartInput } from "./multipart.js";
import { listParts, type RequestOptions, targetOf } from "./requests.js";
import { pageCounter } from "./responses.js";

/** A part in a response of ListParts. */
export type ListedPart = Part;

type ListInput = Pick<MultipartInput, "s3" | "put">;

/**
 * Finds one part of an upload.
 *
 * @returns undefined when S3 has no part of that number
 * @throws EnvelopeError with NoSuchUpload when the upload was completed or aborted; `S3_REQUEST_FAILED` when the
 *   response does not show it, as that of a store that ignores the marker
 */
export async function findPart(
  { s3, put }: ListInput,
  UploadId: string,
  partNumber: number,
  options: RequestOptions,
): Promise<ListedPart | undefined> {
  const PartNumberMarker = partNumber === 1 ? undefined : String(partNumber - 1);
  const request = { ...listFields(put), UploadId, PartNumberMarker, MaxParts: 1 };
  const { Parts = [], IsTruncated } = await listParts(s3, request, options);
  const found = Parts.find(({ PartNumber }) => PartNumber === partNumber);
  // Only a list that begins after the marker, and that reaches the part, shows that there is none.
  const isAbsent =
    Parts.every(({ PartNumber = 0 }) => PartNumber > partNumber) && !(IsTruncated && Parts.length === 0);
  if (found || isAbsent) return found;
  throw unusableResponse(
    targetOf("ListParts", request),
    `the list of parts does not show whether there is a part ${partNumber}`,
  );
}

/**
 * Lists all parts of an upload, by number.
 *
 * @returns undefined when the upload was completed or aborted
 */
export async function listAllParts(
  { s3, put }: ListInput,
  UploadId: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, ListedPart> | undefined> {
  const request = { ...listFields(put), UploadId };
  const target = targetOf("ListParts", request);
  const count = pageCounter(target, ([before], [next]) => Number(next) > Number(before));
  const parts = new Map<number, ListedPart>();
  let PartNumberMarker: string | undefined;
  do {
    let page: ListPartsCommandOutput;
    try {
      page = await listParts(s3, { ...request, PartNumberMarker }, { signal });
    } catch (error) {
      if (isUploadGone(error)) return undefined;
      throw error;
    }
    for (const part of page.Parts ?? []) parts.set(part.PartNumber ?? 0, part);
    const { NextPartNumberMarker: next } = page;
    // A store that returns no marker, or the same one again, has no further page.
    PartNumberMarker = page.IsTruncated && next !== PartNumberMarker ? next : undefined;
    if (PartNumberMarker !== undefined) count([PartNumberMarker]);
  } while (PartNumberMarker !== undefined);
  return parts;
}

/**
 * Whether an upload is certainly neither completed nor aborted. Its abort does not show this, as it succeeds either way.
 * Takes bounded time.
 */
export async function isUnfinished(
  input: ListInput,
  UploadId: string,
  caller?: AbortSignal,
): Promise<boolean> {
  try {
    await findPart(input, UploadId, 1, { signal: caller, isBounded: true });
    return true;
  } catch {
    caller?.throwIfAborted();
    return false;
  }
}

function listFields(put: MultipartInput["put"]) {
  const { ChecksumAlgorithm: _algorithm, ...fields } = partFields(put);
  return fields;
}
