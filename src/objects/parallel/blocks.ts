/** Blocks of one object: each is requested on its own, pinned to one state of the object, and decrypted in place. */
import { setTimeout } from "node:timers/promises";
import { untilAborted } from "../../base/abort.js";
import { type ErrorCode, hasCode } from "../../base/errors.js";
import { requireHeader } from "../../cobblestone/derivation.js";
import { type OpenedRange, openRange } from "../../cobblestone/engine/ranges.js";
import type { ChunkRange } from "../../cobblestone/layout.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import { otherRange } from "../../s3/errors.js";
import { parseContentRange } from "../../s3/responses.js";
import { withTarget } from "../../transfer/call.js";
import type { ReadableObject } from "../encrypted/format.js";
import { isOverwritten, refetchPinned } from "../encrypted/pinned-object.js";

/** Chunks of a block: 8 MiB of plaintext. */
export const blockChunks = 512;

/** The Range of the request for a block. That of the first block includes the header, to compare it with the envelope. */
export function requestRange(block: ChunkRange): string {
  return `bytes=${requestStart(block)}-${block.ciphertextEnd - 1}`;
}

function requestStart({ firstChunk, ciphertextStart }: ChunkRange): number {
  return firstChunk === 0 ? 0 : ciphertextStart;
}

/** The SDK does not retry a body. The waits between these attempts grow. */
const maxAttempts = 5;
/**
 * A block that stalled or failed to verify is requested once more only: a stall has taken `idleTimeoutMs`, and what is
 * damaged in the store stays damaged.
 */
const maxAttemptsOf: Partial<Record<ErrorCode, number>> = { BODY_STALLED: 2, DECRYPTION_FAILED: 2 };
const firstWaitMs = 100;
const retryableCodes = ["BODY_INTERRUPTED", "BODY_STALLED", "S3_UNAVAILABLE", "DECRYPTION_FAILED"] as const;

/**
 * Fetches a block and decrypts it, with retries. The buffer is handed over; after a failure nothing reads or writes it.
 *
 * @param first a response to {@link requestRange} that has been received already
 * @throws EnvelopeError `DECRYPTION_FAILED`, `WORKER_FAILED`, `BODY_INTERRUPTED`, `BODY_STALLED`
 */
export async function fetchBlock(
  object: ReadableObject,
  block: ChunkRange,
  buffer: ArrayBuffer,
  first?: ObjectResponse,
): Promise<OpenedRange> {
  const { config, keys, signal, target } = object;
  const { bucket, key } = target;
  const range = requestRange(block);
  const bytes = buffer.byteLength;
  const failures = new Map<ErrorCode, number>();
  let response = first;
  let memory = buffer;
  for (let attempt = 1; ; attempt++) {
    try {
      response ??= await refetchPinned(object, range);
      await readBlock(object, block, response, memory);
      return await openRange(config.engine, keys, block, memory);
    } catch (error) {
      response?.close();
      response = undefined;
      if (signal.aborted) throw error;
      if (attempt === maxAttempts || !mayRetry(error, failures))
        throw withTarget(error, { bucket, key, range });
      // Memory that was transferred to a worker is not returned with an error.
      if (memory.byteLength === 0) memory = Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer;
      await backOff(firstWaitMs * 2 ** (attempt - 1), signal);
    }
  }
}

async function readBlock(
  { target, ciphertextLength, keys }: ReadableObject,
  block: ChunkRange,
  response: ObjectResponse,
  buffer: ArrayBuffer,
): Promise<void> {
  const sent = parseContentRange(response.output.ContentRange);
  const { ciphertextStart, ciphertextEnd, ciphertextBytes } = block;
  if (
    sent?.first !== requestStart(block) ||
    sent.last + 1 !== ciphertextEnd ||
    sent.total !== ciphertextLength
  )
    throw otherRange(target);
  const header = Buffer.alloc(ciphertextStart - sent.first);
  await response.readInto([header, new Uint8Array(buffer, 0, ciphertextBytes)]);
  if (header.length > 0) requireHeader(keys, header);
}

/** Counts the failure and returns whether another attempt may succeed. */
function mayRetry(error: unknown, failures: Map<ErrorCode, number>): boolean {
  const code = retryableCodes.find((candidate) => hasCode(error, candidate));
  if (code === undefined || isOverwritten(error)) return false;
  const times = (failures.get(code) ?? 0) + 1;
  failures.set(code, times);
  return times < (maxAttemptsOf[code] ?? maxAttempts);
}

/** Waits between half of the time and all of it, so that blocks which fail together are not requested together. */
function backOff(milliseconds: number, signal: AbortSignal): Promise<void> {
  const waited = setTimeout(milliseconds * (0.5 + Math.random() / 2), undefined, { signal });
  return untilAborted(signal, waited);
}
