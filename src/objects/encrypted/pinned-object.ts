/** Requests about one object, all of them for the same state of it. */
import type { GetObjectCommandInput } from "@aws-sdk/client-s3";
import { collectBytes } from "../../base/bytes.js";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { getResponse, type ObjectResponse } from "../../s3/body/object-response.js";
import { otherRange, type RequestTarget, unusableResponse } from "../../s3/errors.js";
import { isSameState, type ObjectState, parseContentRange, totalBytesOf } from "../../s3/responses.js";
import type { RequestConfig } from "./transfer-config.js";

/** How an object is requested. */
export interface ObjectRequest {
  readonly config: RequestConfig;
  /** The caller's GetObject. Each request has a Range of its own. */
  readonly get: GetObjectCommandInput;
  readonly target: RequestTarget;
  readonly signal: AbortSignal;
}

/** One state of an object: later requests for it fail once the object has been overwritten. */
export interface PinnedObject extends ObjectRequest {
  readonly state: ObjectState;
  /** Bytes of the object in S3; undefined if the response did not include its size. */
  readonly totalBytes: number | undefined;
}

/** Pins later requests to the state of the object that a response describes. */
export function pinObject(request: ObjectRequest, output: StateOutput): PinnedObject {
  const { config, get, target, signal } = request;
  const { ETag, VersionId, Metadata } = output;
  const state = { ETag, VersionId, Metadata };
  return { config, get, target, signal, state, totalBytes: totalBytesOf(output) };
}

type StateOutput = ObjectState & Parameters<typeof totalBytesOf>[0];

/**
 * Requests an object, or the `Range` of it in bytes of ciphertext.
 *
 * @param yieldsConnection whether the body gives up its connection while nobody reads it and other requests wait for one;
 *   the rest is then requested once it is read again. For bodies that are read as a stream
 */
export function fetchObject(
  request: ObjectRequest,
  Range: string | undefined,
  yieldsConnection = true,
): Promise<ObjectResponse> {
  const { config, get, signal } = request;
  const input = { ...get, Range };
  return yieldsConnection ? fetchStream({ ...request, get: input }) : getResponse(config, input, signal);
}

/** Requests another object of the same bucket, with the same payer and expected owner. */
export function fetchSibling(
  { config, get, signal }: Pick<ObjectRequest, "config" | "get" | "signal">,
  key: string,
): Promise<ObjectResponse> {
  const { Bucket, RequestPayer, ExpectedBucketOwner } = get;
  return getResponse(config, { Bucket, Key: key, RequestPayer, ExpectedBucketOwner }, signal);
}

/** Conditions that the first response has met. One about time may no longer hold for the same object. */
const metConditions = { IfNoneMatch: undefined, IfModifiedSince: undefined, IfUnmodifiedSince: undefined };

/**
 * Requests the object again, or another `Range` of it in bytes of ciphertext.
 *
 * @throws EnvelopeError `BODY_INTERRUPTED` when the object was overwritten, see {@link isOverwritten}
 */
export async function refetchPinned(
  pinned: PinnedObject,
  Range: string | undefined,
): Promise<ObjectResponse> {
  const { get, target, state, totalBytes } = pinned;
  let response: ObjectResponse;
  try {
    response = await fetchStream(
      { ...pinned, get: { ...get, ...metConditions, Range, IfMatch: state.ETag } },
      totalBytes,
    );
  } catch (error) {
    if (!hasCode(error, "S3_PRECONDITION_FAILED")) throw error;
    throw overwritten(target, error);
  }
  const { output } = response;
  // Some stores ignore If-Match.
  const isSame = isSameState(state, output);
  // An object of another size has other bytes, whatever else the response says.
  const isSameSize = totalBytes === undefined || (totalBytesOf(output) ?? totalBytes) === totalBytes;
  if (isSame && isSameSize) return response;
  response.close();
  throw isSame ? otherRange(target) : overwritten(target);
}

/**
 * Requests bytes `start` (included) to `end` (excluded) of the object in S3.
 *
 * @param totalBytes the size of the object that the response must state
 * @throws EnvelopeError `S3_REQUEST_FAILED` when the response has another range
 */
export async function refetchRange(
  pinned: PinnedObject,
  start: number,
  end: number,
  totalBytes: number,
): Promise<ObjectResponse> {
  const response = await refetchPinned(pinned, `bytes=${start}-${end - 1}`);
  const sent = parseContentRange(response.output.ContentRange);
  if (sent?.first === start && sent.last === end - 1 && sent.total === totalBytes) return response;
  response.close();
  throw otherRange(pinned.target);
}

/** The same, read into memory. */
export async function refetchBytes(
  pinned: PinnedObject,
  start: number,
  end: number,
  totalBytes: number,
): Promise<Buffer> {
  const response = await refetchRange(pinned, start, end, totalBytes);
  try {
    return await collectBytes(response.read(0, end - start));
  } catch (error) {
    response.close();
    throw error;
  }
}

/**
 * The size of the object in S3, in bytes.
 *
 * @throws EnvelopeError `S3_REQUEST_FAILED` when no response has stated it
 */
export function requireTotalBytes({ target, totalBytes }: PinnedObject): number {
  if (totalBytes !== undefined) return totalBytes;
  throw unusableResponse(target, "the response does not state the size of the object");
}

/** Whether a request failed because the object was overwritten while it was being read. */
export function isOverwritten(error: unknown): boolean {
  return hasCode(error, "BODY_INTERRUPTED") && error.details.overwritten === true;
}

/** @param totalBytes bytes of the object in S3, if an earlier response included its size */
function fetchStream(request: ObjectRequest, totalBytes?: number): Promise<ObjectResponse> {
  const { config, get, signal } = request;
  return getResponse(config, get, signal, {
    totalBytes,
    refetch: (ETag, Range, own) =>
      refetchPinned({ ...request, signal: own, state: { ETag }, totalBytes }, Range),
  });
}

function overwritten(target: RequestTarget, cause?: unknown): EnvelopeError {
  return new EnvelopeError(
    "BODY_INTERRUPTED",
    `"${target.key}" was overwritten while it was being read; read it again`,
    { cause, details: { ...target, overwritten: true } },
  );
}
