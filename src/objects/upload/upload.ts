/** Uploads a file, or anything that can be read at any offset: parts in parallel, gone on with after a crash. */
import { resolve } from "node:path";
import { stringArgument } from "../../base/arguments.js";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { ConfirmedWrite } from "../../s3/confirmed-write.js";
import { commitUpload } from "../../s3/multipart.js";
import { aboutObject } from "../../transfer/about-object.js";
import type { TransferOptions } from "../../transfer/call-signal.js";
import { abortSignalArgument, transferSignal } from "../../transfer/call-signal.js";
import { forEachConcurrently } from "../../transfer/concurrency.js";
import { ProgressMeter, progressArgument } from "../../transfer/progress.js";
import {
  openSeekable,
  type SeekableInput,
  type SeekableSource,
  seekableArgument,
  sourceChanged,
} from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
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
import type { CheckpointState } from "./checkpoint-lines.js";
import { type Multipart, type UploadCall, withFailurePolicy } from "./ending.js";
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
   * no link, under one name, which nobody else may write to; and another one than `filePath`. Without it a crash leaves an
   * unfinished upload.
   */
  readonly checkpointPath?: string | undefined;
}

/** See `EnvelopeClient.upload`. */
export async function upload(
  config: ClientConfig,
  input: UploadInput,
  options: TransferOptions,
): Promise<PutOutput> {
  const stated = fieldsArgument<TransferOptions>(fieldNames.upload.options, options);
  const caller = abortSignalArgument(stated);
  const listener = progressArgument(stated.onProgress);
  const given = fieldsArgument<UploadInput>(fieldNames.upload.input, input) as UploadInput;
  const { filePath, source, checkpointPath, ...others } = given;
  const seekable = seekableArgument({ filePath, source });
  const path = checkpointPath === undefined ? undefined : stringArgument("checkpointPath", checkpointPath);
  if (path !== undefined && filePath !== undefined && resolve(path) === resolve(filePath))
    throw checkpointIsSource();
  const request = writeArguments(config, others, "PutObject");
  const transfer = transferSignal(caller);
  let opened: SeekableSource | undefined;
  const { bucket, key } = request.target;
  const sending = async () => {
    transfer.signal.throwIfAborted();
    opened = await openSeekable(seekable, transfer.signal, config.idleTimeoutMs);
    if (path !== undefined && (await opened.isFileAt(path))) throw checkpointIsSource();
    const meter = new ProgressMeter({ operation: "upload", Bucket: bucket, Key: key }, listener);
    meter.totalBytes = opened.length;
    const output = await run({ config: config, request, source: opened, transfer, meter }, path);
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
    config.budget.trim();
    await opened?.close();
  }
}

function checkpointIsSource(): TypeError {
  return new TypeError("checkpointPath: expected another file than filePath, got the same one");
}

async function run(call: Omit<UploadCall, "checkpoint">, path: string | undefined): Promise<PutOutput> {
  const { config, source } = call;
  const layout = layoutOf(config, source.length);
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
async function write(call: UploadCall, layout: PartLayout): Promise<PutOutput> {
  const { config, request, source, transfer, meter, checkpoint } = call;
  meter.totalParts = layout.partCount;
  if (layout.partCount === 1) return writeWhole(call, layout);
  const state = { sourceModifiedMs: source.modifiedMs, sourceDigest: undefined };
  const { prepared, ticket, recordKey } = await begin(config, request, layout, state, transfer);
  const { put, envelope, keys } = prepared;
  const read = { ticket, envelope };
  const input = multipartInput(config, read, put, transfer);
  const multipart = { input, read, recordKey, isResumed: false };
  return withFailurePolicy(call, multipart, async (sending) => {
    const fields = fieldsOf(request);
    await checkpoint?.begin({ ticket, fields, mac: fieldsMac(recordKey, ticket, fields) });
    sending();
    // Without a checkpoint nobody else ever has the ticket.
    const guard = checkpoint ? guardOf(config, ticket) : new PartGuard(layout);
    return sendAll(call, multipart, keys, guard, new Map());
  });
}

async function writeWhole(call: UploadCall, layout: PartLayout): Promise<PutOutput> {
  const { config, request, source, transfer, meter } = call;
  const { target } = request;
  const prepared = await prepareWrite(config, request, transfer.signal);
  const { keys, put } = prepared;
  const commit = new ConfirmedWrite();
  const maker = new PartMaker({ config: config, layout, keys, source, signal: transfer.signal });
  const output = await withSidecar(config, prepared, transfer, commit, () =>
    maker.with(1, async ({ bytes }) => {
      await source.requireUnchanged();
      return sendWhole({ ...config, put, target: target, transfer, commit }, bytes);
    }),
  );
  meter.add(source.length, 1);
  return putOutput(output, source.length);
}

/**
 * Goes on with an upload; undefined when there is none any more and its object is not there either. Nothing of the
 * checkpoint is used for a request before all of it has been compared with the call and authenticated.
 */
async function resume(
  call: UploadCall,
  checkpoint: Checkpoint,
  found: CheckpointState,
): Promise<PutOutput | undefined> {
  const { config, request, source, transfer, meter } = call;
  const { read } = found;
  const { ticket } = read;
  requireSameFields(checkpoint.path, found.fields, fieldsOf(request));
  requireSameObject(checkpoint.path, ticket, request);
  const put = ticketPut(read, request.put.SSECustomerKey);
  const { keys, recordKey } = await unlockCheckpoint(call, checkpoint, found);
  const input = multipartInput(config, read, put, transfer);
  const multipart = { input, read, recordKey, isResumed: true };
  const isSame = source.length === ticket.plaintextLength && source.modifiedMs === ticket.sourceModifiedMs;
  let recorded = found;
  const output = await withFailurePolicy(call, multipart, async (sending) => {
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
    return sendAll(call, multipart, keys, guardOf(config, ticket), trusted, earlier);
  });
  if (output) return output;
  return findFinished(input, read, async () => {
    if (!isSame || recorded.begun.size < ticket.partCount) return false;
    return isOfSource(call, multipart, keys, recorded);
  });
}

/** Sends the parts that are not done, and completes. */
async function sendAll(
  { config, source, transfer, meter, checkpoint }: UploadCall,
  multipart: Multipart,
  keys: MessageKeys,
  guard: PartGuard,
  done: Map<number, UploadedPart>,
  earlier?: Pick<CheckpointState, "begun"> & Pick<ListedParts, "others">,
): Promise<PutOutput> {
  const { input, read, recordKey } = multipart;
  const { ticket } = read;
  const { UploadId, partCount, plaintextLength } = ticket;
  const maker = new PartMaker({ config: config, layout: ticket, keys, source, signal: transfer.signal });
  const missing = Array.from({ length: partCount }, (_, index) => index + 1).filter(
    (partNumber) => !done.has(partNumber),
  );
  await forEachConcurrently(missing, config.maxConcurrentParts, transfer, (partNumber) =>
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
  const output = await commitUpload(input, UploadId, [...done.values()].map(sentPart));
  return putOutput(output, plaintextLength);
}
