/** The pieces of an upload that several processes share: begin, each part, complete, abort. */
import { AbortMultipartUploadCommand } from "@aws-sdk/client-s3";
import { bytesArgument, integerArgument, objectArgument, stringArgument, wrongType } from "../arguments.js";
import { maxPlaintextBytes } from "../cobblestone/geometry.js";
import { EnvelopeError } from "../errors.js";
import { aboutObject, type ObjectFacts } from "./about-object.js";
import { objectFields, refuseFields } from "./fields.js";
import { completeUpload as completeMultipart, type MultipartInput } from "./multipart.js";
import { type ExpectedContext, expectedContextArgument } from "./read-envelope.js";
import { isUploadGone, s3Request } from "./s3-errors.js";
import type { CallOptions, ClientSettings } from "./settings.js";
import { deleteSidecar, sidecarLocation } from "./sidecar-object.js";
import { abortSignalArgument, type TransferSignal, transferSignal } from "./transfer-signal.js";
import { begin, layoutOf, multipartInput, sendSealed, sentPart } from "./upload-begin.js";
import { Checkpoint } from "./upload-checkpoint.js";
import { mayBeWritten } from "./upload-ending.js";
import {
  PartGuard,
  PartMaker,
  type PartSeal,
  partWindow,
  readUploadedParts,
  type UploadedPart,
} from "./upload-parts.js";
import { findTrusted } from "./upload-resume.js";
import {
  openSeekable,
  type SeekableInput,
  type SeekableSource,
  seekableArgument,
  sourceChanged,
} from "./upload-source.js";
import {
  forgetTicket,
  type ReadTicket,
  readTicket,
  ticketKeys,
  ticketPut,
  type UploadTicket,
} from "./upload-ticket.js";
import { type PutOutput, putOutput, type WriteInput, writeArguments } from "./write.js";

/** What `beginUpload` takes: the input of PutObject without a body, and the length of the plaintext. */
export interface BeginUploadInput extends WriteInput {
  /** Bytes of the plaintext that the parts will be made of. */
  readonly plaintextLength: number;
}

/** What `uploadPart` takes: the part and one of `Body`, `FilePath` and `Source`. */
export interface UploadPartInput extends SeekableInput {
  readonly ticket: UploadTicket;
  /** From 1 to the ticket's `partCount`. */
  readonly PartNumber: number;
  /** The very bytes of the plaintext that `uploadPartRange` names. */
  readonly Body?: Uint8Array | undefined;
  /** The context that the upload must have, exactly; empty by default; "any" takes what it has. */
  readonly encryptionContext?: ExpectedContext | undefined;
  /** The customer-provided key of the object, if it has one: the ticket holds its MD5 alone. */
  readonly SSECustomerKey?: string | undefined;
  /**
   * The digest of an earlier try of this part, from its result or from `onSealed`. **State it whenever there was
   * one**: the part is then sent only if it is made of the same plaintext. Two plaintexts sent for one part would
   * share key and nonce, which reveals both and lets anybody forge.
   */
  readonly tagDigest?: string | undefined;
  /** Is told the seal of the part, and awaited, before its first byte is sent: keep it for a process that takes over. */
  readonly onSealed?: ((seal: PartSeal) => void | Promise<void>) | undefined;
}

/** What `completeUpload` takes. */
export interface CompleteUploadInput
  extends Pick<UploadPartInput, "ticket" | "encryptionContext" | "SSECustomerKey"> {
  /** The results of all parts, in any order. */
  readonly parts: readonly UploadedPart[];
}

/** What `abortUpload` takes: the ticket, or the checkpoint of an `upload` that will not be gone on with. */
export type AbortUploadInput = { readonly ticket: UploadTicket } | { readonly CheckpointPath: string };

/** See `EnvelopeClient.beginUpload`. */
export async function beginUpload(
  settings: ClientSettings,
  input: BeginUploadInput,
  options: CallOptions,
): Promise<UploadTicket> {
  const caller = abortSignalArgument(options);
  const { plaintextLength, ...others } = objectArgument("input", input) as unknown as BeginUploadInput;
  refuseFields(others, ["Body", "ContentLength"], "the parts bring the body: state plaintextLength");
  const request = writeArguments(settings, others, "CreateMultipartUpload");
  const layout = layoutOf(
    settings,
    integerArgument("plaintextLength", plaintextLength, 0, maxPlaintextBytes),
  );
  return within(
    caller,
    request.attempt,
    async (transfer) => (await begin(settings, request, layout, transfer)).ticket,
  );
}

