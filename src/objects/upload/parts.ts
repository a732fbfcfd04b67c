/** The parts of an upload from a seekable source: their place in the message, their fingerprint, and what S3 returned. */
import { integerArgument } from "../../base/arguments.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import { sealRange } from "../../cobblestone/engine/ranges.js";
import {
  ciphertextLength,
  maxBufferBytes,
  maxPlaintextBytes,
  plaintextBytesIn,
  type UnalignedRange,
  unalignedRange,
} from "../../cobblestone/layout.js";
import type { Call } from "../../transfer/call.js";
import { maxPartBytes } from "../../transfer/limits.js";
import { maxParts, partSizes } from "../../transfer/part-sizes.js";
import type { SeekableSource } from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import { invalidRecord, macPattern, type RecordKey, RecordReader } from "./records.js";

/** How a message is divided into parts. */
export interface PartLayout {
  /** Length of the plaintext, in bytes. */
  readonly plaintextLength: number;
  /** Size of every part except the last, in bytes of ciphertext. */
  readonly partBytes: number;
  readonly partCount: number;
}

/**
 * Divides a plaintext into parts of the size that the client is configured for.
 *
 * @throws EnvelopeError `SOURCE_TOO_LARGE`
 */
export function layoutFor({ partSizeBytes }: ClientConfig, plaintextLength: number): PartLayout {
  const sizes = partSizes(ciphertextLength(plaintextLength), partSizeBytes);
  return layoutOf(plaintextLength, sizes(1));
}

/**
 * Checks the length of a plaintext, and divides it as {@link layoutFor} does.
 *
 * @throws TypeError, RangeError
 */
export function layoutArgument(config: ClientConfig, plaintextLength: unknown): PartLayout {
  return layoutFor(config, integerArgument("plaintextLength", plaintextLength, 0, maxPlaintextBytes));
}

function layoutOf(plaintextLength: number, partBytes: number): PartLayout {
  const partCount = Math.ceil(ciphertextLength(plaintextLength) / partBytes);
  return { plaintextLength, partBytes, partCount };
}

/** The smallest part size that a record may state, in bytes: about a chunk. S3 takes no part below 5 MiB, some stores do. */
const minStatedPartBytes = 16 * 1024;

/** Reads a layout from a record. */
export function readLayout(reader: RecordReader): PartLayout {
  const plaintextLength = reader.integer("plaintextLength", 0, maxPlaintextBytes);
  const partBytes = reader.integer("partBytes", minStatedPartBytes, maxPartBytes);
  const layout = layoutOf(plaintextLength, partBytes);
  if (reader.integer("partCount", 1, maxParts) === layout.partCount) return layout;
  throw reader.invalid("partCount", `expected ${layout.partCount}`);
}

/** The place of part `partNumber` (from 1) in the message. */
export function partRange({ plaintextLength, partBytes }: PartLayout, partNumber: number): UnalignedRange {
  const start = (partNumber - 1) * partBytes;
  const end = Math.min(start + partBytes, ciphertextLength(plaintextLength));
  return unalignedRange(start, end, plaintextLength);
}

/** Plaintext bytes that progress counts for a part. All parts together count the plaintext once. */
export function plaintextShare(layout: PartLayout, partNumber: number): number {
  const { plaintextLength } = layout;
  const { start, end } = partRange(layout, partNumber);
  return plaintextBytesIn(end, plaintextLength) - plaintextBytesIn(start, plaintextLength);
}

/** Identifies the plaintext of a part within its upload. Reveals nothing without the key. */
export interface PartFingerprint {
  /** SHA-256 of the tags of all chunks that the part touches, in hex. */
  readonly tagDigest: string;
  /** Tag of the first of these chunks, in hex. */
  readonly firstTag: string;
  /** Tag of the last of these chunks, in hex. */
  readonly lastTag: string;
}

