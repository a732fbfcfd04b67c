/** Deletes one object that an S3 Encryption Client wrote, and its instruction file. */
import {
  DeleteObjectCommand,
  type DeleteObjectCommandInput,
  type DeleteObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { requireDeletion } from "../../objects/delete.js";
import { deleteSidecar } from "../../objects/encrypted/sidecar.js";
import { type RequestTarget, s3Request } from "../../s3/errors.js";
import { targetArgument } from "../../s3/fields.js";
import { guarded } from "../../service/response-guard.js";
import { aboutObject } from "../../transfer/about-object.js";
import type { CallOptions } from "../../transfer/call-signal.js";
import { callSignal, reasonOf } from "../../transfer/call-signal.js";
import { instructionLocation } from "../read/instruction-object.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/** What `delete` takes: the input of DeleteObject. */
export type LegacyDeleteInput = DeleteObjectCommandInput;
/** What `delete` gives: the output of DeleteObject, and this. */
export interface LegacyDeleteOutput extends DeleteObjectCommandOutput {
  /** The key of the instruction file, if there was one, when it could not be removed after the object. */
  readonly orphanedInstructionFileKey?: string;
}

/** See `LegacyWriter.delete`. */
export async function deleteLegacy(
  config: LegacyWriterConfig,
  input: LegacyDeleteInput,
  options: CallOptions,
): Promise<LegacyDeleteOutput> {
  const signal = callSignal(legacyFieldNames.delete.options, options);
  const given = fieldsArgument<LegacyDeleteInput>(legacyFieldNames.delete.input, input) as LegacyDeleteInput;
  const target = targetArgument("DeleteObject", given);
  return aboutObject(target, reasonOf(signal), () => remove(config, given, target, signal));
}

async function remove(
  config: LegacyWriterConfig,
  given: LegacyDeleteInput,
  target: RequestTarget,
  signal: AbortSignal | undefined,
): Promise<LegacyDeleteOutput> {
  const { s3 } = config;
  const output = await s3Request(target, signal, (sending) =>
    s3.send(guarded(new DeleteObjectCommand({ ...given })), sending),
  );
  await requireDeletion(config, given, output, target, signal);
  // The file is that of all versions: which of its own versions goes with which of the object's nobody can tell.
  if (given.VersionId !== undefined) return output;
  const location = instructionLocation(given);
  if (!location || (await deleteSidecar(s3, location, signal))) return output;
  return { ...output, orphanedInstructionFileKey: location.Key };
}