/** See `uploadPartRange` in src/index.ts: the plaintext that a part is made of. */
export function uploadPartRange(ticket: UploadTicket, PartNumber: number): { start: number; end: number } {
  const { ticket: read } = readTicket("ticket", ticket);
  const window = partWindow(read, integerArgument("PartNumber", PartNumber, 1, read.partCount));
  return { start: window.plaintextStart, end: window.plaintextEnd };
}

/** See `EnvelopeClient.uploadPart`. */
export async function uploadPart(
  settings: ClientSettings,
  input: UploadPartInput,
  options: CallOptions,
): Promise<UploadedPart> {
  const caller = abortSignalArgument(options);
  const { Body, onSealed, tagDigest, encryptionContext, SSECustomerKey, PartNumber } = objectArgument(
    "input",
    input,
  ) as unknown as UploadPartInput;
  const expected = expectedContextArgument(encryptionContext);
  if (onSealed !== undefined && typeof onSealed !== "function")
    throw wrongType("onSealed", "a function", onSealed);
  if (tagDigest !== undefined && !/^[0-9a-f]{64}$/.test(stringArgument("tagDigest", tagDigest)))
    throw new RangeError("tagDigest: expected 64 hex digits, got another string");
  const read = readTicket("ticket", input.ticket);
  const { ticket } = read;
  const partNumber = integerArgument("PartNumber", PartNumber, 1, ticket.partCount);
  const { plaintextStart, plaintextEnd } = partWindow(ticket, partNumber);
  if (Body !== undefined) bytesArgument("Body", Body, plaintextEnd - plaintextStart);
  const seekable = Body === undefined ? seekableArgument({ ...input }) : undefined;
  if (Body !== undefined && (input.FilePath ?? input.Source) !== undefined)
    throw new TypeError("Body, FilePath, Source: expected one of them");
  const put = ticketPut(read, SSECustomerKey);

  return within(caller, objectOf(ticket, partNumber), async (transfer) => {
    const { signal } = transfer;
    const { keys, guard } = await ticketKeys(settings, read, expected, signal);
    const source: SeekableSource = seekable
      ? await openSeekable(seekable, signal, settings.idleTimeoutMs)
      : bodySource(Body ?? new Uint8Array(0), ticket.plaintextLength);
    try {
      if (source.length !== ticket.plaintextLength)
        throw sourceChanged("it has another length than the ticket says", { size: source.length });
      const making = { settings, layout: ticket, keys, source, signal };
      return await new PartMaker(making).with(partNumber, async (sealed) => {
        await source.requireUnchanged();
        if (tagDigest !== undefined && tagDigest !== sealed.tagDigest)
          throw sourceChanged(`part ${partNumber} is not what its earlier try was`, { partNumber });
        // What another call was given for it, or for its neighbours.
        guard.require(partNumber, sealed);
        const { firstTag, lastTag } = sealed;
        await onSealed?.({ tagDigest: sealed.tagDigest, firstTag, lastTag });
        signal.throwIfAborted();
        return sendSealed(multipartInput(settings, read, put, transfer), ticket.UploadId, partNumber, sealed);
      });
    } finally {
      settings.budget.letGo();
      await source.close();
    }
  });
}

function bodySource(body: Uint8Array, length: number): SeekableSource {
  return {
    length,
    modifiedMs: undefined,
    async read(target) {
      // Its memory may have been handed to another thread since the call.
      if (body.length !== target.length)
        throw sourceChanged("Body has another length", { size: body.length });
      target.set(body);
    },
    requireUnchanged: async () => undefined,
    close: async () => undefined,
  };
}

/** See `EnvelopeClient.completeUpload`. */
export async function completeUpload(
  settings: ClientSettings,
  input: CompleteUploadInput,
  options: CallOptions,
): Promise<PutOutput> {
  const caller = abortSignalArgument(options);
  const given = objectArgument("input", input) as unknown as CompleteUploadInput;
  const expected = expectedContextArgument(given.encryptionContext);
  const read = readTicket("ticket", given.ticket);
  const { ticket } = read;
  const parts = readUploadedParts(given.parts, ticket);
  const put = ticketPut(read, given.SSECustomerKey);
  const guard = new PartGuard(ticket);
  for (const part of parts) guard.require(part.PartNumber, part);
  return within(caller, objectOf(ticket), async (transfer) => {
    await ticketKeys(settings, read, expected, transfer.signal);
    const sending = multipartInput(settings, read, put, transfer);
    const output = await completeMultipart(sending, ticket.UploadId, parts.map(sentPart));
    forgetTicket(settings, read);
    return putOutput(output, ticket.plaintextLength);
  });
}