/** A part in memory, encrypted. */
export interface SealedPart extends PartFingerprint {
  readonly PartNumber: number;
  /** The ciphertext. */
  readonly bytes: Buffer;
  /**
   * Returns the lease of the memory. A second call does nothing.
   *
   * @param isUnread whether nobody reads `bytes` any more, so that their memory can be used for another part
   */
  readonly release: (isUnread: boolean) => void;
}

/** The upload that parts are encrypted for. */
interface PartSealing {
  readonly config: ClientConfig;
  /** Holds the leases. */
  readonly call: Call;
  readonly layout: PartLayout;
  readonly keys: MessageKeys;
  readonly signal: AbortSignal;
}

/**
 * Reads and encrypts a part, in memory that is leased from the client's budget until the part is released. The same
 * plaintext always gives the same bytes.
 *
 * @throws EnvelopeError those of the source, `WORKER_FAILED`
 */
export async function sealPart(
  { config, call, layout, keys, signal }: PartSealing,
  source: Pick<SeekableSource, "readInto">,
  PartNumber: number,
): Promise<SealedPart> {
  const range = partRange(layout, PartNumber);
  // One size for all parts, so that each can use the memory of another.
  const bufferBytes = Math.min(maxBufferBytes(layout.partBytes), ciphertextLength(layout.plaintextLength));
  const lease = await config.budget.acquire(call, bufferBytes, signal, bufferBytes);
  try {
    const memory = (lease.memory ?? Buffer.allocUnsafeSlow(bufferBytes)).buffer as ArrayBuffer;
    await source.readInto(new Uint8Array(memory, 0, range.plaintextBytes), range.plaintextStart);
    signal.throwIfAborted();
    const { bytes, buffer, ...fingerprint } = await sealRange(config.engine, keys, range, memory);
    const release = (isUnread: boolean) => lease.release(isUnread ? Buffer.from(buffer) : undefined);
    return { PartNumber, bytes, ...fingerprint, release };
  } catch (error) {
    lease.release();
    throw error;
  }
}

/** Only the three fields of a fingerprint, in the order that MACs cover. */
export function fingerprintOf({ tagDigest, firstTag, lastTag }: PartFingerprint): PartFingerprint {
  return { tagDigest, firstTag, lastTag };
}

/** Reads a fingerprint from a record. */
function readFingerprint(reader: RecordReader): PartFingerprint {
  return {
    tagDigest: reader.text("tagDigest", /^[0-9a-f]{64}$/),
    firstTag: reader.text("firstTag", /^[0-9a-f]{32}$/),
    lastTag: reader.text("lastTag", /^[0-9a-f]{32}$/),
  };
}

/** The record that is stored before the first byte of a part is sent. */
export interface StartedPart extends PartFingerprint {
  /** Authenticates the fingerprint and the part number. */
  readonly mac: string;
}

/** Makes the record of a part that is about to be sent. */
export function startedPart(
  recordKey: RecordKey,
  ticketMac: string,
  partNumber: number,
  part: PartFingerprint,
): StartedPart {
  const fingerprint = fingerprintOf(part);
  return { ...fingerprint, mac: recordKey.macOf("begun", ticketMac, [partNumber, fingerprint]) };
}

/** Whether {@link startedPart} made the record, for this part of this upload. */
export function verifiesStarted(
  recordKey: RecordKey,
  ticketMac: string,
  partNumber: number,
  part: StartedPart,
): boolean {
  return recordKey.verifies("begun", ticketMac, [partNumber, fingerprintOf(part)], part.mac);
}

/** Reads what {@link startedPart} made from a record. */
export function readStarted(reader: RecordReader): StartedPart {
  return { ...readFingerprint(reader), mac: reader.text("mac", macPattern) };
}

