/** What the requests about one object have in common: its envelope is read once, and it stays the same object. */
import type { GetObjectCommandInput } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import { plaintextLength } from "../../cobblestone/layout.js";
import type { StoredEnvelope } from "../../envelope/metadata.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import { getResponse } from "../../s3/body/object-response.js";
import type { RequestTarget } from "../../s3/errors.js";
import { otherRange } from "../../s3/errors.js";
import { isSameState, type ObjectState, totalBytesOf } from "../../s3/responses.js";
import type { CallSignal } from "../../transfer/call-signal.js";
import type { ClientConfig } from "./config.js";
import { type ExpectedContext, readEnvelope, unlock } from "./read-envelope.js";

/** What all requests about an object have in common. */
export interface ObjectRequest {
  readonly get: GetObjectCommandInput;
  readonly target: RequestTarget;
  readonly expected: ExpectedContext;
  readonly transfer: Pick<CallSignal, "signal">;
}

/** Sends one GetObject; for `totalBytes` see `getAnswer`. */
export function fetchObject(
  config: ClientConfig,
  { target, transfer }: Pick<ObjectRequest, "target" | "transfer">,
  get: GetObjectCommandInput,
  totalBytes?: number,
): Promise<ObjectResponse> {
  return getResponse(config, get, transfer.signal, {
    totalBytes,
    refetch: (ETag, Range, signal) =>
      requireSameObject(
        config,
        { get, target: target, transfer: { signal } },
        { output: { ETag }, totalBytes },
        Range,
      ),
  });
}

/** Asks for another object of the same bucket. */
export function fetchSibling(
  config: ClientConfig,
  object: Pick<GetObjectCommandInput, "Bucket" | "RequestPayer" | "ExpectedBucketOwner">,
  key: string,
  signal: AbortSignal | undefined,
): Promise<ObjectResponse> {
  const { Bucket, RequestPayer, ExpectedBucketOwner } = object;
  return getResponse(config, { Bucket, Key: key, RequestPayer, ExpectedBucketOwner }, signal);
}

/** What the keyring made of the envelope of an object. */
export interface UnlockedObject {
  readonly keys: MessageKeys;
  readonly encryptionContext: EncryptionContext;
}

/**
 * Reads the envelope of the object that an answer is about, and unlocks it. Lets go of an answer without one in it.
 *
 * @throws EnvelopeError `BODY_TRUNCATED` when no object of ours has the size that the answer tells, before anything is asked
 */
export async function unlockObject(
  config: ClientConfig,
  request: ObjectRequest,
  first: ObjectResponse,
  stored: StoredEnvelope,
): Promise<UnlockedObject> {
  const { get, expected, transfer } = request;
  requirePossibleLength(first);
  // Kept open, the body would hold the connection that reading the sidecar may be waiting for.
  if (stored.storage === "sidecar") first.close();
  const envelope = await readEnvelope(config, get, stored, transfer.signal).catch(async (error: unknown) => {
    // A sidecar goes with its object: is that still there, and still the same?
    if (hasCode(error, "ENVELOPE_MISSING"))
      (await requireSameObject(config, request, seenIn(first), "bytes=0-0")).close();
    throw error;
  });
  const { encryptionContext } = envelope;
  const keys = await untilAborted(
    transfer.signal,
    unlock(config.keyring, envelope, expected, transfer.signal),
  );
  return { keys, encryptionContext };
}

/** What no object of ours can be shall cost neither the request of a sidecar nor one of the keyring's. */
function requirePossibleLength({ output }: ObjectResponse): void {
  const totalBytes = totalBytesOf(output);
  if (totalBytes !== undefined) plaintextLength(totalBytes);
}

/** Conditions that the first answer has met; one about time may have come to mean something else. */
const heldAlready = { IfNoneMatch: undefined, IfModifiedSince: undefined, IfUnmodifiedSince: undefined };

/** An answer about the state of an object that others must be about, too. */
export interface SeenObject {
  readonly output: ObjectState;
  /** Bytes of the object, if known. */
  readonly totalBytes?: number | undefined;
}

/** The state of the object that an answer is about. */
export function seenIn({ output }: Pick<ObjectResponse, "output">): SeenObject {
  const { ETag, VersionId, Metadata } = output;
  return { output: { ETag, VersionId, Metadata }, totalBytes: totalBytesOf(output) };
}

/** Asks again for the object that an answer was about, and for none that has taken its place meanwhile. */
export async function requireSameObject(
  config: ClientConfig,
  request: Pick<ObjectRequest, "get" | "target" | "transfer">,
  { output: seen, totalBytes }: SeenObject,
  Range: string | undefined,
): Promise<ObjectResponse> {
  const { get, target } = request;
  const overwritten = (cause?: unknown) =>
    new EnvelopeError(
      "BODY_INTERRUPTED",
      `"${target.key}" was overwritten while it was being read; read it again`,
      { cause, details: { ...target, overwritten: true } },
    );
  let answer: ObjectResponse;
  try {
    answer = await fetchObject(
      config,
      request,
      { ...get, ...heldAlready, Range, IfMatch: seen.ETag },
      totalBytes,
    );
  } catch (error) {
    if (!hasCode(error, "S3_PRECONDITION_FAILED")) throw error;
    throw overwritten(error);
  }
  // Some stores pass If-Match over.
  const isSame = isSameState(seen, answer.output);
  // An object of another size has other bytes, whatever else is told of it.
  const { totalBytes: now = totalBytes } = seenIn(answer);
  if (isSame && (totalBytes === undefined || now === totalBytes)) return answer;
  answer.close();
  throw isSame ? otherRange(target) : overwritten();
}
