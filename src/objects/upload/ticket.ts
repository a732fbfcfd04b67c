/** What an upload that several processes share is known by: plain data, without secrets, authenticated. */
import { createHash } from "node:crypto";
import type { PutObjectCommandInput, RequestPayer } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { decodeBase64 } from "../../base/bytes.js";
import { hasCode } from "../../base/errors.js";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import { type Envelope, openEnvelope, requireContext, wrappingContext } from "../../envelope/envelope.js";
import { decodeEnvelope, encodeEnvelope, encodeSidecarReference } from "../../envelope/metadata.js";
import { unwrapDataKey } from "../../keys/keyring.js";
import type { ObjectFacts } from "../../transfer/about-object.js";
import { type ClientConfig, type EnvelopeStorage, envelopeStorages } from "../encrypted/config.js";
import type { ExpectedContext } from "../encrypted/read-arguments.js";
import type { PreparedWrite } from "../put/write.js";
import { type PartLayout, readLayout } from "./parts.js";
import { macPattern, RecordKey } from "./record-key.js";
import { invalidRecord, RecordReader } from "./records.js";

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
 * An upload that has begun, for any process that may use its data key: plain data, which JSON keeps. It holds no
 * secret, and nobody can change it unnoticed without the data key. It is for one plaintext: a part that is made of
 * another under the same ticket would break the encryption of both. docs/threat-model.md says more.
 */
export interface UploadTicket extends PartLayout {
  readonly format: typeof ticketFormat;
  readonly Bucket: string;
  readonly Key: string;
  readonly UploadId: string;
  /** Where readers will look for the envelope. */
  readonly envelopeStorage: EnvelopeStorage;
  /** The envelope: salt, commitment, wrapped data keys, encryption context. */
  readonly envelope: Readonly<Record<string, string>>;
  /** Fields of the PutObject that later requests need. Of a customer-provided key it has the MD5 alone. */
  readonly ChecksumAlgorithm?: string;
  readonly RequestPayer?: string;
  readonly ExpectedBucketOwner?: string;
  readonly SSECustomerAlgorithm?: string;
  readonly SSECustomerKeyMD5?: string;
  readonly IfMatch?: string;
  readonly IfNoneMatch?: string;
  /** When the file that the upload is made of was modified last, in milliseconds; `stat` calls it `mtimeMs`. */
  readonly sourceModifiedMs?: number;
  /** What tells the state of the source from others, in the caller's own terms. */
  readonly sourceDigest?: string;
  /** Authenticates all other fields under the data key. */
  readonly mac: string;
}

/** What a ticket states of the source of its upload, besides its length. */
export interface SourceState {
  readonly sourceModifiedMs: number | undefined;
  readonly sourceDigest: string | undefined;
}

/** The object that a ticket is for, and the part of it that a call is about. */
export function objectOf({ Bucket, Key }: UploadTicket, partNumber?: number): ObjectFacts {
  return { bucket: Bucket, key: Key, partNumber };
}

/** Issues the ticket of an upload. */
export function issueTicket(
  prepared: PreparedWrite,
  layout: PartLayout,
  source: SourceState,
  UploadId: string,
): UploadTicket {
  const { put, envelope, sidecar, dataKey } = prepared;
  const unsigned = canonical({
    ...put,
    ...source,
    ...layout,
    Bucket: put.Bucket ?? "",
    Key: put.Key ?? "",
    UploadId,
    envelopeStorage: sidecar ? "sidecar" : "metadata",
    envelope: encodeEnvelope(envelope),
    SSECustomerKeyMD5: customerKeyMd5(put),
  });
  return { ...unsigned, mac: new RecordKey(dataKey).macOf("ticket", "", unsigned) };
}

type UnsignedTicket = Omit<UploadTicket, "mac">;

/** All fields in one order, which the MAC and comparisons go by; those that are not there are left out. */
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

