/** The envelope of S3 Encryption Clients in an object of its own, the instruction file. docs/guides/legacy-objects.md explains it. */
import type { LegacyEnvelope } from "./envelope.js";
import { collectFields, malformed, parseFlatObject } from "./fields.js";
import type { InInstructionFile } from "./metadata.js";
import { maxInstructionFileBytes, legacyNames as names } from "./names.js";
import {
  allowOnly,
  committedContentNames,
  decodeV1,
  decodeV2,
  decodeV3,
  formatOf,
  wrappingNamesV3,
} from "./versions.js";

const storage = "instruction-file";
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads an instruction file. What V3 says of its content is taken from the metadata of the object alone, so whoever
 * can write the file cannot have another data key taken for the committed one, nor another format for V3.
 *
 * @param bytes the whole body of the file, not to be trusted; at most 64 KiB are taken
 * @param found what `decodeLegacyMetadata` found in the metadata of the object itself
 * @throws EnvelopeError `ENVELOPE_INVALID`, which names the field
 */
export function decodeInstructionFile(bytes: Uint8Array, found: InInstructionFile): LegacyEnvelope {
  const fields = collectFields(storage, parseFile(bytes));
  for (const name of committedContentNames) {
    if (!fields.values.has(name)) continue;
    throw malformed(storage, name, "only the metadata of the object itself may say this");
  }
  const format = formatOf(fields);
  if (format === undefined) {
    const name = found.partial ? names.wrappedKeyV3 : names.wrappedKeyV2;
    throw malformed(storage, name, "it is missing, and so is every other wrapped data key");
  }
  if (found.partial) {
    allowOnly(fields, "V3", wrappingNamesV3);
    return decodeV3(fields, found.partial);
  }
  if (format === "V1") return decodeV1(fields);
  if (format === "V2") return decodeV2(fields);
  throw malformed(
    "metadata",
    names.contentV3,
    "it is missing, and the instruction file is of format V3, whose objects have it",
  );
}

/**
 * Reads an instruction file of the oldest .NET clients, whose key ends with `INSTRUCTION_SUFFIX`: V1 with names of its
 * own.
 *
 * @throws EnvelopeError `ENVELOPE_INVALID`, which names the field
 */
export function decodeOldNetInstructionFile(bytes: Uint8Array, found: InInstructionFile): LegacyEnvelope {
  if (found.partial) {
    throw malformed(storage, "its names", "expected format V3, which the metadata of the object is of");
  }
  const fields = new Map<string, unknown>();
  for (const [name, value] of parseFile(bytes)) {
    const known = oldNetNames.get(name);
    if (known === undefined) {
      throw malformed(storage, "its names", `expected ${[...oldNetNames.keys()].join(" and ")} alone`);
    }
    fields.set(known, value);
  }
  for (const [name, known] of oldNetNames) {
    if (!fields.has(known)) throw malformed(storage, name, "it is missing");
  }
  return decodeV1(collectFields(storage, fields));
}

/** Whether these bytes may be an instruction file, of whatever object: JSON of names of an envelope, and nothing else. */
export function mayBeInstructionFile(bytes: Uint8Array): boolean {
  try {
    collectFields(storage, parseFile(bytes));
    return true;
  } catch {
    return false;
  }
}

/** Tells such a file from all others, where the suffix of its key does not. */
export const oldNetWrappedKey = "EncryptedEnvelopeKey";

const oldNetNames: ReadonlyMap<string, string> = new Map([
  [oldNetWrappedKey, names.wrappedKeyV1],
  ["IV", names.iv],
]);

function parseFile(bytes: Uint8Array): [name: string, value: unknown][] {
  if (bytes.length > maxInstructionFileBytes) {
    throw malformed(storage, "its body", `expected at most ${maxInstructionFileBytes} bytes`);
  }
  let json: string;
  try {
    json = utf8.decode(bytes);
  } catch {
    throw malformed(storage, "its body", "expected UTF-8");
  }
  return parseFlatObject(storage, "its body", json);
}
