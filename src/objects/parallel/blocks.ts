/** Windows of one object: each is fetched by a request of its own, pinned to one state of the object, and opened. */
import { setTimeout } from "node:timers/promises";
import type { GetObjectCommandInput } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { type ErrorCode, hasCode } from "../../base/errors.js";
import { type MessageKeys, requireHeader } from "../../cobblestone/derivation.js";
import type { ChunkRange } from "../../cobblestone/layout.js";
import { type OpenedRange, openRange } from "../../cobblestone/stream/open-range.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import type { RequestTarget } from "../../s3/errors.js";
import { otherRange } from "../../s3/errors.js";
import { parseContentRange } from "../../s3/responses.js";
import { namingObject } from "../../transfer/about-object.js";
import type { CallSignal } from "../../transfer/call-signal.js";
import type { ClientConfig } from "../encrypted/config.js";
import { requireSameObject, type SeenObject, seenIn } from "../encrypted/object-request.js";

/** Chunks of a window: 8 MiB of plaintext. */
export const maxWindowChunks = 512;

/** One state of an object, and how it is asked for. */
export interface PinnedObject {
  readonly config: ClientConfig;
  readonly target: RequestTarget;
  /** The caller's GetObject, without Range. */
  readonly get: GetObjectCommandInput;
  readonly seen: SeenObject;
  readonly signal: AbortSignal;
}

/** {@link PinnedObject} with what opens it. */
export interface OpenableObject extends PinnedObject {
  readonly keys: MessageKeys;
  /** Bytes of the object. */
  readonly ciphertextLength: number;
}

/** The object that an answer is about, in the state that it tells of. */
export function openableObject(
  config: ClientConfig,
  request: Pick<PinnedObject, "target" | "get"> & { readonly transfer: CallSignal },
  answer: Pick<ObjectResponse, "output">,
  keys: MessageKeys,
): OpenableObject {
  const { target, get, transfer } = request;
  const seen = seenIn(answer);
  return {
    config: config,
    target: target,
    get,
    seen,
    signal: transfer.signal,
    keys,
    ciphertextLength: seen.totalBytes ?? 0,
  };
}

/** Whether an object was overwritten while it was being read. */
export function isOverwritten(error: unknown): boolean {
  return hasCode(error, "BODY_INTERRUPTED") && error.details.overwritten === true;
}

/**
 * Asks for a range of the object, in ciphertext, and for none that has taken its place.
 *
 * @throws EnvelopeError `BODY_INTERRUPTED`, see {@link isOverwritten}
 */
export function pinnedResponse(
  { config, target, get, seen, signal }: PinnedObject,
  Range: string,
): Promise<ObjectResponse> {
  return requireSameObject(config, { target: target, get, transfer: { signal } }, seen, Range);
}

/** The Range that asks for a window; for the first one from the header on, to compare it with the envelope's. */
export function windowRange(range: ChunkRange): string {
  return `bytes=${startOf(range)}-${range.ciphertextEnd - 1}`;
}

/**
 * So often a window is asked for, with waits that grow in between: the SDK does not ask again for a body. One that has
 * stalled, or came damaged, is asked for once more only: the first has taken `idleTimeoutMs`, and what is damaged in the
 * store stays so.
 */
const maxAttempts = 5;
const maxAttemptsOf: Partial<Record<ErrorCode, number>> = { BODY_STALLED: 2, DECRYPTION_FAILED: 2 };
const firstWaitMs = 100;

/**
 * Fetches a window and opens it. The slab is handed over; when this fails nothing reads or writes it any more.
 *
 * @param first an answer to {@link windowRange} that is there already
 * @throws EnvelopeError `DECRYPTION_FAILED`, `WORKER_FAILED`, `BODY_INTERRUPTED`, `BODY_STALLED`
 */
export async function fetchWindow(
  object: OpenableObject,
  range: ChunkRange,
  slab: ArrayBuffer,
  first?: ObjectResponse,
): Promise<OpenedRange> {
  const { config, keys, signal, target } = object;
  const { bucket, key } = target;
  const failures = new Map<ErrorCode, number>();
  let answer = first;
  const bytes = slab.byteLength;
  let memory = slab;
  for (let tries = 1; ; tries++) {
    try {
      answer ??= await pinnedResponse(object, windowRange(range));
      await readWindow(object, range, answer, memory);
      return await openRange(config.engine, keys, range, memory);
    } catch (error) {
      answer?.close();
      answer = undefined;
      if (signal.aborted) throw error;
      if (tries === maxAttempts || !mayPass(error, failures))
        throw namingObject(error, { bucket, key, range: windowRange(range) }, own);
      // Memory that a worker was given does not come back with an error.
      if (memory.byteLength === 0) memory = Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer;
      await wait(firstWaitMs * 2 ** (tries - 1), signal);
    }
  }
}

/** The errors of one window are not the reason of anybody's signal. */
const own = { isCallersReason: () => false };

async function readWindow(
  { target, ciphertextLength, keys }: OpenableObject,
  range: ChunkRange,
  answer: ObjectResponse,
  slab: ArrayBuffer,
): Promise<void> {
  const sent = parseContentRange(answer.output.ContentRange);
  const { ciphertextStart, ciphertextEnd, ciphertextBytes } = range;
  if (sent?.first !== startOf(range) || sent.last + 1 !== ciphertextEnd || sent.total !== ciphertextLength)
    throw otherRange(target);
  const header = Buffer.alloc(ciphertextStart - sent.first);
  await answer.readInto([header, new Uint8Array(slab, 0, ciphertextBytes)]);
  if (header.length > 0) requireHeader(keys, header);
}

function startOf({ firstChunk, ciphertextStart }: ChunkRange): number {
  return firstChunk === 0 ? 0 : ciphertextStart;
}

function mayPass(error: unknown, failures: Map<ErrorCode, number>): boolean {
  const codes = ["BODY_INTERRUPTED", "BODY_STALLED", "S3_UNAVAILABLE", "DECRYPTION_FAILED"] as const;
  const code = codes.find((candidate) => hasCode(error, candidate));
  if (code === undefined || isOverwritten(error)) return false;
  const times = (failures.get(code) ?? 0) + 1;
  failures.set(code, times);
  return times < (maxAttemptsOf[code] ?? maxAttempts);
}

/** Somewhat less than was said: many windows fail together, and are not to come back together. */
function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  const waited = setTimeout(milliseconds * (0.5 + Math.random() / 2), undefined, { signal });
  return untilAborted(signal, waited);
}
