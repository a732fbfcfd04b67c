/** The envelope as a sidecar object: its key and its JSON text. format.md 7.3 specifies them. */
import { timingSafeEqual } from "node:crypto";
import { EnvelopeError } from "../base/errors.js";
import { saltBytes } from "../cobblestone/layout.js";
import type { Envelope } from "./envelope.js";
import { decodeEnvelope, encodeEnvelope, invalidEnvelope, type MetadataFields } from "./metadata.js";
import { maxEnvelopeLength, sidecarSuffix } from "./names.js";

/** S3 allows at most this many bytes in the key of an object. */
export const maxKeyBytes = 1024;
const where = "sidecar object";

/**
 * The key of the sidecar of an object. It contains the salt of the body, so that each write has its own sidecar: a write
 * never changes the envelope of the object that it is going to replace.
 *
 * @returns undefined when the object's key is so long that S3 can hold no such sidecar
 */
export function sidecarKey(key: string, header: Buffer): string | undefined {
  return suffixedKey(key, suffixOf(header));
}

/**
 * The key of the sidecar of an object that is about to be written. Calls that read or delete use {@link sidecarKey}: the key
 * of a stored object is no mistake of their caller's.
 *
 * @throws RangeError when the object's key is too long to have a sidecar
 */
export function newSidecarKey(key: string, header: Buffer): string {
  return newSuffixedKey(key, suffixOf(header), "a sidecar");
}

function suffixOf(header: Buffer): string {
  return `.${header.toString("hex", 0, saltBytes)}${sidecarSuffix}`;
}

/**
 * The key of an object that belongs to another.
 *
 * @returns undefined when the other's key is so long that S3 can hold no such object
 */
export function suffixedKey(key: string, suffix: string): string | undefined {
  const suffixed = `${key}${suffix}`;
  return Buffer.byteLength(suffixed) <= maxKeyBytes ? suffixed : undefined;
}

/**
 * The key of an object that is about to be written beside another.
 *
 * @param companion the kind of the new object, for the error
 * @throws RangeError when the other's key is too long
 */
export function newSuffixedKey(key: string, suffix: string, companion: string): string {
  const suffixed = suffixedKey(key, suffix);
  if (suffixed !== undefined) return suffixed;
  const most = maxKeyBytes - Buffer.byteLength(suffix);
  throw new RangeError(
    `Key: expected at most ${most} bytes with ${companion}, got ${Buffer.byteLength(key)}`,
  );
}

/**
 * Encodes an envelope as the text of a sidecar object.
 *
 * @throws EnvelopeError `ENVELOPE_TOO_LARGE` when readers would refuse it
 */
export function encodeSidecar(envelope: Envelope): string {
  const text = sidecarText(envelope);
  if (text.length <= maxEnvelopeLength) return text;
  throw new EnvelopeError(
    "ENVELOPE_TOO_LARGE",
    `the object's envelope would take ${text.length} characters, and a sidecar holds ${maxEnvelopeLength}: ` +
      "shorten the encryption context or wrap the data key fewer times",
    { details: { size: text.length, limit: maxEnvelopeLength } },
  );
}

/**
 * Decodes the text of a sidecar object.
 *
 * @param header the first 56 bytes of the body to which the sidecar must belong
 * @throws EnvelopeError `ENVELOPE_INVALID`, `ENVELOPE_VERSION_UNSUPPORTED`
 */
export function decodeSidecar(text: string, header: Buffer): Envelope {
  if (text.length > maxEnvelopeLength)
    throw invalidEnvelope(where, `expected at most ${maxEnvelopeLength} characters`);
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    throw invalidEnvelope(where, "expected JSON");
  }
  if (typeof fields !== "object" || fields === null) throw invalidEnvelope(where, "expected a JSON object");
  const stored = decodeEnvelope(fields as MetadataFields);
  if (stored?.storage !== "metadata") throw invalidEnvelope(where, "expected a whole envelope");
  if (sidecarText(stored.envelope) !== text) throw invalidEnvelope(where, "it is not in canonical form");
  if (timingSafeEqual(stored.envelope.header, header)) return stored.envelope;
  throw invalidEnvelope(where, "it belongs to another object");
}

function sidecarText(envelope: Envelope): string {
  return `${JSON.stringify(encodeEnvelope(envelope), null, 2)}\n`;
}
