/** The envelope as metadata: ASCII names and values in one canonical form. format.md 7 specifies it. */
import { asciiJsonString, decodeBase64, encodeBase64, printable } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import { commitmentBytes, saltBytes } from "../cobblestone/layout.js";
import {
  contextBytes,
  contextFault,
  contextOf,
  contextPairs,
  type EncryptionContext,
  maxContextBytes,
} from "../keys/encryption-context.js";
import { maxRecipients, type Recipient, recipientFault } from "../keys/keyring.js";
import type { Envelope } from "./envelope.js";
import {
  formatVersion,
  maxEnvelopeLength,
  metadataPrefix,
  names,
  sidecarStorage,
  suiteName,
} from "./names.js";

/** Names and values of metadata, names in lower case and without `x-amz-meta-`. */
export type MetadataFields = Readonly<Record<string, string>>;

/** The envelope in the metadata of an object, or a reference to its sidecar. */
export type StoredEnvelope =
  | { readonly storage: "metadata"; readonly envelope: Envelope }
  | { readonly storage: "sidecar"; readonly header: Buffer };

/** Encodes an envelope as metadata. */
export function encodeEnvelope(envelope: Envelope): MetadataFields {
  return {
    ...encodeHeader(envelope.header),
    [names.context]: encodeContext(envelope.encryptionContext),
    [names.recipients]: encodeRecipients(envelope.recipients),
  };
}

/** Encodes the metadata of an object whose envelope is in a sidecar. */
export function encodeSidecarReference(header: Buffer): MetadataFields {
  return { ...encodeHeader(header), [names.storage]: sidecarStorage };
}

/**
 * Decodes the envelope in the metadata of an object. Everything but the one canonical form is refused.
 *
 * @param metadata untrusted; names without `x-amz-meta-`, in any case, as the SDK returns them
 * @returns undefined when no name starts with `s3e-`
 * @throws EnvelopeError `ENVELOPE_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`
 */
export function decodeEnvelope(metadata: MetadataFields): StoredEnvelope | undefined {
  const fields = envelopeFields(metadata);
  if (fields.size === 0) return undefined;
  requireFormat(fields);
  const header = Buffer.concat([
    bytesField(fields, names.salt, saltBytes),
    bytesField(fields, names.commitment, commitmentBytes),
  ]);
  if (fields.has(names.storage)) {
    if (fields.get(names.storage) !== sidecarStorage)
      throw invalidEnvelope(names.storage, `expected "${sidecarStorage}"`);
    requireOnly(fields, [names.version, names.suite, names.salt, names.commitment, names.storage]);
    return { storage: "sidecar", header };
  }
  requireOnly(fields, [
    names.version,
    names.suite,
    names.salt,
    names.commitment,
    names.context,
    names.recipients,
  ]);
  const encryptionContext = decodeContext(field(fields, names.context));
  const recipients = decodeRecipients(field(fields, names.recipients));
  return { storage: "metadata", envelope: { header, encryptionContext, recipients } };
}

/** The error for an envelope that breaks the format. */
export function invalidEnvelope(name: string, fault: string): EnvelopeError {
  return new EnvelopeError("ENVELOPE_INVALID", `the object's envelope is malformed: ${name}: ${fault}`, {
    details: { field: name },
  });
}

function encodeHeader(header: Buffer): MetadataFields {
  return {
    [names.version]: formatVersion,
    [names.suite]: suiteName,
    [names.salt]: encodeBase64(header.subarray(0, saltBytes)),
    [names.commitment]: encodeBase64(header.subarray(saltBytes)),
  };
}

function envelopeFields(metadata: MetadataFields): Map<string, string> {
  const fields = new Map<string, string>();
  let length = 0;
  for (const [name, value] of Object.entries(metadata)) {
    const lowerCase = name.toLowerCase();
    if (!lowerCase.startsWith(metadataPrefix)) continue;
    if (fields.has(lowerCase)) throw invalidEnvelope(printable(lowerCase), "it appears twice");
    if (typeof value !== "string") throw invalidEnvelope(printable(lowerCase), "expected a string");
    length += value.length;
    if (length > maxEnvelopeLength) {
      throw invalidEnvelope("its values", `expected an envelope of at most ${maxEnvelopeLength} characters`);
    }
    fields.set(lowerCase, value);
  }
  return fields;
}

