/** Finds the envelope of an object of Amazon's clients: in its metadata, or in its instruction file. */
import { EnvelopeError, hasCode, withDetails } from "../../base/errors.js";
import { maxKeyBytes } from "../../envelope/sidecar.js";
import type { LegacyLookup } from "../../objects/encrypted/legacy-reading.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import { readSmall } from "../../s3/body/object-response.js";
import type { LegacyEnvelope } from "../../s3ec/envelope.js";
import { malformed } from "../../s3ec/fields.js";
import { decodeInstructionFile, decodeOldNetInstructionFile } from "../../s3ec/instruction-file.js";
import { decodeLegacyMetadata, isLegacyMetadata } from "../../s3ec/metadata.js";
import { instructionSuffix, maxInstructionFileBytes, oldNetSuffix } from "../../s3ec/names.js";
import type { ReadingConfig } from "./reading-options.js";

/** What was found. */
export interface Located {
  /** Undefined when neither the metadata nor an instruction file has one. */
  readonly envelope: LegacyEnvelope | undefined;
  /** The key of the instruction file that it was found in, or that was asked for first. */
  readonly instructionFileKey: string | undefined;
}

/**
 * Looks for the envelope of an object. What is in its metadata comes first, and then no file is asked for.
 *
 * @param beforeAsking called before a request: a body that is kept open holds a connection that it may be waiting for
 * @throws EnvelopeError `ENVELOPE_INVALID`; `LEGACY_REFUSED` when the metadata needs a file that may not be asked for,
 *   `ENVELOPE_MISSING` when it needs one that is not there; what the request of the file fails with
 */
export async function locateEnvelope(
  config: ReadingConfig,
  lookup: LegacyLookup,
  beforeAsking: () => void = () => undefined,
): Promise<Located> {
  const { metadata = {} } = lookup;
  const found = decodeLegacyMetadata(metadata);
  if (!("needsInstructionFile" in found)) return { envelope: found, instructionFileKey: undefined };
  const { key } = lookup.target;
  const needsFile = isLegacyMetadata(metadata);
  if (config.instructionFileSuffix === undefined) {
    if (needsFile || lookup.instructionFileSuffix !== undefined) throw disabled(key);
    return { envelope: undefined, instructionFileKey: undefined };
  }
  const suffix = lookup.instructionFileSuffix ?? config.instructionFileSuffix;
  beforeAsking();
  const instructionFileKey = key + suffix;
  const file = await fileAt(lookup, instructionFileKey);
  if (file) return { envelope: decodeInstructionFile(file, found), instructionFileKey };
  if (suffix === instructionSuffix && !found.partial) {
    const oldKey = key + oldNetSuffix;
    const oldFile = await fileAt(lookup, oldKey);
    if (oldFile) return { envelope: decodeOldNetInstructionFile(oldFile, found), instructionFileKey: oldKey };
  }
  // Some clients leave no more than the length there: without its file, ciphertext would pass for plaintext.
  if (needsFile) throw missing(key, instructionFileKey, "restore that file from a version or a copy of it");
  return { envelope: undefined, instructionFileKey };
}

/** The error for an object whose envelope is in an instruction file that is not there, or for one that has none. */
export function missing(
  key: string,
  instructionFileKey: string | undefined,
  advice = 'if they were lost in a copy, restore them; for objects that are not encrypted say unencrypted: "allow"',
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
    `the envelope of "${key}" is to be read from an instruction file, and disableInstructionFile is on`,
    { details: { option: "disableInstructionFile" } },
  );
}

/** Undefined when there is no such object. No permission to see is no proof of that. */
async function fileAt(lookup: LegacyLookup, key: string): Promise<Buffer | undefined> {
  if (Buffer.byteLength(key) > maxKeyBytes) return undefined;
  let answer: ObjectResponse;
  try {
    answer = await lookup.askFor(key);
  } catch (error) {
    if (hasCode(error, "S3_NOT_FOUND")) return undefined;
    const isForbidden = hasCode(error, "S3_ACCESS_DENIED") && error.details.httpStatusCode === 403;
    throw isForbidden ? denied(error) : error;
  }
  const tooLarge = () =>
    malformed("instruction-file", "its body", `expected at most ${maxInstructionFileBytes} bytes`);
  try {
    return await readSmall(answer, maxInstructionFileBytes, tooLarge);
  } finally {
    answer.close();
  }
}

/** Whoever reads an object without metadata may never have heard of the file that is asked for. */
function denied(error: EnvelopeError): EnvelopeError {
  const why =
    "This is where the instruction file of the object would be. Without s3:ListBucket S3 denies also what is not there: " +
    "allow that, or set disableInstructionFile: true if no object has such a file";
  return withDetails(error, {}, `${error.message}. ${why}`);
}
