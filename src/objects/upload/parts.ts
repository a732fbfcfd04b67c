/** The parts of an upload from a seekable source: which bytes each has, and what must be true of two of them. */

import type { MessageKeys } from "../../cobblestone/derivation.js";
import {
  chunkBytes,
  headerBytes,
  maxPlaintextBytes,
  sealedChunkBytes,
  ciphertextLength as sealedLength,
} from "../../cobblestone/layout.js";
import {
  type MessageWindow,
  maxSlabBytes,
  messageWindow,
  type SealedWindow,
  sealWindow,
} from "../../cobblestone/stream/seal-range.js";
import { maxPartBytes, maxParts } from "../../transfer/parts.js";
import type { SeekableSource } from "../../transfer/seekable-source.js";
import type { ClientConfig } from "../encrypted/config.js";
import { macPattern, type RecordKey } from "./record-key.js";
import { invalidRecord, RecordReader } from "./records.js";

/** How a message is cut into parts. */
export interface PartLayout {
  /** Bytes of the plaintext. */
  readonly plaintextLength: number;
  /** Bytes of each part but the last. */
  readonly partBytes: number;
  readonly partCount: number;
}

/** The layout of a plaintext of so many bytes. */
export function partLayout(plaintextLength: number, partBytes: number): PartLayout {
  const partCount = Math.ceil(sealedLength(plaintextLength) / partBytes);
  return { plaintextLength, partBytes, partCount };
}

/** Reads a layout from a record. */
export function readLayout(reader: RecordReader): PartLayout {
  const plaintextLength = reader.integer("plaintextLength", 0, maxPlaintextBytes);
  const partBytes = reader.integer("partBytes", chunkBytes, maxPartBytes);
  const layout = partLayout(plaintextLength, partBytes);
  if (reader.integer("partCount", 1, maxParts) === layout.partCount) return layout;
  throw reader.invalid("partCount", `expected ${layout.partCount}`);
}

/** What part `partNumber` (from 1) holds. */
export function partWindow({ plaintextLength, partBytes }: PartLayout, partNumber: number): MessageWindow {
  const start = (partNumber - 1) * partBytes;
  return messageWindow(plaintextLength, start, Math.min(start + partBytes, sealedLength(plaintextLength)));
}

/** Plaintext bytes that a part adds to those before it, for counting: those of all parts are those of the plaintext. */
export function plaintextShare(layout: PartLayout, partNumber: number): number {
  const before = (offset: number) => {
    const sealed = Math.max(0, offset - headerBytes);
    const chunk = Math.floor(sealed / sealedChunkBytes);
    const bytes = chunk * chunkBytes + Math.min(sealed - chunk * sealedChunkBytes, chunkBytes);
    return Math.min(bytes, layout.plaintextLength);
  };
  const { start, end } = partWindow(layout, partNumber);
  return before(end) - before(start);
}

/** What tells whether a part has been made of the same plaintext twice; no secret. */
export interface PartSeal {
  /** SHA-256 over the tags of the chunks that the part touches, in hex. */
  readonly tagDigest: string;
  /** The tag of the first of them, in hex. */
  readonly firstTag: string;
  /** The tag of the last of them, in hex. */
  readonly lastTag: string;
}

/** A seal as it is written down before the first byte of its part is sent. */
export interface RecordedSeal extends PartSeal {
  /** Authenticates the seal and the number of its part. */
  readonly mac: string;
}

/** Writes down the seal of a part. */
export function recordSeal(
  recordKey: RecordKey,
  ticketMac: string,
  partNumber: number,
  { tagDigest, firstTag, lastTag }: PartSeal,
): RecordedSeal {
  const seal = { tagDigest, firstTag, lastTag };
  return { ...seal, mac: recordKey.macOf("begun", ticketMac, [partNumber, seal]) };
}

/** Whether a seal was written down by {@link recordSeal} for this part of this upload. */
export function verifiesSeal(
  recordKey: RecordKey,
  ticketMac: string,
  partNumber: number,
  { tagDigest, firstTag, lastTag, mac }: RecordedSeal,
): boolean {
  return recordKey.verifies("begun", ticketMac, [partNumber, { tagDigest, firstTag, lastTag }], mac);
}

/** Reads the seal of a part from a record. */
export function readSeal(reader: RecordReader): PartSeal {
  return {
    tagDigest: reader.text("tagDigest", /^[0-9a-f]{64}$/),
    firstTag: reader.text("firstTag", /^[0-9a-f]{32}$/),
    lastTag: reader.text("lastTag", /^[0-9a-f]{32}$/),
  };
}