function requireFormat(fields: Map<string, string>): void {
  if (field(fields, names.version) !== formatVersion) throw unsupported(names.version, formatVersion);
  if (field(fields, names.suite) !== suiteName) throw unsupported(names.suite, suiteName);
}

function unsupported(name: string, known: string): EnvelopeError {
  return new EnvelopeError(
    "ENVELOPE_VERSION_UNSUPPORTED",
    `${name}: this release reads "${known}" only; a newer one may read this object`,
    { details: { field: name } },
  );
}

function requireOnly(fields: Map<string, string>, known: readonly string[]): void {
  for (const name of fields.keys()) {
    if (!known.includes(name)) throw invalidEnvelope("its names", "one is not part of format version 1");
  }
}

function field(fields: Map<string, string>, name: string): string {
  return fields.get(name) ?? raise(invalidEnvelope(name, "it is missing"));
}

function bytesField(fields: Map<string, string>, name: string, length: number): Buffer {
  const bytes = decodeBase64(field(fields, name));
  return bytes?.length === length
    ? bytes
    : raise(invalidEnvelope(name, `expected canonical base64 of ${length} bytes`));
}

function encodeContext(context: EncryptionContext): string {
  return jsonObject(contextPairs(context).map(([name, value]) => [name, asciiJsonString(value)]));
}

/** A canonical byte takes at most six characters in JSON, as an escaped control character. */
const maxContextLength = 6 * maxContextBytes;

/** Checks the limits first: sorting the names of a context that is far too large takes long. */
function decodeContext(text: string): EncryptionContext {
  if (text.length > maxContextLength) throw contextTooLarge();
  const parsed = parseJson(names.context, text);
  if (!isRecord(parsed)) throw invalidEnvelope(names.context, "expected a JSON object");
  const pairs = Object.entries(parsed).map(([name, value]) => {
    if (typeof value !== "string") throw invalidEnvelope(names.context, "expected string values");
    const fault = contextFault(name, value);
    if (fault) throw invalidEnvelope(names.context, fault);
    return [name, value] as const;
  });
  const context = contextOf(pairs);
  if (contextBytes(context) > maxContextBytes) throw contextTooLarge();
  if (encodeContext(context) !== text) throw notCanonical(names.context);
  return context;
}

function contextTooLarge(): EnvelopeError {
  return invalidEnvelope(names.context, `expected at most ${maxContextBytes} bytes`);
}

function encodeRecipients(recipients: readonly Recipient[]): string {
  const objects = recipients.map(({ provider, keyId, ciphertext }) =>
    jsonObject([
      ["provider", asciiJsonString(provider)],
      ["keyId", asciiJsonString(keyId)],
      ["ciphertext", asciiJsonString(encodeBase64(ciphertext))],
    ]),
  );
  return `[${objects.join(",")}]`;
}

function decodeRecipients(text: string): readonly Recipient[] {
  const parsed = parseJson(names.recipients, text);
  if (!Array.isArray(parsed) || parsed.length < 1 || parsed.length > maxRecipients) {
    throw invalidEnvelope(names.recipients, `expected a JSON array of 1 to ${maxRecipients} recipients`);
  }
  const recipients = parsed.map(decodeRecipient);
  if (encodeRecipients(recipients) !== text) throw notCanonical(names.recipients);
  return recipients;
}

function decodeRecipient(parsed: unknown, index: number): Recipient {
  const title = `${names.recipients}[${index}]`;
  if (!isRecord(parsed)) throw invalidEnvelope(title, "expected a JSON object");
  const { provider, keyId, ciphertext: encoded } = parsed;
  if (typeof provider !== "string" || typeof keyId !== "string" || typeof encoded !== "string") {
    throw invalidEnvelope(title, "expected the strings provider, keyId and ciphertext");
  }
  const ciphertext = decodeBase64(encoded);
  if (!ciphertext) throw invalidEnvelope(`${title}.ciphertext`, "expected canonical base64");
  const recipient = { provider, keyId, ciphertext };
  const fault = recipientFault(recipient);
  if (fault) throw invalidEnvelope(title, fault);
  return recipient;
}

function jsonObject(pairs: readonly (readonly [name: string, json: string])[]): string {
  return `{${pairs.map(([name, json]) => `${asciiJsonString(name)}:${json}`).join(",")}}`;
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidEnvelope(name, "expected JSON");
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function notCanonical(name: string): EnvelopeError {
  return invalidEnvelope(name, "it is not in canonical form");
}

function raise(error: Error): never {
  throw error;
}
