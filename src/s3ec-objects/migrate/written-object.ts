/** An object that a migration has written: found, copied from and removed again with its sidecar. */
import type { HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { decodeEnvelope, type StoredEnvelope } from "../../envelope/metadata.js";
import { names } from "../../envelope/names.js";
import type { ClientConfig } from "../../objects/encrypted/config.js";
import { deleteSidecar, type SidecarLocation, sidecarLocation } from "../../objects/encrypted/sidecar.js";
import type { WriteInput } from "../../objects/put/write-arguments.js";
import { unusableResponse } from "../../s3/errors.js";
import { customerKeyOf } from "../../s3/fields.js";
import { isOtherObject, lacksETag, removeUnchanged, stateOfKey } from "../../s3/remove-unchanged.js";
import { headObject, targetOf } from "../../s3/requests.js";
import { type CallControl, withLeftover } from "../../transfer/call.js";

/** An object that this call has written. */
export interface WrittenObject {
  /** The fields that it was written with. */
  readonly fields: WriteInput;
  readonly Key: string;
  /** Undefined, like the version, when the response to the write was lost. */
  readonly ETag: string | undefined;
  readonly VersionId: string | undefined;
  /** Whether its key is random, so that no other writer uses it. */
  readonly isStaging: boolean;
}

/** The fields of every request about a written object. */
function requestFields({ fields, Key, VersionId }: Pick<WrittenObject, "fields" | "Key" | "VersionId">) {
  const { Bucket, RequestPayer, ExpectedBucketOwner } = fields;
  return { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner };
}

/** A written object as it is stored in S3. */
export interface StoredObject {
  readonly Metadata: Record<string, string>;
  /** The size of the object in bytes. */
  readonly bytes: number;
  readonly envelope: StoredEnvelope;
}

/** Looks a written object up. */
export async function describeWritten(
  { s3 }: Pick<ClientConfig, "s3">,
  written: WrittenObject,
  signal: AbortSignal,
): Promise<StoredObject> {
  const object = requestFields(written);
  const input = { ...object, IfMatch: written.ETag, ...customerKeyOf(written.fields) };
  const { Metadata = {}, ContentLength } = await headObject(s3, input, { signal });
  const envelope = decodeEnvelope(Metadata);
  if (ContentLength && envelope) return { Metadata, bytes: ContentLength, envelope };
  const target = targetOf("HeadObject", { Bucket: object.Bucket, Key: object.Key });
  throw unusableResponse(
    target,
    "its response lacks the envelope or the size of the object that was just written",
  );
}

type WithMetadata = Pick<HeadObjectCommandOutput, "Metadata">;

/** Whether two objects are copies of one: every write has another salt. */
export function hasSameSalt(one: WithMetadata, other: WithMetadata): boolean {
  const salt = one.Metadata?.[names.salt];
  return salt !== undefined && salt === other.Metadata?.[names.salt];
}

/**
 * Removes an object that this call has written, and its sidecar. An object that has replaced it stays.
 *
 * @returns the keys of objects that may still exist
 */
export async function removeWritten(
  config: ClientConfig,
  written: WrittenObject,
): Promise<readonly string[]> {
  const { s3, envelopeStorage } = config;
  const { fields, Key, ETag, VersionId, isStaging } = written;
  const object = requestFields(written);
  const input = { ...object, ...customerKeyOf(fields) };
  let sidecar: SidecarLocation | undefined;
  const isConditional = !isStaging && VersionId === undefined;
  const hasSidecar = (fields.envelopeStorage ?? envelopeStorage) === "sidecar";
  if (hasSidecar || isConditional) {
    const found = await stateOfKey(s3, input);
    if (found === "absent" || isOtherObject(found, ETag)) return [];
    // Removed without its metadata having been read, it would leave a sidecar whose key nobody knows.
    if (found === "unknown" || (isConditional && lacksETag(found, ETag))) return [Key];
    const envelope = decodeEnvelope(found.Metadata ?? {});
    if (envelope?.storage === "sidecar") sidecar = sidecarLocation(object, envelope.header);
  }
  if (!(await removeUnchanged(s3, input, isConditional ? ETag : undefined))) return [Key];
  return sidecar && !(await deleteSidecar(s3, sidecar)) ? [sidecar.Key] : [];
}

/** Adds the keys of objects that could not be removed to the error of the call. */
export function withOrphanedKeys(
  error: unknown,
  call: CallControl,
  orphanedKeys: readonly string[],
): unknown {
  if (orphanedKeys.length === 0) return error;
  return withLeftover(error, call, {
    details: { orphanedKeys },
    advice: `These objects could not be removed and are no longer needed; remove them: ${orphanedKeys
      .map((key) => `"${key}"`)
      .join(", ")}`,
  });
}
