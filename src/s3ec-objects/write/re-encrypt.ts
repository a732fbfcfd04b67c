/** Wraps the data key of one object again, in its instruction file or in a second one; the object itself does not change. */
import { hasCode } from "../../base/errors.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { decodeInstructionFile, mayBeInstructionFile } from "../../s3ec/instruction-file.js";
import { decodeLegacyMetadata } from "../../s3ec/metadata.js";
import { type CallOptions, callOptions, withCall } from "../../transfer/call.js";
import { noEnvelope } from "../read/locate-envelope.js";
import {
  getInstructions,
  headOwner,
  putInstructions,
  type StoredInstructions,
  unchangedSince,
  type WriteCondition,
} from "./instruction-file.js";
import { requireETagOf } from "./prove-content.js";
import {
  type ReEncryptInstructionFileInput,
  type ReEncryptInstructionFileOutput,
  type ReEncryptRequest,
  reEncryptArguments,
} from "./re-encrypt-input.js";
import { notRotated, rewrapEnvelope } from "./rewrap-envelope.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/** See `LegacyWriter.reEncryptInstructionFile`. */
export async function reEncryptInstructionFile(
  config: LegacyWriterConfig,
  input: ReEncryptInstructionFileInput,
  options: CallOptions,
): Promise<ReEncryptInstructionFileOutput> {
  const checked = callOptions(legacyFieldNames.reEncryptInstructionFile.options, options);
  const request = reEncryptArguments(config, input);
  const { bucket, key } = request.target;
  return withCall({ operation: "reEncryptInstructionFile", bucket, key }, checked, ({ signal }) =>
    reEncrypt(config, request, signal),
  );
}

async function reEncrypt(
  config: LegacyWriterConfig,
  request: ReEncryptRequest,
  signal: AbortSignal,
): Promise<ReEncryptInstructionFileOutput> {
  const { target, put, from, to, suffix, enforceRotation, IfMatch } = request;
  const head = await headOwner(config, put, signal);
  requireETagOf({ ...target, operation: "HeadObject" }, head.ETag, IfMatch);
  const found = decodeLegacyMetadata(head.Metadata ?? {});
  if (!("needsInstructionFile" in found)) {
    throw notRotated("its data key is in its own metadata, which only another put of the object can change");
  }
  const stored = await getInstructions(config, from, signal);
  if (!stored) throw noEnvelope(target.key, from.Key);
  const text = await rewrapEnvelope(
    config,
    request,
    decodeInstructionFile(stored.bytes, found),
    head,
    signal,
  );
  const condition = await conditionOn(config, to, from.Key === to.Key ? stored : undefined, signal);
  try {
    await putInstructions(config, put, to, text, signal, condition);
  } catch (error) {
    signal.throwIfAborted();
    // A retry of the SDK may find the file that its own first attempt has written.
    const now = await getInstructions(config, to, signal).catch(() => undefined);
    signal.throwIfAborted();
    if (now?.bytes.toString() !== text) throw error;
  }
  return { Bucket: target.bucket, Key: target.key, instructionFileSuffix: suffix, enforceRotation };
}

/**
 * The condition of the write. The file that it replaces must be the one that was read, and must be an instruction file:
 * key and suffix may name any other object.
 */
async function conditionOn(
  config: LegacyWriterConfig,
  to: ReEncryptRequest["to"],
  read: StoredInstructions | undefined,
  signal: AbortSignal,
): Promise<WriteCondition> {
  const found = read ?? (await getInstructions(config, to, signal).catch(undefinedIfDenied));
  if (!found) return { IfNoneMatch: "*" };
  if (read || mayBeInstructionFile(found.bytes)) return unchangedSince(found, to);
  throw notRotated(
    `"${to.Key}" is not an instruction file and was not replaced: state another instructionFileSuffix`,
  );
}

/** Without permission to list the bucket, S3 denies access also to a key that does not exist. */
function undefinedIfDenied(error: unknown): undefined {
  if (!hasCode(error, "S3_ACCESS_DENIED")) throw error;
}
