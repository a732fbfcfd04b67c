/** Downloads one object to a file: windows in parallel, each verified before it is written; goes on where it was. */
import { encodeBase64, quoted } from "../../base/bytes.js";
import { forEachConcurrently } from "../../base/concurrency.js";
import { EnvelopeError, hasCode, withDetails } from "../../base/errors.js";
import { fileFailed } from "../../base/files.js";
import {
  type ChunkRange,
  chunkCount,
  chunkRange,
  plaintextLength,
  sealedBytes,
} from "../../cobblestone/layout.js";
import { checkRange } from "../../cobblestone/stream/open-range.js";
import { withoutEnvelope } from "../../envelope/user-metadata.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import { getResponse } from "../../s3/body/object-response.js";
import { unusableResponse } from "../../s3/errors.js";
import { withoutChecksums } from "../../s3/fields.js";
import { parseContentRange } from "../../s3/responses.js";
import { aboutObject } from "../../transfer/about-object.js";
import type { TransferOptions } from "../../transfer/call-signal.js";
import { abortSignalArgument, type CallSignal, transferSignal } from "../../transfer/call-signal.js";
import type { Lease } from "../../transfer/memory-budget.js";
import { ProgressMeter, progressArgument } from "../../transfer/progress.js";
import type { ClientConfig } from "../encrypted/config.js";
import { requireSameObject, seenIn, unlockObject } from "../encrypted/object-request.js";
import { notEncrypted, storedEnvelope } from "../encrypted/read-envelope.js";
import {
  fetchWindow,
  isOverwritten,
  maxWindowChunks,
  type OpenableObject,
  openableObject,
  windowRange,
} from "../parallel/blocks.js";
import {
  type DownloadArguments,
  type DownloadInput,
  type DownloadOutput,
  downloadArguments,
  requirePlace,
} from "./download-input.js";
import { PartialFile } from "./partial-file.js";

export type { DownloadInput, DownloadOutput } from "./download-input.js";

interface DownloadRequest extends DownloadArguments {
  readonly config: ClientConfig;
  readonly meter: ProgressMeter;
  readonly transfer: CallSignal;
  readonly windowChunks: number;
}

/** What the first answer has told. */
interface Opened {
  readonly object: OpenableObject;
  /** To the request for the first window. */
  readonly answer: ObjectResponse;
  readonly plaintextLength: number;
  readonly encryptionContext: EncryptionContext;
}

/** The paths that downloads of this process are under way to. */
const pathsInUse = new Set<string>();

/**
 * See `EnvelopeClient.download`.
 *
 * @param windowChunks smaller in tests
 */
export async function download(
  config: ClientConfig,
  input: DownloadInput,
  options: TransferOptions,
  windowChunks = maxWindowChunks,
): Promise<DownloadOutput> {
  const given = fieldsArgument<TransferOptions>(fieldNames.download.options, options);
  const caller = abortSignalArgument(given);
  const listener = progressArgument(given.onProgress);
  const { target, ...others } = downloadArguments(input);
  const transfer = transferSignal(caller);
  const subject = { operation: "download", Bucket: target.bucket, Key: target.key } as const;
  const meter = new ProgressMeter(subject, listener);
  try {
    const request = { config: config, target, ...others, meter, transfer, windowChunks };
    return await aboutObject({ bucket: target.bucket, key: target.key }, transfer, () => runAlone(request));
  } finally {
    transfer.close();
  }
}

async function runAlone(request: DownloadRequest): Promise<DownloadOutput> {
  const { path, transfer, keepPartial } = request;
  const { signal } = transfer;
  if (pathsInUse.has(path)) {
    signal.throwIfAborted();
    throw fileFailed(path, "be written", new Error("a download to it is under way"));
  }
  pathsInUse.add(path);
  try {
    signal.throwIfAborted();
    await requirePlace(path);
    return await run(request);
  } catch (error) {
    // It may have failed before it came to what an earlier try has left.
    if (keepPartial === false) await PartialFile.removeAll(path).catch(() => undefined);
    throw error;
  } finally {
    pathsInUse.delete(path);
  }
}

async function run(request: DownloadRequest): Promise<DownloadOutput> {
  const { config, transfer, windowChunks } = request;
  // Before the connection: whoever waits for memory must hold no connection that others need to let go of theirs.
  const bytes = sealedBytes(windowChunks);
  const hold = await config.budget.acquire(transfer, bytes, transfer.signal, bytes);
  try {
    const opened = await openObject(request);
    return await fetchFile(request, opened, hold);
  } catch (error) {
    transfer.abort(error);
    throw error;
  } finally {
    hold.release();
    config.budget.trim();
  }
}

/** From the first request to the keys: nothing has been written. */
async function openObject(request: DownloadRequest): Promise<Opened> {
  const { config, target, windowChunks } = request;
  const Range = windowRange(chunkRange(0, windowChunks));
  let first = await firstAnswer(request, Range);
  const stored = storedEnvelope(config, first.output.Metadata);
  if (!stored) throw notEncrypted(target.key);
  const { keys, encryptionContext } = await unlockObject(config, request, first, stored);
  if (stored.storage === "sidecar") first = await requireSameObject(config, request, seenIn(first), Range);
  const { ContentRange, ContentLength } = first.output;
  if (!parseContentRange(ContentRange) && ContentLength === undefined)
    throw unusableResponse(target, "its answer does not tell the size of the object");
  const object = openableObject(config, request, first, keys);
  return {
    object,
    answer: first,
    plaintextLength: plaintextLength(object.ciphertextLength),
    encryptionContext,
  };
}

