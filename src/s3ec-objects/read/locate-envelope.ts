/** Finds the envelope of an object of Amazon's clients: in its metadata, or in its instruction file. */
import { EnvelopeError, hasCode, withDetails } from "../../base/errors.js";
import { maxKeyBytes } from "../../envelope/sidecar.js";
import type { ObjectLookup } from "../../objects/encrypted/format.js";
import { fetchSibling } from "../../objects/encrypted/pinned-object.js";
import { type ObjectResponse, readSmall } from "../../s3/body/object-response.js";
import type { LegacyEnvelope } from "../../s3ec/envelope.js";
import { malformed } from "../../s3ec/fields.js";
import { decodeInstructionFile, decodeOldNetInstructionFile } from "../../s3ec/instruction-file.js";
import { decodeLegacyMetadata, isLegacyMetadata } from "../../s3ec/metadata.js";
import { instructionSuffix, maxInstructionFileBytes, oldNetSuffix } from "../../s3ec/names.js";
import type { ReadingConfig } from "./reading-options.js";

/** The envelope of an object, and where it is. */
export interface LocatedEnvelope {
  /** Undefined when neither the metadata nor an instruction file holds one. */
  readonly envelope: LegacyEnvelope | undefined;
  /** The instruction file that holds the envelope; if none does, the one that was requested first. */
  readonly instructionFile: { readonly key: string; readonly ETag: string | undefined } | undefined;
}

/**
 * Looks for the envelope of an object. If the metadata holds it, no instruction file is requested.
 *
 * @throws EnvelopeError `ENVELOPE_INVALID`; `LEGACY_REFUSED` when the metadata refers to an instruction file and those may
 *   not be requested, `ENVELOPE_MISSING` when that file does not exist; those of its request
 */
export async function locateEnvelope(config: ReadingConfig, object: ObjectLookup): Promise<LocatedEnvelope> {
  const { metadata } = object;
  const found = decodeLegacyMetadata(metadata);
  if (!("needsInstructionFile" in found)) return { envelope: found, instructionFile: undefined };
  const { key } = object.target;
  const needsFile = isLegacyMetadata(metadata);
  if (config.instructionFileSuffix === undefined) {
    if (needsFile || object.instructionFileSuffix !== undefined) throw disabled(key);
    return { envelope: undefined, instructionFile: undefined };
  }
  const suffix = object.instructionFileSuffix ?? config.instructionFileSuffix;
  object.closeBody();
  const fileKey = key + suffix;
  const file = await fetchFile(object, fileKey);
  if (file) return { envelope: decodeInstructionFile(file.bytes, found), instructionFile: file };
  if (suffix === instructionSuffix && !found.partial) {
    const oldFile = await fetchFile(object, key + oldNetSuffix);
    if (oldFile)
      return { envelope: decodeOldNetInstructionFile(oldFile.bytes, found), instructionFile: oldFile };
  }
  // Some clients leave only the length in the metadata: without its instruction file, ciphertext would pass for plaintext.
  if (needsFile) throw noEnvelope(key, fileKey, "restore that file from a version or a copy of it");
  return { envelope: undefined, instructionFile: { key: fileKey, ETag: undefined } };
}

/** The error for an object that has no envelope, neither in its metadata nor in an instruction file. */
export function noEnvelope(
  key: string,
  instructionFileKey: string | undefined,
  advice = 'if they were lost in a copy, restore them; to read unencrypted objects, set unencrypted: "allow"',
): EnvelopeError {
  const where =
    instructionFileKey === undefined
      ? "in its metadata, and instruction files are switched off"
      : `in its metadata, nor in the instruction file "${instructionFileKey}", which does not exist`;
  return new EnvelopeError(
    "ENVELOPE_MISSING",
    `"${key}" has no envelope that can be read: not ${where}: ${advice}`,
    { details: { key, ...(instructionFileKey !== undefined && { instructionFileKey }) } },
  );
}

function disabled(key: string): EnvelopeError {
  return new EnvelopeError(
    "LEGACY_REFUSED",
    `the envelope of "${key}" is in an instruction file, and disableInstructionFile is on`,
    { details: { option: "disableInstructionFile" } },
  );
}

interface InstructionFile {
  readonly key: string;
  readonly ETag: string | undefined;
  readonly bytes: Buffer;
}

/** Undefined when there is no such object. A refused request does not show that there is none. */
async function fetchFile(object: ObjectLookup, key: string): Promise<InstructionFile | undefined> {
  if (Buffer.byteLength(key) > maxKeyBytes) return undefined;
  let response: ObjectResponse;
  try {
    response = await fetchSibling(object, key);
  } catch (error) {
    if (hasCode(error, "S3_NOT_FOUND")) return undefined;
    const isForbidden = hasCode(error, "S3_ACCESS_DENIED") && error.details.httpStatusCode === 403;
    throw isForbidden ? withAdvice(error) : error;
  }
  const tooLarge = () =>
    malformed("instruction-file", "its body", `expected at most ${maxInstructionFileBytes} bytes`);
  try {
    const bytes = await readSmall(response, maxInstructionFileBytes, tooLarge);
    return { key, ETag: response.output.ETag, bytes };
  } finally {
    response.close();
  }
}

/** The reader of an object without an envelope may not expect a request for its instruction file. */
function withAdvice(error: EnvelopeError): EnvelopeError {
  const advice =
    "This is where the instruction file of the object would be. Without s3:ListBucket S3 denies also what is not there: " +
    "allow that, or set disableInstructionFile: true if no object has such a file";
  return withDetails(error, {}, `${error.message}. ${advice}`);
}
