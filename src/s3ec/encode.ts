/** Encodes the envelopes of V2 and V3 for metadata and instruction files. docs/guides/legacy-objects.md describes the formats. */
import { asciiJsonString, encodeBase64, quoted } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import type { MetadataFields } from "../envelope/metadata.js";
import { maxMetadataBytes } from "../envelope/names.js";
import { metadataBytes, userMetadataArgument } from "../envelope/user-metadata.js";
import {
  contextArgument,
  contextOf,
  contextPairs,
  type EncryptionContext,
} from "../keys/encryption-context.js";
import type { LegacyEnvelope } from "./envelope.js";
import { legacyNames, maxInstructionFileBytes, reservedContextNames } from "./names.js";

/** An encoded envelope. */
export interface EncodedEnvelope {
  /** The fields for the metadata of the object. */
  readonly metadata: MetadataFields;
  /** The text of the instruction file, if there is one. */
  readonly instructions: string | undefined;
}

/**
 * Encodes an envelope: all of it for the metadata of its object, or the fields that may change for an instruction file. An
 * envelope of V1 is encoded as V2.
 *
 * @throws EnvelopeError `ENVELOPE_TOO_LARGE` when the instruction file is larger than readers accept
 */
export function encodeLegacyEnvelope(envelope: LegacyEnvelope): EncodedEnvelope {
  const { content, key } = envelope.format === "V3" ? fieldsOfV3(envelope) : fieldsOfV2(envelope);
  if (envelope.storage === "metadata") return { metadata: { ...content, ...key }, instructions: undefined };
  if (envelope.format === "V3") return { metadata: content, instructions: instructionText(key) };
  return { metadata: {}, instructions: instructionText({ ...content, ...key }) };
}

/** The fields of an envelope: those of the content, and those of the wrapped key, which re-encryption replaces. */
interface EnvelopeFields {
  readonly content: MetadataFields;
  readonly key: MetadataFields;
}

function fieldsOfV2({ suite, iv, wrap, wrappedKey, description }: LegacyEnvelope): EnvelopeFields {
  if (!wrap) throw new Error("unreachable: an envelope to be written has a wrap");
  return {
    content: {
      [legacyNames.iv]: encodeBase64(iv),
      [legacyNames.content]: suite.contentNames[0],
      ...(suite.tagBytes > 0 && { [legacyNames.tagLength]: String(suite.tagBytes * 8) }),
    },
    key: {
      [legacyNames.wrappedKeyV2]: encodeBase64(wrappedKey),
      [legacyNames.wrap]: wrap.name,
      [legacyNames.description]: jsonOf(description),
    },
  };
}

function fieldsOfV3(envelope: LegacyEnvelope): EnvelopeFields {
  const { suite, iv, commitment, wrap, wrappedKey, description } = envelope;
  if (!wrap?.code || !commitment) throw new Error("unreachable: V3 has a code for the wrap and a commitment");
  const name = wrap.keyType === "kms" ? legacyNames.contextV3 : legacyNames.descriptionV3;
  return {
    content: {
      [legacyNames.contentV3]: suite.contentNames[0],
      [legacyNames.commitment]: encodeBase64(commitment),
      [legacyNames.messageId]: encodeBase64(iv),
    },
    key: {
      [legacyNames.wrappedKeyV3]: encodeBase64(wrappedKey),
      [legacyNames.wrapV3]: wrap.code,
      ...(Object.keys(description).length > 0 && { [name]: jsonOf(description) }),
    },
  };
}

/**
 * Encodes as JSON in ASCII, as HTTP headers carry nothing else reliably and some readers do not decode how S3 represents
 * other characters. Keeps the order of the fields: the V3 client for PHP compares the encryption context in the order in
 * which its caller states it.
 */
function jsonOf(fields: Readonly<Record<string, string>>): string {
  const members = Object.entries(fields).map(
    ([name, value]) => `${asciiJsonString(name)}:${asciiJsonString(value)}`,
  );
  return `{${members.join(",")}}`;
}

/** Escapes spaces also within strings: the client for C++ stops reading at the first space. */
function instructionText(fields: MetadataFields): string {
  const text = jsonOf(contextOf(contextPairs(fields))).replaceAll(" ", "\\u0020");
  if (text.length <= maxInstructionFileBytes) return text;
  throw new EnvelopeError(
    "ENVELOPE_TOO_LARGE",
    `the instruction file would have ${text.length} bytes and readers accept ${maxInstructionFileBytes}: ` +
      "shorten the encryption context or the material description",
    { details: { size: text.length, limit: maxInstructionFileBytes } },
  );
}

const ownNames: readonly string[] = Object.values(legacyNames);

/**
 * Checks the metadata that a caller states for an object and copies it.
 *
 * @throws TypeError, RangeError that name the entry
 */
export function legacyUserMetadata(value: unknown): MetadataFields {
  const metadata = userMetadataArgument(value);
  for (const name of Object.keys(metadata)) {
    if (!ownNames.includes(name.toLowerCase())) continue;
    throw new RangeError(`Metadata[${quoted(name)}]: this name is reserved for the S3 Encryption Client`);
  }
  return metadata;
}

/**
 * Checks the encryption context that a caller states for a KMS data key.
 *
 * @throws TypeError, RangeError that name the entry
 */
export function legacyContextArgument(title: string, value: unknown): EncryptionContext {
  const context = contextArgument(title, value);
  for (const name of reservedContextNames) {
    if (Object.hasOwn(context, name))
      throw new RangeError(`${title}[${quoted(name)}]: this name is reserved`);
  }
  return context;
}

/**
 * Joins the metadata of the user and of the envelope.
 *
 * @throws EnvelopeError `ENVELOPE_TOO_LARGE` when S3 would refuse them, with the bytes that each part takes
 */
export function joinLegacyMetadata(
  user: MetadataFields,
  { metadata, instructions }: EncodedEnvelope,
): MetadataFields {
  const joined = { ...user, ...metadata };
  const size = metadataBytes(joined);
  if (size <= maxMetadataBytes) return joined;
  const lengthOf = (...names: string[]) =>
    names.reduce((sum, name) => sum + (metadata[name]?.length ?? 0), 0);
  const userBytes = metadataBytes(user);
  const contextBytes = lengthOf(legacyNames.description, legacyNames.contextV3, legacyNames.descriptionV3);
  const recipientBytes = lengthOf(legacyNames.wrappedKeyV2, legacyNames.wrappedKeyV3);
  const advice =
    instructions === undefined
      ? "Shorten Metadata, the encryption context or the material description, or use an instruction file (instructionFile: true)"
      : "Shorten Metadata";
  throw new EnvelopeError(
    "ENVELOPE_TOO_LARGE",
    `the object's metadata would take ${size} bytes and S3 allows ${maxMetadataBytes}: your Metadata takes ` +
      `${userBytes}, the encryption context or material description ${contextBytes}, the wrapped key ${recipientBytes}. ${advice}`,
    { details: { size, limit: maxMetadataBytes, userBytes, contextBytes, recipientBytes } },
  );
}
