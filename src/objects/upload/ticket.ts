/** The ticket of an upload, by which several processes share it: plain data without secrets, authenticated. */
import { createHash } from "node:crypto";
import type { PutObjectCommandInput, RequestPayer } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { textArgument } from "../../base/arguments.js";
import { decodeBase64 } from "../../base/bytes.js";
import { hasCode } from "../../base/errors.js";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import { type Envelope, openEnvelope, requireContext, wrappingContext } from "../../envelope/envelope.js";
import { decodeEnvelope, encodeEnvelope, encodeSidecarReference } from "../../envelope/metadata.js";
import { unwrapDataKey } from "../../keys/keyring.js";
import { type ClientConfig, type EnvelopeStorage, envelopeStorages } from "../encrypted/config.js";
import { type ExpectedContext, expectedContextArgument } from "../encrypted/read-arguments.js";
import { type PartLayout, readLayout } from "./parts.js";
import { invalidRecord, macPattern, RecordKey, RecordReader } from "./records.js";

const ticketFormat = "s3-envelope/upload 1";
const optionalNames = [
  "ChecksumAlgorithm",
  "RequestPayer",
  "ExpectedBucketOwner",
  "SSECustomerAlgorithm",
  "SSECustomerKeyMD5",
  "IfMatch",
  "IfNoneMatch",
  "sourceDigest",
] as const;

/**
 * Identifies an upload to every process that may use its data key. Plain data: it survives JSON and contains no secret, and
 * a change that is made without the data key is detected. A ticket is for one plaintext: a part of another plaintext under
 * the same ticket would break the encryption of both. See docs/threat-model.md.
 */
export interface UploadTicket extends PartLayout {
  readonly format: typeof ticketFormat;
  readonly Bucket: string;
  readonly Key: string;
  readonly UploadId: string;
  /** The place where the envelope of the object is stored. */
  readonly envelopeStorage: EnvelopeStorage;
  /** The envelope: salt, commitment, wrapped data keys, encryption context. */
  readonly envelope: Readonly<Record<string, string>>;
  /** Fields of the input that later requests need. Of a customer-provided key, only the MD5 is kept. */
  readonly ChecksumAlgorithm?: string;
  readonly RequestPayer?: string;
  readonly ExpectedBucketOwner?: string;
  readonly SSECustomerAlgorithm?: string;
  readonly SSECustomerKeyMD5?: string;
  readonly IfMatch?: string;
  readonly IfNoneMatch?: string;
  /** Modification time of the source file, in milliseconds, as `stat` returns it in `mtimeMs`. */
  readonly sourceModifiedMs?: number;
  /** Identifies the state of the source, in the caller's own terms. */
  readonly sourceDigest?: string;
  /** Authenticates all other fields under the data key. */
  readonly mac: string;
}

/** The state of a source that a ticket records besides its length. */
export interface SourceState {
  readonly sourceModifiedMs: number | undefined;
  readonly sourceDigest: string | undefined;
}

/** Maximum length of a `sourceDigest`, in characters. */
const maxSourceDigestLength = 1024;

/** Checks a `sourceDigest` of the caller. */
export function sourceDigestArgument(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const text = textArgument("sourceDigest", value);
  if (text.length <= maxSourceDigestLength) return text;
  throw new RangeError(
    `sourceDigest: expected at most ${maxSourceDigestLength} characters, got ${text.length}`,
  );
}

/** The fields that every call with a ticket takes. */
export interface TicketInput {
  readonly ticket: UploadTicket;
  /** The exact encryption context that the upload must have. Empty by default; "any" accepts every context. */
  readonly encryptionContext?: ExpectedContext | undefined;
  /** The customer-provided key of the object, if it has one: the ticket contains only its MD5. */
  readonly SSECustomerKey?: string | undefined;
}

/** {@link TicketInput} after validation. */
export interface TicketRequest {
  readonly parsed: ParsedTicket;
  readonly expected: ExpectedContext;
  readonly SSECustomerKey: unknown;
}

/**
 * Checks the fields of {@link TicketInput}.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`
 */
export function ticketArguments({
  ticket,
  encryptionContext,
  SSECustomerKey,
}: {
  readonly [Name in keyof TicketInput]: unknown;
}): TicketRequest {
  const expected = expectedContextArgument(encryptionContext);
  return { parsed: parseTicket("ticket", ticket), expected, SSECustomerKey };
}

