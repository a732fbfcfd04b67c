/** Deletes one object, and its sidecar where the client keeps envelopes in sidecars. */
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

/** What `delete` takes: the input of DeleteObject, and this. */
export interface DeleteInput extends DeleteObjectCommandInput {
  /**
   * Overrides the client's setting. State "sidecar" for an object whose envelope may be in a sidecar: it costs one
   * HeadObject request, and the sidecar is removed, too. With "metadata" no sidecar is looked for.
   */
  readonly envelopeStorage?: EnvelopeStorage | undefined;
}
/** What `delete` gives: the output of DeleteObject, and this. */
export interface DeleteOutput extends DeleteObjectCommandOutput {
  /** The key of the object's sidecar, when it could not be removed after the object. Harmless: remove it later. */
  readonly orphanedSidecarKey?: string;
  /**
   * The key of the sidecar of a version that was deleted by its id. It stays, as a version that was copied from
   * that one has the same: remove it when no version has its salt.
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
  asked: DeleteObjectCommandInput,
  target: RequestTarget,
  signal: AbortSignal | undefined,
): Promise<DeleteOutput> {
  const { s3 } = config;
  const sidecar = storage === "sidecar" ? await findSidecar(config, asked, signal) : undefined;
  const output = await requests.deleteObject(s3, asked, { signal });
  await requireDeletion(config, asked, output, target, signal);
  // A delete marker hides the object only: its older version still needs the sidecar.
  if (!sidecar || output.DeleteMarker) return output;
  if (asked.VersionId !== undefined) return { ...output, possiblyOrphanedSidecarKey: sidecar.Key };
  if (await deleteSidecar(s3, sidecar, signal)) return output;
  return { ...output, orphanedSidecarKey: sidecar.Key };
}

/** Whatever stands between us and S3 can answer 200 as well: then the object is looked for. */
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
  throw unusableResponse(target, "the answer says success, but the object is there");
}

/** A sidecar that cannot be found must not keep the object from being deleted; a service that is down may. */
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
