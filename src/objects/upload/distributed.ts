/** The pieces of an upload that several processes share: begin, each part, complete. */

import { untilAborted } from "../../base/abort.js";
import { bytesArgument, integerArgument, textArgument, wrongType } from "../../base/arguments.js";
import { maxPlaintextBytes } from "../../cobblestone/layout.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { isUploadGone } from "../../s3/errors.js";
import { withTransfer } from "../../transfer/about-object.js";
import type { CallOptions } from "../../transfer/call-signal.js";
import { callSignal } from "../../transfer/call-signal.js";
import {
  openSeekable,
  type SeekableInput,
  type SeekableSource,
  seekableArgument,
  sourceChanged,
} from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import { type ExpectedContext, expectedContextArgument } from "../encrypted/read-envelope.js";
import { type WriteInput, writeArguments } from "../put/write.js";
import { begin, layoutOf, multipartInput, type OpenUpload, sendSealed } from "./begin.js";
import { findPart, requireSamePart, uploadGone } from "./listing.js";
import { guardOf, requireTime } from "./part-guard.js";
import { PartMaker, type PartSeal, partWindow, type SealedPart, type UploadedPart } from "./parts.js";
import { objectOf, readTicket, ticketKeys, ticketPut, type UploadTicket } from "./ticket.js";

/** What `beginUpload` takes: the input of PutObject without a body, and the length of the plaintext. */
export interface BeginUploadInput extends WriteInput {
  /** Bytes of the plaintext that the parts will be made of. */
  readonly plaintextLength: number;
  /**
   * When the file that the parts will be made of was modified last, in milliseconds, as `stat` gives it in `mtimeMs`. A part
   * from a `filePath` is then sent only if its file has this time.
   */
  readonly sourceModifiedMs?: number | undefined;
  /**
   * Text of your own that tells this state of the source from all others: its SHA-256, say, or the ETag or version id of
   * where it comes from. `uploadPart` is then refused without the same. It stands readable in the ticket.
   */
  readonly sourceDigest?: string | undefined;
}

/** What `tagDigest` is for a part that nobody has tried to send before. */
const firstAttempt = "first-target";
/** Characters. */
const maxSourceDigestLength = 1024;

/** What `uploadPart` takes: the part and one of `Body`, `filePath` and `source`. */
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
   * The digest of an earlier try of this part, from its result or from `onSealed`: the part is then sent only if it is
   * made of the same plaintext. Or "first-attempt", which says that **nobody has tried to send this part before**. Two plaintexts
   * sent for one part would share key and nonce, which reveals both and lets anybody forge.
   *
   * At a first attempt S3 is asked for the part, and what this client has sent is remembered. A part that S3 has must be
   * shown to be the same by its SHA-256 or SHA-1 (`ChecksumAlgorithm` of `beginUpload`), or by an ETag that is an MD5, which it
   * is not under SSE-KMS and SSE-C: then only its digest helps. That does not notice an earlier
   * try whose part never came to be in S3, such as that of a worker which was killed amid it, nor one that is under way at the
   * same time in another client. So keep what `onSealed` is told, and give each part to one worker at a time.
   */
  readonly tagDigest: "first-target" | (string & {});
  /** The `sourceDigest` that the upload began with, if it did: what you know of the source that you send from. */
  readonly sourceDigest?: string | undefined;
  /** Is told the seal of the part, and awaited, before its first byte is sent: keep it for a process that takes over. */
  readonly onSealed?: ((seal: PartSeal) => void | Promise<void>) | undefined;
}

/** See `EnvelopeClient.beginUpload`. */
export async function beginUpload(
  config: ClientConfig,
  input: BeginUploadInput,
  options: CallOptions,
): Promise<UploadTicket> {
  const caller = callSignal(fieldNames.beginUpload.options, options);
  const given = fieldsArgument<BeginUploadInput>(fieldNames.beginUpload.input, input) as BeginUploadInput;
  const { plaintextLength, sourceModifiedMs, sourceDigest, ...others } = given;
  const request = writeArguments(config, others, "CreateMultipartUpload");
  const layout = layoutOf(config, integerArgument("plaintextLength", plaintextLength, 0, maxPlaintextBytes));
  const source = {
    sourceModifiedMs: timeArgument("sourceModifiedMs", sourceModifiedMs),
    sourceDigest: sourceDigestArgument(sourceDigest),
  };
  return withTransfer(caller, request.target, async (transfer) => {
    const { ticket } = await begin(config, request, layout, source, transfer);
    return ticket;
  });
}

function timeArgument(title: string, value: unknown): number | undefined {
  if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
  throw typeof value === "number"
    ? new RangeError(`${title}: expected milliseconds, got ${value}`)
    : wrongType(title, "a number of milliseconds", value);
}

function sourceDigestArgument(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const text = textArgument("sourceDigest", value);
  if (text.length <= maxSourceDigestLength) return text;
  throw new RangeError(
    `sourceDigest: expected at most ${maxSourceDigestLength} characters, got ${text.length}`,
  );
}

