/** Deletes an object, and its sidecar if the client stores envelopes in sidecars. */
import type {
  DeleteObjectCommandInput,
  DeleteObjectCommandOutput,
  HeadObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { choiceArgument } from "../base/arguments.js";
import { EnvelopeError, hasCode } from "../base/errors.js";
import { decodeEnvelope } from "../envelope/metadata.js";
import { fieldsArgument } from "../fields/field-list.js";
import { fieldNames } from "../fields/field-names.js";
import { sdkFields } from "../fields/sdk-fields.js";
import { type RequestTarget, unusableResponse } from "../s3/errors.js";
import { targetArgument } from "../s3/fields.js";
import * as requests from "../s3/requests.js";
import { type CallOptions, callOptions, withCall } from "../transfer/call.js";
import { type ClientConfig, type EnvelopeStorage, envelopeStorages } from "./encrypted/config.js";
import { deleteSidecar, type SidecarLocation, sidecarLocation } from "./encrypted/sidecar.js";

/** The input of `delete`: that of DeleteObject, and this. */
export interface DeleteInput extends DeleteObjectCommandInput {
  /**
   * Overrides the setting of the client. State "sidecar" for an object whose envelope may be in a sidecar: one HeadObject
   * request then looks for the sidecar, which is removed as well. With "metadata" none is looked for.
   */
  readonly envelopeStorage?: EnvelopeStorage | undefined;
}

/** The output of `delete`: that of DeleteObject, and this. */
export interface DeleteOutput extends DeleteObjectCommandOutput {
  /** The key of the sidecar, if it could not be removed after the object. It is harmless: remove it later. */
  readonly orphanedSidecarKey?: string;
  /**
   * The key of the sidecar of a version that was deleted by its id. It is kept because copies of that version use it:
   * remove it when no version has its salt.
   */
  readonly possiblyOrphanedSidecarKey?: string;
}

/** See `EnvelopeClient.delete`. */
export async function deleteEncrypted(
  config: ClientConfig,
  input: DeleteInput,
  options: CallOptions,
): Promise<DeleteOutput> {
  const checked = callOptions(fieldNames.delete.options, options);
  const given = fieldsArgument<DeleteInput>(fieldNames.delete.input, input) as DeleteInput;
  const target = targetArgument("DeleteObject", given);
  const { envelopeStorage = config.envelopeStorage } = given;
  const storage = choiceArgument("envelopeStorage", envelopeStorage, envelopeStorages);
  return withCall({ ...target, operation: "delete" }, checked, ({ signal }) =>
    remove(config, storage, sdkFields(given), target, signal),
  );
}

async function remove(
  config: ClientConfig,
  storage: EnvelopeStorage,
  request: DeleteObjectCommandInput,
  target: RequestTarget,
  signal: AbortSignal | undefined,
): Promise<DeleteOutput> {
  const { s3 } = config;
  const sidecar = storage === "sidecar" ? await findSidecar(config, request, signal) : undefined;
  const output = await requests.deleteObject(s3, request, { signal });
  await requireDeletion(config, request, output, target, signal);
  // A delete marker only hides the object: its older versions still need the sidecar.
  if (!sidecar || output.DeleteMarker) return output;
  if (request.VersionId !== undefined) return { ...output, possiblyOrphanedSidecarKey: sidecar.Key };
  if (await deleteSidecar(s3, sidecar, signal)) return output;
  return { ...output, orphanedSidecarKey: sidecar.Key };
}

/**
 * Verifies a deletion: an intermediary can respond 200 as well. Such a response lacks the status and the request id of S3,
 * and a HeadObject request then looks for the object.
 */
export async function requireDeletion(
  config: Pick<ClientConfig, "s3">,
  input: DeleteObjectCommandInput,
  { $metadata }: DeleteObjectCommandOutput,
  target: RequestTarget,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { httpStatusCode = 204, requestId } = $metadata ?? {};
  if (httpStatusCode === 204 || requestId !== undefined) return;
  try {
    await headOf(config, input, signal);
  } catch (error) {
    if (hasCode(error, "S3_NOT_FOUND")) return;
    throw error;
  }
  throw unusableResponse(target, "the response reports success, but the object exists");
}

/** Finds the sidecar. A sidecar that cannot be found does not prevent the deletion; an unavailable service does. */
async function findSidecar(
  config: ClientConfig,
  input: DeleteObjectCommandInput,
  signal: AbortSignal | undefined,
): Promise<SidecarLocation | undefined> {
  try {
    const { Metadata } = await headOf(config, input, signal);
    const stored = decodeEnvelope(Metadata ?? {});
    return stored?.storage === "sidecar" ? sidecarLocation(input, stored.header) : undefined;
  } catch (error) {
    if (signal?.aborted || (error instanceof EnvelopeError && error.retryable)) throw error;
    return undefined;
  }
}

function headOf(
  { s3 }: Pick<ClientConfig, "s3">,
  { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner }: DeleteObjectCommandInput,
  signal: AbortSignal | undefined,
): Promise<HeadObjectCommandOutput> {
  return requests.headObject(s3, { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner }, { signal });
}
