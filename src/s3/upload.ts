/** Uploads a file, or anything that can be read at any offset: parts in parallel, gone on with after a crash. */
import { objectArgument, stringArgument } from "../arguments.js";
import type { MessageKeys } from "../cobblestone/derivation.js";
import { requireContext } from "../envelope/envelope.js";
import { aboutObject } from "./about-object.js";
import { forEachAtOnce } from "./at-once.js";
import { CommitState } from "./commit.js";
import { refuseFields } from "./fields.js";
import { completeUpload } from "./multipart.js";
import { ProgressMeter, progressArgument } from "./progress.js";
import type { ClientSettings, TransferOptions } from "./settings.js";
import { abortSignalArgument, transferSignal } from "./transfer-signal.js";
import { begin, layoutOf, multipartInput, sendSealed, sentPart } from "./upload-begin.js";
import { Checkpoint } from "./upload-checkpoint.js";
import { endingWell, type Multipart, type Run } from "./upload-ending.js";
import { PartGuard, type PartLayout, PartMaker, plaintextShare, type UploadedPart } from "./upload-parts.js";
import { fieldsOf, findFinished, findTrusted, requireSameFields } from "./upload-resume.js";
import {
  openSeekable,
  type SeekableInput,
  type SeekableSource,
  seekableArgument,
  sourceChanged,
} from "./upload-source.js";
import { type ReadTicket, ticketKeys, ticketPut } from "./upload-ticket.js";
import {
  type PutOutput,
  prepareWrite,
  putOutput,
  sendWhole,
  type WriteInput,
  withSidecar,
  writeArguments,
} from "./write.js";

/** What `upload` takes: the input of PutObject, its source in place of the body, and where to keep a checkpoint. */
export interface UploadInput extends WriteInput, SeekableInput {
  /**
   * A file by which the upload goes on after a crash, on this host or on another: call again with the same input. It
   * holds no plaintext and no key that is not wrapped, and is removed at the end. Without it a crash leaves an
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
  const caller = abortSignalArgument(options);
  const listener = progressArgument(options.onProgress);
  const { FilePath, Source, CheckpointPath, ...others } = objectArgument(
    "input",
    input,
  ) as unknown as UploadInput;
  refuseFields(others, ["Body", "ContentLength"], "the source is FilePath or Source: leave it out");
  const seekable = seekableArgument({ FilePath, Source });
  const path = CheckpointPath === undefined ? undefined : stringArgument("CheckpointPath", CheckpointPath);
  const request = writeArguments(settings, others, "PutObject");
  const transfer = transferSignal(caller);
  let source: SeekableSource | undefined;
  const { bucket, key } = request.attempt;
  const sending = async () => {
    transfer.signal.throwIfAborted();
    source = await openSeekable(seekable, transfer.signal, settings.idleTimeoutMs);
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

async function run(call: Omit<Run, "checkpoint">, path: string | undefined): Promise<PutOutput> {
  const { settings, source } = call;
  const layout = layoutOf(settings, source.length);
  if (path === undefined) return write({ ...call, checkpoint: undefined }, layout);
  const found = await Checkpoint.find(path);
  if (found) {
    try {
      const output = found.recorded && (await resume({ ...call, checkpoint: found }, found.recorded.read));
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
  const { prepared, ticket } = await begin(settings, request, layout, transfer);
  const { put, envelope, keys } = prepared;
  const read = { ticket, envelope };
  const multipart = { input: multipartInput(settings, read, put, transfer), read };
  return endingWell(call, multipart, async (sending) => {
    const fields = fieldsOf(request);
    await checkpoint?.begin({ ticket, fields, modifiedMs: source.modifiedMs });
    sending();
    return sendAll(call, multipart, keys, new PartGuard(layout), new Map());
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

/** Goes on with an upload; undefined when there is none any more and its object is not there either. */
async function resume(call: Run, read: ReadTicket): Promise<PutOutput | undefined> {
  const { settings, request, source, transfer, meter, checkpoint } = call;
  const { signal } = transfer;
  if (!checkpoint?.recorded) throw new Error("unreachable: it was found");
  const { fields, modifiedMs, begun, done } = checkpoint.recorded;
  requireSameFields(checkpoint.path, fields, fieldsOf(request));
  requireContext(read.envelope.encryptionContext, request.context);
  const put = ticketPut(read, request.put.SSECustomerKey);
  const input = multipartInput(settings, read, put, transfer);
  const { ticket } = read;
  const isSame = source.length === ticket.plaintextLength && source.modifiedMs === modifiedMs;
  const output = await endingWell(call, { input, read }, async (sending) => {
    const trusted = await findTrusted(input, ticket.UploadId, done);
    if (!trusted) return undefined;
    if (source.length !== ticket.plaintextLength)
      throw sourceChanged("it has another length", { size: source.length });
    if (!isSame) throw sourceChanged("the file was modified", { modifiedMs: source.modifiedMs });
    const { keys } = await ticketKeys(settings, read, request.context, signal);
    await checkpoint.takeOver();
    const guard = new PartGuard(ticket);
    for (const [partNumber, seal] of begun) guard.require(partNumber, seal);
    const maker = new PartMaker({ settings, layout: ticket, keys, source, signal });
    await forEachAtOnce(begun.keys(), settings.maxConcurrentParts, transfer, (partNumber) =>
      maker.with(partNumber, async (part) => {
        guard.require(partNumber, part);
        part.release();
      }),
    );
    await source.requireUnchanged();
    sending();
    meter.totalParts = ticket.partCount;
    let bytes = 0;
    for (const partNumber of trusted.keys()) bytes += plaintextShare(ticket, partNumber);
    meter.resume(bytes, trusted.size);
    return sendAll(call, { input, read }, keys, guard, trusted);
  });
  return output ?? findFinished(input, read, isSame);
}

/** Sends the parts that are not done, and completes. */
async function sendAll(
  { settings, source, transfer, meter, checkpoint }: Run,
  { input, read }: Multipart,
  keys: MessageKeys,
  guard: PartGuard,
  done: Map<number, UploadedPart>,
): Promise<PutOutput> {
  const { ticket } = read;
  const { UploadId, partCount, plaintextLength } = ticket;
  const maker = new PartMaker({ settings, layout: ticket, keys, source, signal: transfer.signal });
  const missing = Array.from({ length: partCount }, (_, index) => index + 1).filter(
    (partNumber) => !done.has(partNumber),
  );
  await forEachAtOnce(missing, settings.maxConcurrentParts, transfer, (partNumber) =>
    maker.with(partNumber, async (sealed) => {
      const isNew = !guard.has(partNumber);
      guard.require(partNumber, sealed);
      if (isNew) await checkpoint?.begun(partNumber, sealed);
      const part = await sendSealed(input, UploadId, partNumber, sealed);
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
