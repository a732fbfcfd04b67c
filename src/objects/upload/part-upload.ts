/** Sends one part of an upload that several processes share. */
import { untilAborted } from "../../base/abort.js";
import { bytesArgument, integerArgument, wrongType } from "../../base/arguments.js";
import { type Fields, fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { type Call, type CallOptions, callOptions, withCall } from "../../transfer/call.js";
import {
  openSeekable,
  type SeekableInput,
  type SeekableSource,
  seekableArgument,
  sourceChanged,
} from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import { goneError } from "./outcome.js";
import { guardOf, requireSamePart, requireSameTime } from "./part-guard.js";
import {
  fingerprintOf,
  type PartFingerprint,
  partRange,
  type SealedPart,
  type UploadedPart,
} from "./parts.js";
import { UploadSession } from "./session.js";
import {
  parseTicket,
  sourceDigestArgument,
  type TicketInput,
  type TicketRequest,
  ticketArguments,
  type UploadTicket,
} from "./ticket.js";

/** The input of `uploadPart`: the part, and one of `Body`, `filePath` and `source`. */
export interface UploadPartInput extends TicketInput, SeekableInput {
  /** From 1 to the ticket's `partCount`. */
  readonly PartNumber: number;
  /** Exactly the plaintext bytes that `uploadPartRange` returns for this part. */
  readonly Body?: Uint8Array | undefined;
  /**
   * Digest of an earlier attempt to send this part, from its result or from `onSealed`: 64 hex digits. The part is then
   * sent only if it has the same plaintext. Or "first-attempt", which states that **nobody has tried to send this part
   * before**. Two plaintexts sent for one part would share key and nonce, which reveals both and allows forgeries.
   *
   * At a first attempt, S3 is asked for the part by ListParts, and compared with what this client has sent. A part that S3
   * has must be shown to be the same by its SHA-256 or SHA-1 (`ChecksumAlgorithm` of `beginUpload`), or by an ETag that is
   * an MD5. Under SSE-KMS and SSE-C the ETag is no MD5, and only the digest helps. This does not detect an earlier attempt
   * whose part never reached S3, such as that of a worker that was killed, or an attempt of another client at the same
   * time. So store what `onSealed` receives, and give each part to one worker at a time.
   */
  readonly tagDigest: "first-attempt" | (string & {});
  /** The `sourceDigest` of `beginUpload`, if it had one: that of the source that this part is read from. */
  readonly sourceDigest?: string | undefined;
  /**
   * Called with the fingerprint of the part, and awaited, before its first byte is sent. Store it for a process that takes
   * over.
   */
  readonly onSealed?: ((fingerprint: PartFingerprint) => void | Promise<void>) | undefined;
}

const firstAttempt = "first-attempt";

/** {@link UploadPartInput} after validation. */
interface PartRequest {
  readonly upload: TicketRequest;
  readonly partNumber: number;
  readonly source: Uint8Array | SeekableInput;
  /** Undefined for a first attempt. */
  readonly earlierDigest: string | undefined;
  readonly sourceDigest: string | undefined;
  readonly onSealed: UploadPartInput["onSealed"];
}

/** See `EnvelopeClient.uploadPart`. */
export async function uploadPartByTicket(
  config: ClientConfig,
  input: UploadPartInput,
  options: CallOptions,
): Promise<UploadedPart> {
  const { uploadPart: names } = fieldNames;
  const checked = callOptions(names.options, options);
  const request = partArguments(fieldsArgument<UploadPartInput>(names.input, input));
  const { partNumber, upload } = request;
  const { Bucket: bucket, Key: key } = upload.parsed.ticket;
  const target = { operation: "uploadPart", bucket, key, partNumber, budget: config.budget } as const;
  return withCall(target, checked, (call) => sendRequested(config, request, call));
}

function partArguments(given: Fields<UploadPartInput>): PartRequest {
  const { onSealed } = given;
  if (onSealed !== undefined && typeof onSealed !== "function")
    throw wrongType("onSealed", "a function", onSealed);
  const earlierDigest = earlierDigestArgument(given.tagDigest);
  const sourceDigest = sourceDigestArgument(given.sourceDigest);
  const upload = ticketArguments(given);
  const { ticket } = upload.parsed;
  const partNumber = integerArgument("PartNumber", given.PartNumber, 1, ticket.partCount);
  return {
    upload,
    partNumber,
    source: sourceArgument(given, partRange(ticket, partNumber).plaintextBytes),
    earlierDigest,
    sourceDigest,
    onSealed: onSealed as UploadPartInput["onSealed"],
  };
}

function sourceArgument(
  { Body, filePath, source }: Fields<UploadPartInput>,
  plaintextBytes: number,
): Uint8Array | SeekableInput {
  if (Body === undefined) return seekableArgument({ filePath, source });
  const bytes = bytesArgument("Body", Body, plaintextBytes);
  if ((filePath ?? source) === undefined) return bytes;
  throw new TypeError("Body, filePath, source: expected one of them");
}

async function sendRequested(config: ClientConfig, request: PartRequest, call: Call): Promise<UploadedPart> {
  const { partNumber, sourceDigest } = request;
  const session = await UploadSession.open(config, request.upload, call);
  const { ticket } = session;
  if (sourceDigest !== ticket.sourceDigest)
    throw sourceChanged("its sourceDigest is not that of the ticket", { partNumber });
  const source =
    request.source instanceof Uint8Array
      ? bodySource(request.source, ticket.plaintextLength)
      : await openSeekable(request.source, call.signal, config.idleTimeoutMs);
  try {
    if (source.length !== ticket.plaintextLength)
      throw sourceChanged("its length is not that of the ticket", { size: source.length });
    requireSameTime(source.modifiedMs, ticket.sourceModifiedMs, partNumber);
    return await sealAndSend(session, source, request);
  } catch (error) {
    throw goneError(error);
  } finally {
    await source.close();
  }
}

async function sealAndSend(
  session: UploadSession,
  source: SeekableSource,
  { partNumber, earlierDigest, onSealed }: PartRequest,
): Promise<UploadedPart> {
  const { signal } = session.call;
  const part = await session.sealPart(source, partNumber);
  try {
    await source.requireUnchanged();
    await requireSamePlaintext(session, part, earlierDigest);
    // The caller's storage may never respond.
    await untilAborted(signal, Promise.resolve(onSealed?.(fingerprintOf(part))));
    signal.throwIfAborted();
    return await session.sendPart(part, source.modifiedMs);
  } finally {
    part.release(false);
  }
}

/** The digest of an earlier attempt. Undefined for a first attempt, which must be stated. */
function earlierDigestArgument(value: unknown): string | undefined {
  if (value === firstAttempt) return undefined;
  const expected = `"${firstAttempt}", or the digest of an earlier attempt at this part`;
  if (typeof value !== "string") throw wrongType("tagDigest", expected, value);
  if (/^[0-9a-f]{64}$/.test(value)) return value;
  throw new RangeError(`tagDigest: expected ${expected}, which is 64 hex digits, got another string`);
}

/**
 * Refuses a part if another plaintext was encrypted for it, as far as the caller, this client and S3 know.
 *
 * @throws EnvelopeError `SOURCE_CHANGED`
 */
async function requireSamePlaintext(
  session: UploadSession,
  part: SealedPart,
  earlierDigest: string | undefined,
): Promise<void> {
  const { PartNumber: partNumber, tagDigest } = part;
  if (earlierDigest !== undefined && earlierDigest !== tagDigest)
    throw sourceChanged(`part ${partNumber} differs from its earlier attempt`, { partNumber });
  const guard = guardOf(session.config, session.ticket);
  if (earlierDigest === undefined && !guard.has(partNumber)) {
    guard.expect(partNumber, part);
    try {
      const listed = await session.findPart(partNumber);
      if (listed) requireSamePart(partNumber, listed, part.bytes);
    } catch (error) {
      guard.forget(partNumber);
      throw error;
    }
  }
  guard.require(partNumber, part);
}

/** A source whose only part is in memory. */
function bodySource(body: Uint8Array, length: number): SeekableSource {
  return {
    length,
    modifiedMs: undefined,
    isFileAt: async () => false,
    async readInto(target) {
      // Its memory may have been transferred to another thread since the call.
      if (body.length !== target.length)
        throw sourceChanged("Body has another length", { size: body.length });
      target.set(body);
    },
    requireUnchanged: async () => undefined,
    close: async () => undefined,
  };
}

/** See `uploadPartRange` in src/index.ts. */
export function uploadPartRange(ticket: UploadTicket, PartNumber: number): { start: number; end: number } {
  const { ticket: parsed } = parseTicket("ticket", ticket);
  const { plaintextStart, plaintextEnd } = partRange(
    parsed,
    integerArgument("PartNumber", PartNumber, 1, parsed.partCount),
  );
  return { start: plaintextStart, end: plaintextEnd };
}
