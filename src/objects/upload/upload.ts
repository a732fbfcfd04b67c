/** Uploads a file, or anything that can be read at any offset: parts in parallel, gone on with after a crash. */
import { resolve } from "node:path";
import { stringArgument } from "../../base/arguments.js";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { CommitState } from "../../s3/confirmed-write.js";
import { completeUpload } from "../../s3/multipart.js";
import { aboutObject } from "../../transfer/about-object.js";
import type { TransferOptions } from "../../transfer/call-signal.js";
import { abortSignalArgument, transferSignal } from "../../transfer/call-signal.js";
import { forEachAtOnce } from "../../transfer/concurrency.js";
import { ProgressMeter, progressArgument } from "../../transfer/progress.js";
import {
  openSeekable,
  type SeekableInput,
  type SeekableSource,
  seekableArgument,
  sourceChanged,
} from "../../transfer/seekable-source.js";
import type { ClientSettings } from "../encrypted/config.js";
import {
  type PutOutput,
  prepareWrite,
  putOutput,
  sendWhole,
  type WriteInput,
  withSidecar,
  writeArguments,
} from "../put/write.js";
import { begin, layoutOf, multipartInput, sendSealed, sentPart } from "./begin.js";
import { Checkpoint } from "./checkpoint.js";
import type { Recorded } from "./checkpoint-lines.js";
import { endingWell, type Multipart, type Run } from "./ending.js";
import { requireSamePart } from "./listing.js";
import { guardOf, PartGuard } from "./part-guard.js";
import { type PartLayout, PartMaker, plaintextShare, recordSeal, type UploadedPart } from "./parts.js";
import {
  fieldsMac,
  fieldsOf,
  findFinished,
  findTrusted,
  isOfSource,
  type ListedParts,
  requireAuthentic,
  requireSameBytes,
  requireSameFields,
  requireSameObject,
  unlockCheckpoint,
} from "./resume.js";
import { ticketPut } from "./ticket.js";

/** What `upload` takes: the input of PutObject, its source in place of the body, and where to keep a checkpoint. */
export interface UploadInput extends WriteInput, SeekableInput {
  /**
   * A file by which the upload goes on after a crash, on this host or on another: call again with the same input. It
   * holds no plaintext and no key that is not wrapped, and is removed at the end. It must be a regular file of this user's,
   * no link, under one name, which nobody else may write to; and another one than `FilePath`. Without it a crash leaves an
   * unfinished upload.
   */
  readonly CheckpointPath?: string | undefined;
}

/** See `EnvelopeClient.upload`. */
export async function upload(
  settings: ClientSettings,
  input: UploadInput,
  options: TransferOptions,
): Promise<PutOutput> {
  const stated = fieldsArgument<TransferOptions>(fieldNames.upload.options, options);
  const caller = abortSignalArgument(stated);
  const listener = progressArgument(stated.onProgress);
  const given = fieldsArgument<UploadInput>(fieldNames.upload.input, input) as UploadInput;
  const { FilePath, Source, CheckpointPath, ...others } = given;
  const seekable = seekableArgument({ FilePath, Source });
  const path = CheckpointPath === undefined ? undefined : stringArgument("CheckpointPath", CheckpointPath);
  if (path !== undefined && FilePath !== undefined && resolve(path) === resolve(FilePath))
    throw checkpointIsSource();
  const request = writeArguments(settings, others, "PutObject");
  const transfer = transferSignal(caller);
  let source: SeekableSource | undefined;
  const { bucket, key } = request.attempt;
  const sending = async () => {
    transfer.signal.throwIfAborted();
    source = await openSeekable(seekable, transfer.signal, settings.idleTimeoutMs);
    if (path !== undefined && (await source.isFileAt(path))) throw checkpointIsSource();
    const meter = new ProgressMeter({ operation: "upload", Bucket: bucket, Key: key }, listener);
    meter.totalBytes = source.length;
    const output = await run({ settings, request, source, transfer, meter }, path);
    meter.end();
    return output;
  };
  try {
    return await aboutObject({ bucket, key }, transfer, sending);
  } catch (error) {
    transfer.abort(error);
    throw error;
  } finally {
    transfer.dispose();
    settings.budget.letGo();
    await source?.close();
  }
}

function checkpointIsSource(): TypeError {
  return new TypeError("CheckpointPath: expected another file than FilePath, got the same one");
}

async function run(call: Omit<Run, "checkpoint">, path: string | undefined): Promise<PutOutput> {
  const { settings, source } = call;
  const layout = layoutOf(settings, source.length);
  if (path === undefined) return write({ ...call, checkpoint: undefined }, layout);
  const found = await Checkpoint.find(path);
  if (found) {
    try {
      const output = found.recorded && (await resume({ ...call, checkpoint: found }, found, found.recorded));
      // Of an upload that is gone, or that never began.
      await found.remove();
      if (output) return output;
    } finally {
      await found.close();
    }
  }
  if (layout.partCount === 1) return write({ ...call, checkpoint: undefined }, layout);
  const checkpoint = await Checkpoint.make(path);
  try {
    const output = await write({ ...call, checkpoint }, layout);
    await checkpoint.remove();
    return output;
  } catch (error) {
    if (!checkpoint.hasBegun) await checkpoint.remove().catch(() => undefined);
    throw error;
  } finally {
    await checkpoint.close();
  }
}