/** A part that S3 has; plain data, which JSON keeps. */
export interface UploadedPart extends PartSeal {
  readonly PartNumber: number;
  readonly ETag: string;
  /** Bytes. */
  readonly size: number;
  /** The checksums that S3 answered, by their names in the SDK. */
  readonly checksums: Readonly<Record<string, string>>;
  /** When the file that it was made of was modified last, in milliseconds, if it was made of a file. */
  readonly sourceModifiedMs?: number;
  /** Authenticates all other fields under the data key of the upload. */
  readonly mac: string;
}

/** The record of a part that S3 has. */
export function recordPart(
  recordKey: RecordKey,
  ticketMac: string,
  part: Omit<UploadedPart, "mac">,
): UploadedPart {
  const unsigned = canonicalPart(part);
  return { ...unsigned, mac: recordKey.macOf("part", ticketMac, unsigned) };
}

/** Whether a part was recorded by {@link recordPart} for this upload. */
export function verifiesPart(recordKey: RecordKey, ticketMac: string, part: UploadedPart): boolean {
  return recordKey.verifies("part", ticketMac, canonicalPart(part), part.mac);
}

/** All fields in one order: a queue or a database may have kept them in another. */
function canonicalPart(part: Omit<UploadedPart, "mac">): Omit<UploadedPart, "mac"> {
  const { PartNumber, ETag, size, checksums, tagDigest, firstTag, lastTag, sourceModifiedMs } = part;
  const sorted = Object.fromEntries(Object.entries(checksums).sort());
  return {
    PartNumber,
    ETag,
    size,
    checksums: sorted,
    tagDigest,
    firstTag,
    lastTag,
    ...(sourceModifiedMs !== undefined && { sourceModifiedMs }),
  };
}

/** Reads a finished part from a record. */
export function readUploadedPart(reader: RecordReader, layout: PartLayout): UploadedPart {
  const PartNumber = reader.integer("PartNumber", 1, layout.partCount);
  const { start, end } = partWindow(layout, PartNumber);
  const part: UploadedPart = {
    PartNumber,
    ETag: reader.text("ETag"),
    size: reader.integer("size", end - start, end - start),
    checksums: reader.texts("checksums", /^Checksum[A-Za-z0-9]+$/),
    ...readSeal(reader),
    ...(reader.has("sourceModifiedMs") && { sourceModifiedMs: reader.number("sourceModifiedMs") }),
    mac: reader.text("mac", macPattern),
  };
  reader.end();
  return part;
}

/** Reads the finished parts that make up an object: each once. */
export function readUploadedParts(value: unknown, layout: PartLayout): readonly UploadedPart[] {
  if (!Array.isArray(value)) throw invalidRecord("parts", "expected an array");
  const parts = new Map<number, UploadedPart>();
  for (const [index, item] of value.entries()) {
    const part = readUploadedPart(new RecordReader(`parts[${index}]`, item), layout);
    if (parts.has(part.PartNumber))
      throw invalidRecord(`parts[${index}]`, `part ${part.PartNumber} is there twice`);
    parts.set(part.PartNumber, part);
  }
  for (let partNumber = 1; partNumber <= layout.partCount; partNumber++) {
    if (!parts.has(partNumber)) throw invalidRecord("parts", `part ${partNumber} is missing`);
  }
  return [...parts.values()].sort((left, right) => left.PartNumber - right.PartNumber);
}

/** A part in memory. */
export interface SealedPart extends SealedWindow {
  /** Says that nobody reads the bytes any more, nor will: others are given their memory. */
  readonly release: () => void;
}

/** What parts are made with. */
export interface PartMaking {
  readonly config: ClientConfig;
  readonly layout: PartLayout;
  readonly keys: MessageKeys;
  readonly source: Pick<SeekableSource, "read">;
  readonly signal: AbortSignal;
}

/** Makes the parts of one upload, each in memory that the client's budget allows. */
export class PartMaker {
  readonly #making: PartMaking;
  readonly #slabBytes: number;

  constructor(making: PartMaking) {
    const { plaintextLength, partBytes } = making.layout;
    this.#making = making;
    this.#slabBytes = Math.min(maxSlabBytes(partBytes), sealedLength(plaintextLength));
  }

  /** Makes a part and holds it while it is used. */
  async with<T>(partNumber: number, use: (part: SealedPart) => Promise<T>): Promise<T> {
    const { config, layout, keys, source, signal } = this.#making;
    const window = partWindow(layout, partNumber);
    const bytes = this.#slabBytes;
    const hold = await config.budget.acquire(this, bytes, signal, bytes);
    try {
      const memory = (hold.memory ?? Buffer.allocUnsafeSlow(bytes)).buffer as ArrayBuffer;
      const { plaintextStart, plaintextEnd } = window;
      await source.read(new Uint8Array(memory, 0, plaintextEnd - plaintextStart), plaintextStart);
      signal.throwIfAborted();
      const sealed = await sealWindow(window, keys, memory, config.engine);
      return await use({ ...sealed, release: () => hold.release(Buffer.from(sealed.slab)) });
    } finally {
      hold.release();
    }
  }
}