/** The digest of an earlier try; undefined when there was none, which must be said. */
function earlierDigestArgument(value: unknown): string | undefined {
  if (value === firstAttempt) return undefined;
  const expected = `"${firstAttempt}", or the digest of the earlier try of this part`;
  if (typeof value !== "string") throw wrongType("tagDigest", expected, value);
  if (/^[0-9a-f]{64}$/.test(value)) return value;
  throw new RangeError(`tagDigest: expected ${expected}, which is 64 hex digits, got another string`);
}

/** See `uploadPartRange` in src/index.ts: the plaintext that a part is made of. */
export function uploadPartRange(ticket: UploadTicket, PartNumber: number): { start: number; end: number } {
  const { ticket: read } = readTicket("ticket", ticket);
  const window = partWindow(read, integerArgument("PartNumber", PartNumber, 1, read.partCount));
  return { start: window.plaintextStart, end: window.plaintextEnd };
}

/** See `EnvelopeClient.uploadPart`. */
export async function uploadPart(
  config: ClientConfig,
  input: UploadPartInput,
  options: CallOptions,
): Promise<UploadedPart> {
  const caller = callSignal(fieldNames.uploadPart.options, options);
  const given = fieldsArgument<UploadPartInput>(fieldNames.uploadPart.input, input) as UploadPartInput;
  const { Body, onSealed, encryptionContext, SSECustomerKey, PartNumber } = given;
  const expected = expectedContextArgument(encryptionContext);
  if (onSealed !== undefined && typeof onSealed !== "function")
    throw wrongType("onSealed", "a function", onSealed);
  const earlierDigest = earlierDigestArgument(given.tagDigest);
  const sourceDigest = sourceDigestArgument(given.sourceDigest);
  const read = readTicket("ticket", given.ticket);
  const { ticket } = read;
  const partNumber = integerArgument("PartNumber", PartNumber, 1, ticket.partCount);
  const { plaintextStart, plaintextEnd } = partWindow(ticket, partNumber);
  if (Body !== undefined) bytesArgument("Body", Body, plaintextEnd - plaintextStart);
  const seekable = Body === undefined ? seekableArgument(given) : undefined;
  if (Body !== undefined && (given.filePath ?? given.source) !== undefined)
    throw new TypeError("Body, filePath, source: expected one of them");

  return withTransfer(caller, objectOf(ticket, partNumber), async (transfer) => {
    const put = ticketPut(read, SSECustomerKey);
    const { signal } = transfer;
    const { keys, recordKey } = await ticketKeys(config, read, expected, signal);
    if (sourceDigest !== ticket.sourceDigest)
      throw sourceChanged("its sourceDigest is not the one that the upload began with", { partNumber });
    const upload = { input: multipartInput(config, read, put, transfer), read, recordKey };
    const source: SeekableSource = seekable
      ? await openSeekable(seekable, signal, config.idleTimeoutMs)
      : bodySource(Body ?? new Uint8Array(0), ticket.plaintextLength);
    try {
      if (source.length !== ticket.plaintextLength)
        throw sourceChanged("it has another length than the ticket says", { size: source.length });
      const { modifiedMs } = source;
      requireTime(modifiedMs, ticket.sourceModifiedMs, partNumber);
      const making = { config: config, layout: ticket, keys, source, signal };
      return await new PartMaker(making).with(partNumber, async (sealed) => {
        await source.requireUnchanged();
        if (earlierDigest !== undefined && earlierDigest !== sealed.tagDigest)
          throw sourceChanged(`part ${partNumber} is not what its earlier try was`, { partNumber });
        await guardPart(config, upload, partNumber, sealed, earlierDigest === undefined);
        const { tagDigest, firstTag, lastTag } = sealed;
        // What the caller keeps it in may never answer.
        await untilAborted(signal, Promise.resolve(onSealed?.({ tagDigest, firstTag, lastTag })));
        signal.throwIfAborted();
        return sendSealed(upload, partNumber, sealed, modifiedMs);
      });
    } catch (error) {
      throw isUploadGone(error) ? uploadGone(error) : error;
    } finally {
      config.budget.trim();
      await source.close();
    }
  });
}

/**
 * Refuses a part that another plaintext was sealed for, as far as this client and S3 know.
 *
 * @throws EnvelopeError `SOURCE_CHANGED`
 */
async function guardPart(
  config: ClientConfig,
  { input, read }: OpenUpload,
  partNumber: number,
  sealed: SealedPart,
  isFirstAttempt: boolean,
): Promise<void> {
  const guard = guardOf(config, read.ticket);
  if (isFirstAttempt && !guard.has(partNumber)) {
    guard.expect(partNumber, sealed);
    try {
      const listed = await findPart(input, read.ticket.UploadId, partNumber, input.transfer.signal);
      if (listed) requireSamePart(partNumber, listed, sealed.bytes);
    } catch (error) {
      guard.forget(partNumber);
      throw error;
    }
  }
  guard.require(partNumber, sealed);
}

function bodySource(body: Uint8Array, length: number): SeekableSource {
  return {
    length,
    modifiedMs: undefined,
    isFileAt: async () => false,
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