/** A multipart upload that has been created, as its ticket describes it. */
export interface CreatedUpload {
  /** The PutObject that the upload amounts to. */
  readonly put: PutObjectCommandInput;
  readonly envelope: Envelope;
  readonly envelopeStorage: EnvelopeStorage;
  readonly layout: PartLayout;
  readonly source: SourceState;
  readonly UploadId: string;
}

/** Issues the ticket of an upload. */
export function issueTicket(recordKey: RecordKey, upload: CreatedUpload): UploadTicket {
  const { put, envelope, envelopeStorage, layout, source, UploadId } = upload;
  const unsigned = canonical({
    ...put,
    ...source,
    ...layout,
    Bucket: put.Bucket ?? "",
    Key: put.Key ?? "",
    UploadId,
    envelopeStorage,
    envelope: encodeEnvelope(envelope),
    SSECustomerKeyMD5: customerKeyMd5(put),
  });
  return { ...unsigned, mac: recordKey.macOf("ticket", "", unsigned) };
}

type UnsignedTicket = Omit<UploadTicket, "mac">;

/** All fields in the order that the MAC covers, without those that are undefined. */
function canonical(
  ticket: Omit<UnsignedTicket, "format" | (typeof optionalNames)[number] | "sourceModifiedMs"> &
    Readonly<Record<string, unknown>>,
): UnsignedTicket {
  const { Bucket, Key, UploadId, plaintextLength, partBytes, partCount, envelopeStorage, envelope } = ticket;
  const optional = [...optionalNames, "sourceModifiedMs"]
    .filter((name) => ticket[name] !== undefined)
    .map((name) => [name, ticket[name]]);
  return {
    format: ticketFormat,
    Bucket,
    Key,
    UploadId,
    plaintextLength,
    partBytes,
    partCount,
    envelopeStorage,
    envelope,
    ...Object.fromEntries(optional),
  };
}

/** A ticket whose fields have been read, with its envelope. Its MAC is not verified. */
export interface ParsedTicket {
  readonly ticket: UploadTicket;
  readonly envelope: Envelope;
}

/**
 * Reads the fields of a ticket. {@link unlockTicket} verifies its MAC.
 *
 * @param title name of the ticket in error messages
 * @throws EnvelopeError `CHECKPOINT_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`
 */
export function parseTicket(title: string, value: unknown): ParsedTicket {
  const reader = new RecordReader(title, value);
  if (reader.text("format") !== ticketFormat)
    throw reader.invalid("format", `this release supports only "${ticketFormat}"`);
  const storage = envelopeStorages.find((one) => one === reader.text("envelopeStorage"));
  if (!storage) throw reader.invalid("envelopeStorage", "expected metadata or sidecar");
  const fields = reader.texts("envelope");
  const envelope = envelopeOf(reader, fields);
  const optional = Object.fromEntries(optionalNames.map((name) => [name, reader.optionalText(name)]));
  const unsigned = canonical({
    ...optional,
    sourceModifiedMs: reader.optionalNumber("sourceModifiedMs"),
    ...readLayout(reader),
    Bucket: reader.text("Bucket"),
    Key: reader.text("Key"),
    UploadId: reader.text("UploadId"),
    envelopeStorage: storage,
    // Encoded again, so that its entries have one order.
    envelope: encodeEnvelope(envelope),
  });
  const mac = reader.text("mac", macPattern);
  reader.end();
  return { ticket: { ...unsigned, mac }, envelope };
}

function envelopeOf(reader: RecordReader, fields: Readonly<Record<string, string>>): Envelope {
  try {
    const stored = decodeEnvelope(fields);
    if (stored?.storage === "metadata") return stored.envelope;
  } catch (error) {
    if (!hasCode(error, "ENVELOPE_INVALID")) throw error;
  }
  throw reader.invalid("envelope", "expected a complete envelope");
}

/**
 * The fields of PutObject that requests about the upload need.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID` when the customer-provided key is not that of the upload
 */
