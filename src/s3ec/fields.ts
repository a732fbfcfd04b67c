/** Parses the fields of an envelope of S3 Encryption Clients, from metadata or from an instruction file. */
import { decodeBase64, printable } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import { contextOf, type EncryptionContext, entryFault } from "../keys/encryption-context.js";
import { maxWrappedKeyBytes } from "../keys/keyring.js";
import type { LegacyEnvelope } from "./envelope.js";
import { legacyNames, maxInstructionFileBytes } from "./names.js";

/** The place of an envelope, or of a part of it. */
export type LegacyStorage = LegacyEnvelope["storage"];

const known: ReadonlySet<string> = new Set(Object.values(legacyNames));

/** Whether a name, in any case, belongs to an envelope. The mark of an instruction file does not: it proves nothing. */
export function isEnvelopeName(name: string): boolean {
  return known.has(name.toLowerCase()) && name.toLowerCase() !== legacyNames.instructionFile;
}

/** The names and values of an envelope. Missing and empty fields have no entry. */
export interface LegacyFields {
  readonly storage: LegacyStorage;
  readonly values: ReadonlyMap<string, string>;
}

/**
 * Collects the fields of an envelope. Names may be in any case; none may occur twice. The mark of an instruction file is
 * ignored.
 *
 * @param entries untrusted. Metadata may have entries of other software, an instruction file may not
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
    if (values.has(name)) throw malformed(storage, name, "it occurs twice");
    length += text.length;
    if (length > maxInstructionFileBytes) {
      throw malformed(storage, name, `expected at most ${maxInstructionFileBytes} characters in total`);
    }
    values.set(name, text);
  }
  return { storage, values };
}

/** Returns the text of a value. In the JSON of some clients, numbers and null take the place of strings. */
function textOf(storage: LegacyStorage, name: string, value: unknown): string {
  if (typeof value === "string") return value;
  if (storage === "instruction-file") {
    if (value === null) return "";
    if (Number.isSafeInteger(value)) return String(value);
  }
  throw malformed(storage, name, "expected a string");
}

/** The text of a required field. */
export function textField({ storage, values }: LegacyFields, name: string): string {
  const text = values.get(name);
  if (text === undefined) throw malformed(storage, name, "it is missing");
  return text;
}

/** The bytes of a required field, which is in base64. */
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

/** Parses JSON as a map of strings. No text, or null, is an empty map. */
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

/** Parses JSON as an object without nested objects or arrays, and with no name twice. Returns its entries. */
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
  throw malformed(storage, name, "one of its names occurs twice");
}

/** Counts the names in the JSON of a flat object: the strings before a colon. JSON.parse keeps one of two equal names. */
function countNames(json: string): number {
  return [...json.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"\s*(:?)/g)].filter(([, colon]) => colon).length;
}

/** The error for an envelope that no S3 Encryption Client writes. */
export function malformed(storage: LegacyStorage, field: string, fault: string): EnvelopeError {
  const where = storage === "metadata" ? "metadata" : "instruction file";
  return new EnvelopeError(
    "ENVELOPE_INVALID",
    `the object's S3 Encryption Client ${where} is malformed: ${field}: ${fault}. ` +
      `Restore the ${where} from another version or copy of the object`,
    { details: { field, storage } },
  );
}