/** A ticket that has been read, and the envelope in it. */
export interface ParsedTicket {
  readonly ticket: UploadTicket;
  readonly envelope: Envelope;
}

/**
 * Reads a ticket from wherever it was kept. Its MAC is checked by {@link ticketKeys}.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`
 */
export function readTicket(title: string, value: unknown): ParsedTicket {
  const reader = new RecordReader(title, value);
  if (reader.text("format") !== ticketFormat)
    throw reader.invalid("format", `this release knows "${ticketFormat}" only`);
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
    // Not as it came: in the one order that encoding gives.
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
  throw reader.invalid("envelope", "expected a whole envelope");
}

/**
 * The PutObject that a ticket stands for, as far as later requests need it.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID` when the customer-provided key is not the one of the ticket
 */
export function ticketPut(
  { ticket, envelope }: ParsedTicket,
  SSECustomerKey: unknown,
): PutObjectCommandInput {
  const { Bucket, Key, SSECustomerKeyMD5, RequestPayer, ...others } = ticket;
  const given = customerKeyMd5({ SSECustomerKey });
  if (given !== SSECustomerKeyMD5) {
    const fault = SSECustomerKeyMD5 === undefined ? "the upload has none" : "it is not the one of the upload";
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

/** The MD5 of a customer-provided key, in base64, as the SDK computes it of the forms that it takes. */
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

/** A ticket whose MAC has been verified. */
export interface UnlockedTicket {
  readonly keys: MessageKeys;
  /** Authenticates the other records of the upload. */
  readonly recordKey: RecordKey;
}

/** A client keeps the keys of so many tickets, those that it used last. */
const maxRememberedKeys = 8;
const rememberedKeys = new WeakMap<ClientConfig, Map<string, Promise<UnlockedTicket>>>();

/**
 * The keys of an upload: the expected context is compared first, then the data key unwrapped, the commitment and
 * the MAC checked. A client asks its keyring once for the parts of one ticket.
 *
 * @throws EnvelopeError `CONTEXT_MISMATCH`, `CHECKPOINT_INVALID`, `DECRYPTION_FAILED`, `KEY_NOT_FOR_OBJECT`, and
 *   those of the keyring
 */
export async function ticketKeys(
  config: ClientConfig,
  read: ParsedTicket,
  expected: ExpectedContext,
  signal: AbortSignal,
): Promise<UnlockedTicket> {
  if (expected !== "any") requireContext(read.envelope.encryptionContext, expected);
  const keys = rememberedKeys.get(config) ?? new Map<string, Promise<UnlockedTicket>>();
  rememberedKeys.set(config, keys);
  const id = JSON.stringify(read.ticket);
  const known = keys.get(id) ?? unlockTicket(config, read);
  // The one used last goes to the end.
  keys.delete(id);
  keys.set(id, known);
  for (const oldest of keys.keys()) if (keys.size > maxRememberedKeys) keys.delete(oldest);
  known.catch(() => keys.delete(id));
  return untilAborted(signal, known);
}

/** Not given the signal of a caller, as others may wait for it as well. */
async function unlockTicket({ keyring }: ClientConfig, read: ParsedTicket): Promise<UnlockedTicket> {
  const { envelope, ticket } = read;
  const { recipients } = envelope;
  const encryptionContext = wrappingContext(envelope.encryptionContext);
  const dataKey = await unwrapDataKey(keyring, { recipients, encryptionContext });
  const keys = openEnvelope(envelope, dataKey);
  const recordKey = new RecordKey(dataKey);
  const { mac, ...unsigned } = ticket;
  if (recordKey.verifies("ticket", "", unsigned, mac)) return { keys, recordKey };
  throw invalidRecord("ticket", "it was changed after the upload began");
}

/** Lets go of the keys of an upload that has ended. */
export function forgetTicket(config: ClientConfig, { ticket }: ParsedTicket): void {
  rememberedKeys.get(config)?.delete(JSON.stringify(ticket));
}
