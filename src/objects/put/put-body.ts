/** Sends a plaintext as the body of an object: in one PutObject or in a multipart upload, within the budget. */
import type { ConfirmedWriteOutput } from "../../s3/confirmed-write.js";
import type { RequestTarget } from "../../s3/errors.js";
import { type MultipartInput, uploadMultipart } from "../../s3/multipart.js";
import { type Call, type CheckedCallOptions, withCall } from "../../transfer/call.js";
import { FlowControl } from "../../transfer/flow-control.js";
import type { MemoryBudget } from "../../transfer/memory-budget.js";
import { PartLeases } from "../../transfer/part-leases.js";
import { assembleParts, type Part, partSizes } from "../../transfer/parts.js";
import type { ProgressMeter } from "../../transfer/progress.js";
import type { Source } from "../../transfer/source.js";
import type { TransferConfig } from "../encrypted/config.js";
import { sendWhole } from "./write.js";

/** How the plaintext of one object becomes its body. */
export interface BodyEncoder {
  /** How long the body of so many bytes of plaintext is. */
  ciphertextLength(plaintextLength: number): number;
  /** Bytes of plaintext that the first so many bytes of the body hold. */
  plaintextBytesBefore(ciphertextBytes: number): number;
  /** Bytes of plaintext that it takes to make the first so many bytes of the body, and at least one more. */
  plaintextBytesFor(ciphertextBytes: number): number;
  /** Bytes of plaintext that are read ahead, besides. */
  readonly readAheadBytes: number;
  /** Makes the body. Called once, and not after {@link sealAtOnce}. */
  seal(plaintext: AsyncIterable<Uint8Array>): SealedPieces;
  /** Makes the body of a few bytes in one go, in memory of its own. */
  sealAtOnce?(plaintext: Uint8Array): Buffer;
}

/** A body that is being made, in pieces whose memory may be used again once the next one is asked for. */
export interface SealedPieces extends AsyncIterable<Buffer> {
  /** Lets go of memory before a wait. */
  trim?(): void;
}

/** What {@link putBody} sends, and for which object. */
export interface BodyRequest extends Omit<MultipartInput, "s3" | "maxConcurrentParts" | "transfer"> {
  readonly source: Source;
  readonly call: Call;
}

/** Bytes in memory up to this many are sealed in one go: it takes less than a turn of the event loop. */
const maxSealedAtOnceBytes = 64 * 1024;

/** What every put has once its input was checked. */
export interface PutSubject {
  readonly target: RequestTarget;
  readonly source: Source;
}

/** Runs a put in its frame, and closes the source when it fails. */
export async function runPut<R>(
  { target, source }: PutSubject,
  budget: MemoryBudget,
  options: CheckedCallOptions,
  write: (call: Call) => Promise<R>,
): Promise<R> {
  try {
    return await withCall({ ...target, operation: "put", budget }, options, write);
  } catch (error) {
    source.close();
    throw error;
  }
}

/** Reads the source to its end and stores what it is sealed to. */
export async function putBody(
  config: TransferConfig,
  request: BodyRequest,
  sealing: BodyEncoder,
): Promise<ConfirmedWriteOutput> {
  const { idleTimeoutMs, partSizeBytes, budget } = config;
  const { source, call } = request;
  const { meter: progress } = call;
  const { bytes, length } = source;
  progress.totalBytes = length;
  let storedParts = 0;
  const onStored = ({ start, length: partBytes, isLast, partNumber }: Part) => {
    const before = sealing.plaintextBytesBefore(start);
    const end = sealing.plaintextBytesBefore(start + partBytes);
    storedParts += 1;
    if (isLast) [progress.totalBytes, progress.totalParts] = [end, partNumber];
    progress.add(end - before, 1);
  };
  const input = { ...config, ...request, transfer: call };
  if (sealing.sealAtOnce && bytes !== undefined && bytes.length <= maxSealedAtOnceBytes) {
    const output = await sendWhole(input, sealing.sealAtOnce(bytes));
    tellWhole(progress, bytes.length);
    return output;
  }
  const sealedLength = length === undefined ? undefined : sealing.ciphertextLength(length);
  const sizes = partSizes(sealedLength, partSizeBytes);
  if (sealedLength !== undefined) progress.totalParts = Math.ceil(sealedLength / sizes(1));
  const gate = new FlowControl();
  const shares = new PartLeases(budget, call, sealing.readAheadBytes);
  const pieces = sealing.seal(gate.read(source.read({ signal: call.signal, idleTimeoutMs })));
  try {
    const parts = assembleParts(pieces, {
      sizes,
      ciphertextLength: sealedLength,
      shares,
      onRoom: (end) => gate.openTo(sealing.plaintextBytesFor(end)),
      onWait: () => pieces.trim?.(),
    });
    const output = await send(input, parts, onStored);
    progress.totalBytes = source.bytesRead;
    if (storedParts > 0) progress.end();
    else tellWhole(progress, source.bytesRead);
    return output;
  } finally {
    gate.close();
    shares.close();
  }
}

/** An object that went in one piece is told of once, when S3 has it. */
function tellWhole(progress: ProgressMeter, bytes: number): void {
  progress.totalParts = 1;
  progress.end(bytes, 1);
}

/** One part goes as one PutObject, more as a multipart upload. */
async function send(
  input: MultipartInput,
  parts: AsyncGenerator<Part, undefined>,
  onStored: (part: Part) => void,
): Promise<ConfirmedWriteOutput> {
  const first = await parts.next();
  if (first.done) throw new Error("unreachable: every body has a byte");
  if (first.value.isLast) return sendWhole(input, first.value.bytes);
  // Ends the source also when the upload fails before it has taken what was read ahead.
  return uploadMultipart(input, chain(first.value, parts), onStored).finally(
    () => void parts.return(undefined).catch(() => undefined),
  );
}

async function* chain<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T, undefined> {
  yield first;
  yield* rest;
  return undefined;
}