/** An object without a byte has no range; what its metadata say shall be told all the same. */
async function firstAnswer(
  { config, get, transfer }: DownloadRequest,
  Range: string,
): Promise<ObjectResponse> {
  try {
    return await getResponse(config, { ...get, Range }, transfer.signal);
  } catch (error) {
    if (!hasCode(error, "S3_RANGE_NOT_SATISFIABLE")) throw error;
    return getResponse(config, get, transfer.signal);
  }
}

async function fetchFile(
  request: DownloadRequest,
  opened: Opened,
  firstHold: Lease,
): Promise<DownloadOutput> {
  const { path, fsync, mode, meter, windowChunks, transfer } = request;
  const { maxConcurrentParts } = request.config;
  const { object, answer, encryptionContext, plaintextLength: bytes } = opened;
  const windows = Math.ceil(chunkCount(bytes) / windowChunks);
  meter.totalBytes = bytes;
  meter.totalParts = windows;
  const file = await PartialFile.open(path, identityOf(object, windowChunks));
  let resumedBytes = 0;
  try {
    await forEachConcurrently(new Array(windows).keys(), maxConcurrentParts, transfer, async (index) => {
      const first = index === 0 ? { answer, hold: firstHold } : undefined;
      if (await fetchOne(request, opened, file, index, first))
        resumedBytes += chunkRange(index * windowChunks, windowChunks, bytes).plaintextBytes;
    });
    await file.finish({ bytes, fsync, mode });
  } catch (error) {
    transfer.abort(error);
    throw await leave(request, file, error);
  }
  meter.end();
  const { ContentRange: _range, AcceptRanges: _ranges, Body: _body, ...output } = answer.output;
  return {
    ...withoutChecksums(output),
    filePath: path,
    ContentLength: bytes,
    Metadata: withoutEnvelope(output.Metadata ?? {}),
    encryptionContext,
    resumedBytes,
  };
}

/** What tells this state of this object, cut into these windows, from all others. */
function identityOf(
  { target, get, seen, keys, ciphertextLength }: OpenableObject,
  windowChunks: number,
): string {
  const { bucket, key } = target;
  const { ETag } = seen.output;
  const header = encodeBase64(keys.header);
  const identity = { bucket, key, versionId: get.VersionId, ETag, header, ciphertextLength, windowChunks };
  return JSON.stringify({ journal: "s3-envelope/download 1", ...identity });
}

/** Sees to it that one window is in the file; returns whether it was. */
async function fetchOne(
  { config, meter, transfer, windowChunks }: DownloadRequest,
  { object, plaintextLength: total }: Opened,
  file: PartialFile,
  index: number,
  first: { readonly answer: ObjectResponse; readonly hold: Lease } | undefined,
): Promise<boolean> {
  const { signal } = transfer;
  const range = chunkRange(index * windowChunks, windowChunks, total);
  const bytes = sealedBytes(Math.min(windowChunks, chunkCount(total)));
  const hold = first?.hold ?? (await config.budget.acquire(transfer, bytes, signal, bytes));
  try {
    let slab = (hold.memory ?? Buffer.allocUnsafeSlow(bytes)).buffer as ArrayBuffer;
    const tagDigest = file.digestOf(index);
    if (tagDigest) {
      first?.answer.close();
      const checked = await check(config, object, file, range, slab, tagDigest);
      slab = checked.slab;
      if (checked.isSame) {
        hold.release(Buffer.from(slab));
        meter.resume(range.plaintextBytes, 1);
        return true;
      }
      signal.throwIfAborted();
    }
    const opened = await fetchWindow(object, range, slab, tagDigest ? undefined : first?.answer);
    signal.throwIfAborted();
    await file.write(index, range, opened.slab, opened.tagDigest);
    hold.release(Buffer.from(opened.slab));
    meter.add(range.plaintextBytes, 1);
    return false;
  } finally {
    hold.release();
  }
}

/** Whether a window that the journal lists is in the file as it was written: it may have been lost or changed. */
async function check(
  { engine }: ClientConfig,
  { keys }: OpenableObject,
  file: PartialFile,
  range: ChunkRange,
  slab: ArrayBuffer,
  tagDigest: Buffer,
): Promise<{ readonly slab: ArrayBuffer; readonly isSame: boolean }> {
  if (!(await file.read(range, slab))) return { slab, isSame: false };
  return checkRange(engine, keys, range, slab, tagDigest);
}

/** Keeps or removes what a failed call has written, and returns its error, which names what was kept. */
async function leave(
  { transfer, keepPartial }: DownloadRequest,
  file: PartialFile,
  error: unknown,
): Promise<unknown> {
  await file.close().catch(() => undefined);
  const isCallers = transfer.isCallersReason(error);
  if (!(keepPartial ?? (!isCallers && mayGoOn(error, file))) || isOverwritten(error)) {
    await file.remove().catch(() => undefined);
    return error;
  }
  if (!(error instanceof EnvelopeError) || isCallers || !(await file.isThere())) return error;
  const { partialPath } = file;
  const kept = `${error.message}. What has been verified is kept in ${quoted(partialPath)} for the next call`;
  return withDetails(error, { partialPath }, kept);
}

/** Whether the next call may well go on from here. */
function mayGoOn(error: unknown, file: PartialFile): boolean {
  if (!(error instanceof EnvelopeError)) return false;
  if (error.retryable || hasCode(error, "FILE_FAILED") || hasCode(error, "S3_ACCESS_DENIED")) return true;
  // One bad answer is no reason to give up hours of verified bytes.
  return file.holdsAnything && (hasCode(error, "DECRYPTION_FAILED") || hasCode(error, "S3_REQUEST_FAILED"));
}
