/** What objects and instruction files of V2 and V3 say, as it is written. docs/guides/legacy-objects.md explains it. */
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

/** An envelope as it is written. */
export interface EncodedEnvelope {
  /** What the object's metadata says. */
  readonly metadata: MetadataFields;
  /** The text of the instruction file, if there is one. */
  readonly instructions: string | undefined;
}

/**
 * Writes an envelope: whole into the metadata of its object, or all of it that may change into an instruction file.
 * One of V1 is written as V2.
 *
 * @throws EnvelopeError `ENVELOPE_TOO_LARGE` when no reader would take the instruction file
 */
export function encodeLegacyEnvelope(envelope: LegacyEnvelope): EncodedEnvelope {
  const { content, key } = envelope.format === "V3" ? fieldsOfV3(envelope) : fieldsOfV2(envelope);
  if (envelope.storage === "metadata") return { metadata: { ...content, ...key }, instructions: undefined };
  if (envelope.format === "V3") return { metadata: content, instructions: instructionText(key) };
  return { metadata: {}, instructions: instructionText({ ...content, ...key }) };
}

/** The fields of an envelope: of its content, and of its wrapped key, which a rotation replaces. */
interface EnvelopeFields {
  readonly content: MetadataFields;
  readonly key: MetadataFields;
}

function fieldsOfV2({ suite, iv, wrap, wrappedKey, description }: LegacyEnvelope): EnvelopeFields {
  if (!wrap) throw new Error("unreachable: what is written has a wrap");
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
  if (!wrap?.code || !commitment)
    throw new Error("unreachable: V3 has a code for the wrap, and a commitment");
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
 * JSON in ASCII: HTTP carries nothing else, and some readers do not undo what S3 makes of it. In the order of the fields:
 * the V3 client for PHP compares the encryption context in the order that its caller states it in.
 */
function jsonOf(fields: Readonly<Record<string, string>>): string {
  const members = Object.entries(fields).map(
    ([name, value]) => `${asciiJsonString(name)}:${asciiJsonString(value)}`,
  );
  return `{${members.join(",")}}`;
}

/** The client for C++ reads no further than the first space, so none stands inside of the strings either. */
function instructionText(fields: MetadataFields): string {
  const text = jsonOf(contextOf(contextPairs(fields))).replaceAll(" ", "\\u0020");
  if (text.length <= maxInstructionFileBytes) return text;
  throw new EnvelopeError(
    "ENVELOPE_TOO_LARGE",
    `the instruction file would take ${text.length} bytes and readers take ${maxInstructionFileBytes}: ` +
      "shorten the encryption context or the material description",
    { details: { size: text.length, limit: maxInstructionFileBytes } },
  );
}

const ownNames: readonly string[] = Object.values(legacyNames);

/**
 * Checks the metadata that a caller wants on an object and takes a snapshot of it.
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
 * Checks the context that a caller states for a data key of KMS.
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
 * Joins the user's metadata and the envelope's.
 *
 * @throws EnvelopeError `ENVELOPE_TOO_LARGE` when S3 would refuse them, with what takes how many bytes
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