/** See `EnvelopeClient.abortUpload`. */
export async function abortUpload(
  settings: ClientSettings,
  input: AbortUploadInput,
  options: CallOptions,
): Promise<void> {
  const signal = abortSignalArgument(options);
  const { ticket, CheckpointPath } = objectArgument("input", input);
  if ((ticket === undefined) === (CheckpointPath === undefined))
    throw new TypeError("ticket, CheckpointPath: expected one of them");
  if (CheckpointPath === undefined) return abortTicket(settings, readTicket("ticket", ticket), signal);
  const checkpoint = await Checkpoint.find(stringArgument("CheckpointPath", CheckpointPath));
  if (!checkpoint) return;
  try {
    if (checkpoint.recorded) {
      await checkpoint.takeOver();
      await abortTicket(settings, checkpoint.recorded.read, signal);
    }
    await checkpoint.remove();
  } finally {
    await checkpoint.close();
  }
}

/** Asks no key: what was begun can be ended even if the key is gone. */
function abortTicket(
  settings: ClientSettings,
  read: ReadTicket,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { envelope } = read;
  const ticket = withoutCustomerKey(read.ticket);
  const { UploadId, envelopeStorage } = ticket;
  forgetTicket(settings, read);
  return within(signal, objectOf(ticket), async (transfer) => {
    const put = ticketPut({ ticket, envelope }, undefined);
    const input = multipartInput(settings, read, put, transfer);
    const { s3, attempt } = input;
    const isSidecar = envelopeStorage === "sidecar";
    // One that was completed may have been overwritten since, and an older version need its sidecar.
    const isUnfinished = isSidecar && (await isThere(input, UploadId));
    try {
      const command = new AbortMultipartUploadCommand({ ...objectFields(put), UploadId });
      const asked = { ...attempt, operation: "AbortMultipartUpload" };
      await s3Request(asked, transfer.signal, (sending) => s3.send(command, sending));
    } catch (error) {
      // It may have been completed, and its object need its sidecar.
      if (isUploadGone(error)) return;
      throw error;
    }
    if (!isUnfinished || (await mayBeWritten(input, read, transfer.signal))) {
      transfer.signal.throwIfAborted();
      return;
    }
    const location = sidecarLocation(put, envelope.header);
    if (await deleteSidecar(s3, location, transfer.signal)) return;
    transfer.signal.throwIfAborted();
    throw new EnvelopeError(
      "S3_UNAVAILABLE",
      `the upload was aborted, but its sidecar "${location.Key}" could not be removed: nothing needs it, remove it`,
      { details: { orphanedSidecarKey: location.Key } },
    );
  });
}

/** Whether an upload is surely neither completed nor aborted: S3 says of its abort that it succeeded in either case. */
async function isThere(input: MultipartInput, UploadId: string): Promise<boolean> {
  try {
    return (await findTrusted(input, UploadId, new Map())) !== undefined;
  } catch {
    input.transfer.signal.throwIfAborted();
    return false;
  }
}

function withoutCustomerKey({ SSECustomerKeyMD5: _md5, ...ticket }: UploadTicket): UploadTicket {
  return ticket;
}

const objectOf = ({ Bucket, Key }: UploadTicket, partNumber?: number) =>
  ({ bucket: Bucket, key: Key, partNumber }) satisfies ObjectFacts;

/** Runs a call that ends with the caller's signal. */
async function within<T>(
  caller: AbortSignal | undefined,
  object: ObjectFacts,
  act: (transfer: TransferSignal) => Promise<T>,
): Promise<T> {
  const transfer = transferSignal(caller);
  try {
    transfer.signal.throwIfAborted();
    return await aboutObject(object, transfer, () => act(transfer));
  } catch (error) {
    transfer.abort(error);
    throw error;
  } finally {
    transfer.dispose();
  }
}
