/** Windows of one object: each is fetched by a request of its own, pinned to one state of the object, and opened. */
import { setTimeout } from "node:timers/promises";
import type { GetObjectCommandInput } from "@aws-sdk/client-s3";
import { type MessageKeys, requireHeader } from "../cobblestone/derivation.js";
import { headerBytes } from "../cobblestone/geometry.js";
import { type OpenedWindow, openWindow, type Window } from "../cobblestone/window.js";
import { hasCode } from "../errors.js";
import { untilAborted } from "../until-aborted.js";
import type { ObjectAnswer } from "./object-answer.js";
import { type SeenObject, sameObject, seenIn } from "./object-request.js";
import { otherRange, parseContentRange } from "./range.js";
import type { S3Attempt } from "./s3-errors.js";
import type { ClientSettings } from "./settings.js";
import type { TransferSignal } from "./transfer-signal.js";

/** Chunks of a window: 8 MiB of plaintext. */
export const maxWindowChunks = 512;

/** One state of an object, and how it is asked for. */
export interface PinnedObject {
  readonly settings: ClientSettings;
  readonly attempt: S3Attempt;
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
  settings: ClientSettings,
  request: Pick<PinnedObject, "attempt" | "get"> & { readonly transfer: TransferSignal },
  answer: Pick<ObjectAnswer, "output">,
  keys: MessageKeys,
): OpenableObject {
  const { attempt, get, transfer } = request;
  const seen = seenIn(answer);
  return {
    settings,
    attempt,
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
export function pinnedAnswer(
  { settings, attempt, get, seen, signal }: PinnedObject,
  Range: string,
): Promise<ObjectAnswer> {
  return sameObject(settings, { attempt, get, transfer: { signal } }, seen, Range);
}

/** The Range that asks for a window; for the first one from the header on, to compare it with the envelope's. */
export function windowRange(window: Window): string {
  return `bytes=${startOf(window)}-${window.ciphertextStart + window.ciphertextBytes - 1}`;
}

/** So often a window is asked for, with waits that grow in between: the SDK does not ask again for a body. */
const maxAttempts = 5;
const firstWaitMs = 100;

/**
 * Fetches a window and opens it. The slab is handed over; when this fails nothing reads or writes it any more.
 *
 * @param first an answer to {@link windowRange} that is there already
 * @throws EnvelopeError `DECRYPTION_FAILED`, `WORKER_FAILED`, `BODY_INTERRUPTED`, `BODY_STALLED`
 */
export async function fetchWindow(
  object: OpenableObject,
  window: Window,
  slab: ArrayBuffer,
  first?: ObjectAnswer,
): Promise<OpenedWindow> {
  const { settings, keys, signal } = object;
  let answer = first;
  for (let attempt = 1; ; attempt++) {
    try {
      answer ??= await pinnedAnswer(object, windowRange(window));
      await readWindow(object, window, answer, slab);
      break;
    } catch (error) {
      answer?.letGo();
      answer = undefined;
      if (signal.aborted || attempt === maxAttempts || !mayPass(error)) throw error;
      await wait(firstWaitMs * 2 ** (attempt - 1), signal);
    }
  }
  return openWindow(settings.engine, keys, window, slab);
}

async function readWindow(
  { attempt, ciphertextLength, keys }: OpenableObject,
  window: Window,
  answer: ObjectAnswer,
  slab: ArrayBuffer,
): Promise<void> {
  const range = parseContentRange(answer.output.ContentRange);
  const { ciphertextStart, ciphertextBytes } = window;
  if (
    range?.first !== startOf(window) ||
    range.last + 1 !== ciphertextStart + ciphertextBytes ||
    range.total !== ciphertextLength
  )
    throw otherRange(attempt);
  const header = Buffer.alloc(ciphertextStart - range.first);
  await answer.readInto([header, new Uint8Array(slab, 0, ciphertextBytes)]);
  if (header.length > 0) requireHeader(keys, header);
}

function startOf({ ciphertextStart }: Window): number {
  return ciphertextStart === headerBytes ? 0 : ciphertextStart;
}

function mayPass(error: unknown): boolean {
  const codes = ["BODY_INTERRUPTED", "BODY_STALLED", "S3_UNAVAILABLE"] as const;
  return codes.some((code) => hasCode(error, code)) && !isOverwritten(error);
}

/** Somewhat less than was said: many windows fail together, and are not to come back together. */
function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  const waited = setTimeout(milliseconds * (0.5 + Math.random() / 2), undefined, { signal });
  return untilAborted(signal, waited);
}
