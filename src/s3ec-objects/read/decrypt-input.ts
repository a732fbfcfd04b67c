/** The input of `decryptLegacyObject`, checked. */
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { recordArgument, wrongType } from "../../base/arguments.js";
import { quoted } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { type ExpectedContext, statedContextArgument } from "../../objects/encrypted/read-arguments.js";
import type { LegacyEnvelope } from "../../s3ec/envelope.js";
import {
  decodeInstructionFile,
  decodeOldNetInstructionFile,
  oldNetWrappedKey,
} from "../../s3ec/instruction-file.js";
import { decodeLegacyMetadata } from "../../s3ec/metadata.js";
import { type BodySource, bodyArgument, type PutBody } from "../../transfer/body-source.js";
import { type CallOptions, checkedOptions } from "../../transfer/call.js";
import { type LegacyReadingOptions, type ReadingConfig, readingArguments } from "./reading-options.js";

/** An object as it is stored in S3: the output of a GetObject of the whole object, for instance. */
export interface LegacyObjectInput {
  /** All encrypted bytes. A stream is read when the body of the result is read. */
  readonly Body: Exclude<PutBody, string>;
  /** The length of `Body`, if it is a stream of known length. */
  readonly ContentLength?: number | undefined;
  /** The metadata as `head-object` prints it, or with the prefix `x-amz-meta-` of the headers; none by default. */
  readonly Metadata?: Readonly<Record<string, string>> | undefined;
  /** The content of the object's instruction file, if it has one. */
  readonly instructionFile?: Uint8Array | string | undefined;
  /** As for `get`. */
  readonly encryptionContext?: ExpectedContext | undefined;
}

/** The output of GetObject may have more fields, which are not read. */
type ObjectFields = LegacyObjectInput & Omit<GetObjectCommandOutput, "ContentRange">;

/** Options of `decryptLegacyObject`: those of `legacyReading`, and a signal that also ends the reading of the body. */
export interface DecryptLegacyObjectOptions extends LegacyReadingOptions, CallOptions {}

/** The arguments of `decryptLegacyObject` after validation. */
export interface DecryptArguments {
  readonly config: ReadingConfig;
  readonly abortSignal: AbortSignal | undefined;
  readonly metadata: Record<string, string>;
  readonly instructionFile: Buffer | undefined;
  readonly expected: ExpectedContext | undefined;
  readonly source: BodySource;
}

/** Checks the arguments of `decryptLegacyObject`. */
export function decryptArguments(
  input: LegacyObjectInput,
  options: DecryptLegacyObjectOptions,
): DecryptArguments {
  const names = legacyFieldNames.decryptLegacyObject;
  const stated = fieldsArgument<DecryptLegacyObjectOptions>(names.options, options);
  const config = readingArguments(stated);
  const { abortSignal } = checkedOptions({ abortSignal: stated.abortSignal });
  const given = fieldsArgument<ObjectFields>(names.input, input);
  const metadata = metadataArgument(given.Metadata);
  const instructionFile = fileArgument(given.instructionFile);
  const expected = statedContextArgument(given.encryptionContext);
  // A file that was read as text has lost bytes.
  if (typeof given.Body === "string") throw wrongType("Body", "bytes or a stream of them", given.Body);
  const source = bodyArgument(given.Body, given.ContentLength);
  return { config, abortSignal, metadata, instructionFile, expected, source };
}

/**
 * Decodes the envelope of an object.
 *
 * @throws EnvelopeError `ENVELOPE_MISSING`, `ENVELOPE_INVALID`
 */
export function envelopeOf({
  metadata,
  instructionFile: file,
}: Pick<DecryptArguments, "metadata" | "instructionFile">): LegacyEnvelope {
  const found = decodeLegacyMetadata(metadata);
  if (!("needsInstructionFile" in found)) return found;
  if (file)
    return isOldNet(file) ? decodeOldNetInstructionFile(file, found) : decodeInstructionFile(file, found);
  throw new EnvelopeError(
    "ENVELOPE_MISSING",
    "Metadata has no envelope of an S3 Encryption Client that can be read: if the object has an instruction file, " +
      "state what is in it as instructionFile",
  );
}

/** Whether old clients for .NET wrote the file. In S3 the suffix of its key shows it. */
function isOldNet(file: Buffer): boolean {
  try {
    return Object.hasOwn(Object(JSON.parse(file.toString())), oldNetWrappedKey);
  } catch {
    return false;
  }
}

const headerPrefix = /^x-amz-meta-/i;

function metadataArgument(value: unknown): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (const [given, text] of Object.entries(recordArgument("Metadata", value === undefined ? {} : value))) {
    const title = `Metadata[${quoted(given)}]`;
    if (typeof text !== "string") throw wrongType(title, "a string", text);
    const name = given.replace(headerPrefix, "");
    if (Object.hasOwn(metadata, name)) throw new RangeError(`${title}: it is given twice`);
    metadata[name] = text;
  }
  return metadata;
}

function fileArgument(value: unknown): Buffer | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string") return Buffer.from(value);
  if (value instanceof Uint8Array) return Buffer.from(value);
  throw wrongType("instructionFile", "a Uint8Array or a string", value);
}
