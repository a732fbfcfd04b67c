/** Deletes one object that an S3 Encryption Client wrote, and its instruction file. */
import type { DeleteObjectCommandInput, DeleteObjectCommandOutput } from "@aws-sdk/client-s3";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { requireDeletion } from "../../objects/delete.js";
import { deleteSidecar } from "../../objects/encrypted/sidecar.js";
import { targetArgument } from "../../s3/fields.js";
import { deleteObject } from "../../s3/requests.js";
import { type CallOptions, callOptions, withCall } from "../../transfer/call.js";
import { instructionLocation } from "./instruction-file.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/** Input of `LegacyWriter.delete`: the input of DeleteObject. */
export type LegacyDeleteInput = DeleteObjectCommandInput;

/** Output of `LegacyWriter.delete`: the output of DeleteObject, and the following. */
export interface LegacyDeleteOutput extends DeleteObjectCommandOutput {
  /** The key of the instruction file, if there was one and it could not be removed after the object. */
  readonly orphanedInstructionFileKey?: string;
}

/** See `LegacyWriter.delete`. */
export async function deleteLegacy(
  config: LegacyWriterConfig,
  input: LegacyDeleteInput,
  options: CallOptions,
): Promise<LegacyDeleteOutput> {
  const checked = callOptions(legacyFieldNames.delete.options, options);
  const given = fieldsArgument<LegacyDeleteInput>(legacyFieldNames.delete.input, input) as LegacyDeleteInput;
  const target = targetArgument("DeleteObject", given);
  return withCall({ ...target, operation: "delete" }, checked, async ({ signal }) => {
    const output = await deleteObject(config.s3, given, { signal });
    await requireDeletion(config, given, output, target, signal);
    // All versions of an object share one instruction file.
    if (given.VersionId !== undefined) return output;
    const location = instructionLocation(given);
    if (!location || (await deleteSidecar(config.s3, location, signal))) return output;
    return { ...output, orphanedInstructionFileKey: location.Key };
  });
}