/** A part that S3 has stored. Plain data: it survives JSON. */
export interface UploadedPart extends PartFingerprint {
  /** From 1. */
  readonly PartNumber: number;
  readonly ETag: string;
  /** Size of the part in S3, in bytes. */
  readonly size: number;
  /** Checksums that S3 returned, by their names in the AWS SDK. */
  readonly checksums: Readonly<Record<string, string>>;
  /** Modification time of the file that the part was read from, in milliseconds. Absent for other sources. */
  readonly sourceModifiedMs?: number;
  /** Authenticates all other fields under the data key of the upload. */
  readonly mac: string;
}

/** Makes the record of a part that S3 has stored. */
export function uploadedPart(
  recordKey: RecordKey,
  ticketMac: string,
  part: Omit<UploadedPart, "mac">,
): UploadedPart {
  const unsigned = canonicalPart(part);
  return { ...unsigned, mac: recordKey.macOf("part", ticketMac, unsigned) };
}

/** Whether {@link uploadedPart} made the record, for this upload. */
export function verifiesUploaded(recordKey: RecordKey, ticketMac: string, part: UploadedPart): boolean {
  return recordKey.verifies("part", ticketMac, canonicalPart(part), part.mac);
}

/** All fields in one order, since a queue or a database may return them in another. */
function canonicalPart(part: Omit<UploadedPart, "mac">): Omit<UploadedPart, "mac"> {
  const { PartNumber, ETag, size, checksums, sourceModifiedMs } = part;
  const sorted = Object.fromEntries(Object.entries(checksums).sort());
  return {
    PartNumber,
    ETag,
    size,
    checksums: sorted,
    ...fingerprintOf(part),
    ...(sourceModifiedMs !== undefined && { sourceModifiedMs }),
  };
}

/** Reads what {@link uploadedPart} made from a record. */
export function readUploaded(reader: RecordReader, layout: PartLayout): UploadedPart {
  const PartNumber = reader.integer("PartNumber", 1, layout.partCount);
  const { start, end } = partRange(layout, PartNumber);
  const part: UploadedPart = {
    PartNumber,
    ETag: reader.text("ETag"),
    size: reader.integer("size", end - start, end - start),
    checksums: reader.texts("checksums", /^Checksum[A-Za-z0-9]+$/),
    ...readFingerprint(reader),
    ...(reader.has("sourceModifiedMs") && { sourceModifiedMs: reader.number("sourceModifiedMs") }),
    mac: reader.text("mac", macPattern),
  };
  reader.end();
  return part;
}

/** Reads the parts that make up an object, each of them once, and returns them in order. */
export function readAllUploaded(value: unknown, layout: PartLayout): readonly UploadedPart[] {
  if (!Array.isArray(value)) throw invalidRecord("parts", "expected an array");
  const parts = new Map<number, UploadedPart>();
  for (const [index, item] of value.entries()) {
    const part = readUploaded(new RecordReader(`parts[${index}]`, item), layout);
    if (parts.has(part.PartNumber))
      throw invalidRecord(`parts[${index}]`, `part ${part.PartNumber} occurs twice`);
    parts.set(part.PartNumber, part);
  }
  for (let partNumber = 1; partNumber <= layout.partCount; partNumber++) {
    if (!parts.has(partNumber)) throw invalidRecord("parts", `part ${partNumber} is missing`);
  }
  return [...parts.values()].sort((left, right) => left.PartNumber - right.PartNumber);
}

/**
 * Verifies the MACs of parts. There may be 10,000, so it yields to the event loop.
 *
 * @throws EnvelopeError `CHECKPOINT_INVALID` when a part was changed, or belongs to another upload
 */
export async function requireAuthenticParts(
  recordKey: RecordKey,
  ticketMac: string,
  parts: readonly UploadedPart[],
): Promise<void> {
  for (const part of parts) {
    if (shouldYield()) await yieldToEventLoop();
    if (verifiesUploaded(recordKey, ticketMac, part)) continue;
    throw invalidRecord(`part ${part.PartNumber}`, "its result was changed, or it belongs to another upload");
  }
}
