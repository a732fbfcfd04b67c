/** The fields of an envelope of S3 Encryption Clients, wherever they stand: names, texts, bytes, maps. */
import { decodeBase64, printable } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import { contextOf, type EncryptionContext, entryFault } from "../keys/encryption-context.js";
import { maxWrappedKeyBytes } from "../keys/keyring.js";
import type { LegacyEnvelope } from "./envelope.js";
import { legacyNames, maxInstructionFileBytes } from "./names.js";

/** Where an envelope, or a part of it, stands. */
export type LegacyStorage = LegacyEnvelope["storage"];

const known: ReadonlySet<string> = new Set(Object.values(legacyNames));

/** Whether a name, in any case, is one of an envelope. The mark of an instruction file is not: it says nothing. */
export function isEnvelopeName(name: string): boolean {
  return known.has(name.toLowerCase()) && name.toLowerCase() !== legacyNames.instructionFile;
}

/** The names and values of an envelope. What is not there, or is empty, has no entry. */
export interface LegacyFields {
  readonly storage: LegacyStorage;
  readonly values: ReadonlyMap<string, string>;
}

/**
 * Collects the fields of an envelope: of any case, none twice. The mark of an instruction file says nothing and is
 * left out.
 *
 * @param entries not to be trusted; those of metadata may hold anything of others', those of a file may not
 */
export function collectFields(
  storage: LegacyStorage,
  entries: Iterable<readonly [name: string, value: unknown]>,
): LegacyFields {
  const values = new Map<string, string>();
  let length = 0;
  for (const [anyCase, value] of entries) {
    const name = anyCase.toLowerCase();
    if (!known.has(name)) {
      if (storage === "metadata") continue;
      throw malformed(storage, printable(anyCase), "no S3 Encryption Client writes this name");
    }
    const text = textOf(storage, name, value);
    if (text === "" || name === legacyNames.instructionFile) continue;
    if (values.has(name)) throw malformed(storage, name, "it is there twice");
    length += text.length;
    if (length > maxInstructionFileBytes) {
      throw malformed(storage, name, `expected at most ${maxInstructionFileBytes} characters in all`);
    }
    values.set(name, text);
  }
  return { storage, values };
}

/** The JSON of some clients has numbers and null where others have strings. */
function textOf(storage: LegacyStorage, name: string, value: unknown): string {
  if (typeof value === "string") return value;
  if (storage === "instruction-file") {
    if (value === null) return "";
    if (Number.isSafeInteger(value)) return String(value);
  }
  throw malformed(storage, name, "expected a string");
}

/** The text of a field that must be there. */
export function textField({ storage, values }: LegacyFields, name: string): string {
  const text = values.get(name);
  if (text === undefined) throw malformed(storage, name, "it is missing");
  return text;
}

/** The bytes of a field that must be there. */
export function base64Field(fields: LegacyFields, name: string, length: number): Buffer {
  const bytes = decodeBase64(textField(fields, name));
  if (bytes?.length === length) return bytes;
  throw malformed(fields.storage, name, `expected base64 of ${length} bytes, padded, without line breaks`);
}

/** The wrapped data key. */
export function wrappedKeyField(fields: LegacyFields, name: string): Buffer {
  const bytes = decodeBase64(textField(fields, name));
  if (bytes && bytes.length <= maxWrappedKeyBytes) return bytes;
  throw malformed(
    fields.storage,
    name,
    `expected base64 of 1 to ${maxWrappedKeyBytes} bytes, padded, without line breaks`,
  );
}

/** The map of strings that a text is the JSON of; none or null stand for an empty one. */
export function parseDescription(
  storage: LegacyStorage,
  name: string,
  json: string | undefined,
): EncryptionContext {
  if (json === undefined || json === "null") return contextOf([]);
  const pairs = parseFlatObject(storage, name, json).map(([key, value]) => {
    if (typeof value !== "string") throw malformed(storage, name, "expected strings as its values");
    const fault = entryFault(key, value);
    if (fault) throw malformed(storage, name, `one of its entries: ${fault}`);
    return [key, value] as const;
  });
  return contextOf(pairs);
}

/** The entries of a JSON object that has no other in it, and no name twice. */
export function parseFlatObject(
  storage: LegacyStorage,
  name: string,
  json: string,
): [name: string, value: unknown][] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    throw malformed(storage, name, "expected JSON");
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw malformed(storage, name, "expected a JSON object");
  }
  const entries = Object.entries(parsed);
  if (entries.some(([, value]) => typeof value === "object" && value !== null)) {
    throw malformed(storage, name, "expected a JSON object without objects or arrays in it");
  }
  if (countNames(json) === entries.length) return entries;
  throw malformed(storage, name, "one of its names is there twice");
}

/** How many names the JSON of a flat object has: the strings that a colon follows. JSON.parse keeps one of two. */
function countNames(json: string): number {
  return [...json.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"\s*(:?)/g)].filter(([, colon]) => colon).length;
}

/** The error for an envelope that no S3 Encryption Client writes: which field, what was expected, what to do. */
export function malformed(storage: LegacyStorage, field: string, fault: string): EnvelopeError {
  const where = storage === "metadata" ? "metadata" : "instruction file";
  return new EnvelopeError(
    "ENVELOPE_INVALID",
    `the object's S3 Encryption Client ${where} is malformed: ${field}: ${fault}. ` +
      `Restore the ${where} from another version or copy of the object`,
    { details: { field, storage } },
  );
}