export function ticketPut(
  { ticket, envelope }: ParsedTicket,
  SSECustomerKey: unknown,
): PutObjectCommandInput {
  const { Bucket, Key, SSECustomerKeyMD5, RequestPayer, ...others } = ticket;
  const given = customerKeyMd5({ SSECustomerKey });
  if (given !== SSECustomerKeyMD5) {
    const fault =
      SSECustomerKeyMD5 === undefined ? "the upload has no such key" : "it is not the key of the upload";
    throw invalidRecord("SSECustomerKey", fault);
  }
  const Metadata =
    ticket.envelopeStorage === "metadata"
      ? encodeEnvelope(envelope)
      : encodeSidecarReference(envelope.header);
  return {
    Bucket,
    Key,
    Metadata,
    RequestPayer: RequestPayer as RequestPayer | undefined,
    ChecksumAlgorithm: others.ChecksumAlgorithm as PutObjectCommandInput["ChecksumAlgorithm"],
    ExpectedBucketOwner: others.ExpectedBucketOwner,
    SSECustomerAlgorithm: others.SSECustomerAlgorithm,
    SSECustomerKey: SSECustomerKey as string | undefined,
    IfMatch: others.IfMatch,
    IfNoneMatch: others.IfNoneMatch,
  };
}

/** MD5 of a customer-provided key, in base64, as the AWS SDK computes it from each form that it accepts. */
export function customerKeyMd5(put: {
  readonly SSECustomerKey?: unknown;
  readonly SSECustomerKeyMD5?: string | undefined;
}): string | undefined {
  const { SSECustomerKey: key } = put;
  if (key === undefined) return put.SSECustomerKeyMD5;
  const text = typeof key === "string" ? key : undefined;
  const decoded = text === undefined ? undefined : decodeBase64(text);
  const bytes =
    text === undefined
      ? Buffer.from(key as Uint8Array)
      : decoded?.length === 32
        ? decoded
        : Buffer.from(text);
  return createHash("md5").update(bytes).digest("base64");
}

/** The keys of a ticket whose MAC has been verified. */
export interface UnlockedTicket {
  /** The keys of the object's body. */
  readonly keys: MessageKeys;
  /** Authenticates the other records of the upload. */
  readonly recordKey: RecordKey;
}

/** Number of tickets whose keys a client keeps, least recently used first to go. */
const maxRememberedKeys = 8;
const rememberedKeys = new WeakMap<ClientConfig, Map<string, Promise<UnlockedTicket>>>();

/**
 * Compares the expected context, unwraps the data key, and verifies the commitment and the MAC, in this order. A client
 * asks its keyring once for the parts of one ticket.
 *
 * @throws EnvelopeError `CONTEXT_MISMATCH`, `CHECKPOINT_INVALID`, `DECRYPTION_FAILED`, `KEY_NOT_FOR_OBJECT`, and
 *   those of the keyring
 */
export async function unlockTicket(
  config: ClientConfig,
  parsed: ParsedTicket,
  expected: ExpectedContext,
  signal: AbortSignal,
): Promise<UnlockedTicket> {
  if (expected !== "any") requireContext(parsed.envelope.encryptionContext, expected);
  const keys = rememberedKeys.get(config) ?? new Map<string, Promise<UnlockedTicket>>();
  rememberedKeys.set(config, keys);
  const id = JSON.stringify(parsed.ticket);
  const unlocked = keys.get(id) ?? unwrapAndVerify(config, parsed);
  // Moves it to the end, where the most recently used one is.
  keys.delete(id);
  keys.set(id, unlocked);
  for (const oldest of keys.keys()) if (keys.size > maxRememberedKeys) keys.delete(oldest);
  unlocked.catch(() => keys.delete(id));
  return untilAborted(signal, unlocked);
}

/** Takes no signal, since other calls may wait for the same keys. */
async function unwrapAndVerify(
  { keyring }: ClientConfig,
  { envelope, ticket }: ParsedTicket,
): Promise<UnlockedTicket> {
  const { recipients } = envelope;
  const encryptionContext = wrappingContext(envelope.encryptionContext);
  const dataKey = await unwrapDataKey(keyring, { recipients, encryptionContext });
  const keys = openEnvelope(envelope, dataKey);
  const recordKey = new RecordKey(dataKey);
  const { mac, ...unsigned } = ticket;
  if (recordKey.verifies("ticket", "", unsigned, mac)) return { keys, recordKey };
  throw invalidRecord("ticket", "it was changed after it was issued");
}

/** Forgets the keys of an upload that has ended. */
export function forgetTicket(config: ClientConfig, ticket: UploadTicket): void {
  rememberedKeys.get(config)?.delete(JSON.stringify(ticket));
}