/** Writes the object from the start: in one part as one PutObject. */
async function write(call: Run, layout: PartLayout): Promise<PutOutput> {
  const { settings, request, source, transfer, meter, checkpoint } = call;
  meter.totalParts = layout.partCount;
  if (layout.partCount === 1) return writeWhole(call, layout);
  const state = { sourceModifiedMs: source.modifiedMs, sourceDigest: undefined };
  const { prepared, ticket, recordKey } = await begin(settings, request, layout, state, transfer);
  const { put, envelope, keys } = prepared;
  const read = { ticket, envelope };
  const input = multipartInput(settings, read, put, transfer);
  const multipart = { input, read, recordKey, isResumed: false };
  return endingWell(call, multipart, async (sending) => {
    const fields = fieldsOf(request);
    await checkpoint?.begin({ ticket, fields, mac: fieldsMac(recordKey, ticket, fields) });
    sending();
    // Without a checkpoint nobody else ever has the ticket.
    const guard = checkpoint ? guardOf(settings, ticket) : new PartGuard(layout);
    return sendAll(call, multipart, keys, guard, new Map());
  });
}

async function writeWhole(call: Run, layout: PartLayout): Promise<PutOutput> {
  const { settings, request, source, transfer, meter } = call;
  const { attempt } = request;
  const prepared = await prepareWrite(settings, request, transfer.signal);
  const { keys, put } = prepared;
  const commit = new CommitState();
  const maker = new PartMaker({ settings, layout, keys, source, signal: transfer.signal });
  const output = await withSidecar(settings, prepared, transfer, commit, () =>
    maker.with(1, async ({ bytes }) => {
      await source.requireUnchanged();
      return sendWhole({ ...settings, put, attempt, transfer, commit }, bytes);
    }),
  );
  meter.add(source.length, 1);
  return putOutput(output, source.length);
}

/**
 * Goes on with an upload; undefined when there is none any more and its object is not there either. Nothing of the
 * checkpoint is used for a request before all of it has been compared with the call and authenticated.
 */
async function resume(call: Run, checkpoint: Checkpoint, found: Recorded): Promise<PutOutput | undefined> {
  const { settings, request, source, transfer, meter } = call;
  const { read } = found;
  const { ticket } = read;
  requireSameFields(checkpoint.path, found.fields, fieldsOf(request));
  requireSameObject(checkpoint.path, ticket, request);
  const put = ticketPut(read, request.put.SSECustomerKey);
  const { keys, recordKey } = await unlockCheckpoint(call, checkpoint, found);
  const input = multipartInput(settings, read, put, transfer);
  const multipart = { input, read, recordKey, isResumed: true };
  const isSame = source.length === ticket.plaintextLength && source.modifiedMs === ticket.sourceModifiedMs;
  let recorded = found;
  const output = await endingWell(call, multipart, async (sending) => {
    recorded = await checkpoint.takeOver();
    await requireAuthentic(checkpoint.path, recordKey, recorded);
    const listed = await findTrusted(input, ticket.UploadId, recorded.done);
    if (!listed) return undefined;
    if (source.length !== ticket.plaintextLength)
      throw sourceChanged("it has another length", { size: source.length });
    if (!isSame) throw sourceChanged("the file was modified", { modifiedMs: source.modifiedMs });
    await requireSameBytes(call, multipart, keys, recorded, transfer);
    sending();
    meter.totalParts = ticket.partCount;
    const { trusted, others } = listed;
    let bytes = 0;
    for (const partNumber of trusted.keys()) bytes += plaintextShare(ticket, partNumber);
    meter.resume(bytes, trusted.size);
    const earlier = { begun: recorded.begun, others };
    return sendAll(call, multipart, keys, guardOf(settings, ticket), trusted, earlier);
  });
  if (output) return output;
  return findFinished(input, read, async () => {
    if (!isSame || recorded.begun.size < ticket.partCount) return false;
    return isOfSource(call, multipart, keys, recorded);
  });
}

/** Sends the parts that are not done, and completes. */
async function sendAll(
  { settings, source, transfer, meter, checkpoint }: Run,
  multipart: Multipart,
  keys: MessageKeys,
  guard: PartGuard,
  done: Map<number, UploadedPart>,
  earlier?: Pick<Recorded, "begun"> & Pick<ListedParts, "others">,
): Promise<PutOutput> {
  const { input, read, recordKey } = multipart;
  const { ticket } = read;
  const { UploadId, partCount, plaintextLength } = ticket;
  const maker = new PartMaker({ settings, layout: ticket, keys, source, signal: transfer.signal });
  const missing = Array.from({ length: partCount }, (_, index) => index + 1).filter(
    (partNumber) => !done.has(partNumber),
  );
  await forEachAtOnce(missing, settings.maxConcurrentParts, transfer, (partNumber) =>
    maker.with(partNumber, async (sealed) => {
      const isNew = !earlier?.begun.has(partNumber);
      const listed = earlier?.others.get(partNumber);
      // Every part that was sent has a line: this one's was taken out.
      if (isNew && listed) requireSamePart(partNumber, listed, sealed.bytes);
      guard.require(partNumber, sealed);
      if (isNew) await checkpoint?.begun(partNumber, recordSeal(recordKey, ticket.mac, partNumber, sealed));
      else await checkpoint?.requireOwn();
      const part = await sendSealed(multipart, partNumber, sealed, source.modifiedMs);
      await checkpoint?.done(part);
      done.set(partNumber, part);
      meter.add(plaintextShare(ticket, partNumber), 1);
    }),
  );
  await source.requireUnchanged();
  await checkpoint?.requireOwn();
  const output = await completeUpload(input, UploadId, [...done.values()].map(sentPart));
  return putOutput(output, plaintextLength);
}
