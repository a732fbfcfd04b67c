/** The user's own metadata beside the envelope, within the limit of S3. */
import { recordArgument, wrongType } from "../base/arguments.js";
import { quoted } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import type { MetadataFields } from "./metadata.js";
import { maxMetadataBytes, metadataPrefix, names } from "./names.js";

/**
 * Checks the metadata that a caller states, and returns a snapshot of it.
 *
 * @throws TypeError, RangeError that name the entry, when HTTP or S3 would refuse or alter it
 */
export function userMetadataArgument(value: unknown): MetadataFields {
  if (value === undefined) return {};
  const seen = new Set<string>();
  const entries = Object.entries(recordArgument("Metadata", value));
  for (const [name, text] of entries) {
    const title = `Metadata[${quoted(name)}]`;
    if (typeof text !== "string") throw wrongType(title, "a string", text);
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      throw new RangeError(`${title}: expected a name that is an HTTP token`);
    }
    if (name.toLowerCase().startsWith(metadataPrefix)) {
      throw new RangeError(
        `${title}: names that start with "${metadataPrefix}" are reserved for the envelope`,
      );
    }
    if (seen.has(name.toLowerCase())) {
      throw new RangeError(`${title}: another name differs only by case, and S3 would join the two`);
    }
    if (!/^[\x20-\x7e]*$/.test(text)) {
      throw new RangeError(`${title}: expected printable ASCII; encode the value, for example as base64`);
    }
    if (text.trim() !== text) {
      throw new RangeError(`${title}: expected no space at either end, as HTTP strips it`);
    }
    seen.add(name.toLowerCase());
  }
  return Object.fromEntries(entries) as MetadataFields;
}

/**
 * Joins the user's metadata and the envelope's.
 *
 * @throws EnvelopeError `ENVELOPE_TOO_LARGE` when S3 would refuse them, with the size of each
 */
export function joinMetadata(user: MetadataFields, envelope: MetadataFields): MetadataFields {
  const metadata = { ...user, ...envelope };
  const size = metadataBytes(metadata);
  if (size <= maxMetadataBytes) return metadata;
  const userBytes = metadataBytes(user);
  const contextBytes = (envelope[names.context] ?? "").length;
  const recipientBytes = (envelope[names.recipients] ?? "").length;
  throw new EnvelopeError(
    "ENVELOPE_TOO_LARGE",
    `the object's metadata would take ${size} bytes and S3 allows ${maxMetadataBytes}: ` +
      `your Metadata takes ${userBytes}, the encryption context ${contextBytes}, the wrapped keys ${recipientBytes}. ` +
      'Shorten Metadata or the encryption context, or put the envelope into a sidecar object with envelopeStorage: "sidecar"',
    { details: { size, limit: maxMetadataBytes, userBytes, contextBytes, recipientBytes } },
  );
}

/** The metadata of an object without its envelope. */
export function withoutEnvelope(metadata: MetadataFields): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).filter(([name]) => !name.toLowerCase().startsWith(metadataPrefix)),
  );
}

/** The size of metadata as S3 counts it: the UTF-8 bytes of all names and values together. */
export function metadataBytes(metadata: MetadataFields): number {
  return Object.entries(metadata).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value),
    0,
  );
}
