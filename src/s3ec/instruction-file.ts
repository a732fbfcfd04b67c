/** Decodes instruction files: objects that hold the envelope of another object. docs/guides/legacy-objects.md describes the formats. */
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
 * Decodes an instruction file. The content fields of V3 are taken from the metadata of the object only, so whoever can write
 * the file cannot replace the committed data key or change the format.
 *
 * @param bytes the whole body of the file, untrusted; at most 64 KiB are accepted
 * @param found the result of `decodeLegacyMetadata` for the metadata of the object itself
 * @throws EnvelopeError `ENVELOPE_INVALID`, which names the field
 */
export function decodeInstructionFile(bytes: Uint8Array, found: InInstructionFile): LegacyEnvelope {
  const fields = collectFields(storage, parseFile(bytes));
  for (const name of committedContentNames) {
    if (!fields.values.has(name)) continue;
    throw malformed(storage, name, "only the metadata of the object itself may have this field");
  }
  const format = formatOf(fields);
  if (format === undefined) {
    const name = found.partial ? names.wrappedKeyV3 : names.wrappedKeyV2;
    throw malformed(storage, name, "it is missing, as is every other wrapped data key");
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
    "it is missing, but the instruction file is of format V3, whose objects have it",
  );
}

/**
 * Decodes an instruction file of the oldest .NET clients, whose key ends with `INSTRUCTION_SUFFIX`: V1 with other names.
 *
 * @throws EnvelopeError `ENVELOPE_INVALID`, which names the field
 */
export function decodeOldNetInstructionFile(bytes: Uint8Array, found: InInstructionFile): LegacyEnvelope {
  if (found.partial) {
    throw malformed(storage, "its names", "expected format V3, the format of the object's metadata");
  }
  const fields = new Map<string, unknown>();
  for (const [name, value] of parseFile(bytes)) {
    const known = oldNetNames.get(name);
    if (known === undefined) {
      throw malformed(storage, "its names", `expected only ${[...oldNetNames.keys()].join(" and ")}`);
    }
    fields.set(known, value);
  }
  for (const [name, known] of oldNetNames) {
    if (!fields.has(known)) throw malformed(storage, name, "it is missing");
  }
  return decodeV1(collectFields(storage, fields));
}

/** Whether these bytes may be an instruction file of some object: JSON with names of an envelope and no others. */
export function mayBeInstructionFile(bytes: Uint8Array): boolean {
  try {
    collectFields(storage, parseFile(bytes));
    return true;
  } catch {
    return false;
  }
}

/** A name that only the instruction files of the oldest .NET clients have. */
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
