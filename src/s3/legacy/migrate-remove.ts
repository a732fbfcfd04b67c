/** Removes what a migration does not need any more, and tells what could not be removed. */
import { DeleteObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import { decodeEnvelope } from "../../envelope/metadata.js";
import { withinTime } from "../clean-up.js";
import { customerKeyOf } from "../fields.js";
import type { ClientSettings } from "../settings.js";
import { deleteSidecar, type SidecarLocation, sidecarLocation } from "../sidecar-object.js";
import type { WriteInput } from "../write.js";

/** An object that this call has written. */
export interface WrittenObject {
  readonly fields: WriteInput;
  readonly Key: string;
  /** Both are undefined when the answer to the write was lost. */
  readonly ETag: string | undefined;
  readonly VersionId: string | undefined;
}

/**
 * Removes an object that this call has written, and its sidecar; one that has taken its place stays.
 *
 * @returns the keys of what may still be there
 */
export async function removeWritten(
  settings: ClientSettings,
  { fields, Key, ETag, VersionId }: WrittenObject,
): Promise<readonly string[]> {
  const { s3, envelopeStorage } = settings;
  const { RequestPayer, ExpectedBucketOwner } = fields;
  const object = { Bucket: fields.Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner };
  let sidecar: SidecarLocation | undefined;
  if ((fields.envelopeStorage ?? envelopeStorage) === "sidecar") {
    const head = new HeadObjectCommand({ ...object, ...customerKeyOf(fields), IfMatch: ETag });
    const found = await withinTime((options) => s3.send(head, options)).catch(isGone);
    if (found === true) return [];
    // Removed without a look at it, it would leave a sidecar that nobody can name.
    if (found === false) return [Key];
    const stored = decodeEnvelope(found.Metadata ?? {});
    if (stored?.storage === "sidecar") sidecar = sidecarLocation(object, stored.header);
  }
  const command = new DeleteObjectCommand({ ...object, IfMatch: VersionId === undefined ? ETag : undefined });
  const removed = await withinTime((options) => s3.send(command, options)).then(() => true, isGone);
  if (!removed) return [Key];
  return sidecar && !(await deleteSidecar(s3, sidecar)) ? [sidecar.Key] : [];
}

/** Removes an instruction file unless it has changed; as {@link removeWritten}. */
export async function removeInstructionFile(
  { s3 }: ClientSettings,
  { Key, ETag, ...object }: SidecarLocation & { readonly ETag: string | undefined },
): Promise<readonly string[]> {
  const command = new DeleteObjectCommand({ ...object, Key, IfMatch: ETag });
  const removed = await withinTime((options) => s3.send(command, options)).then(() => true, isGone);
  return removed ? [] : [Key];
}

/** Whether an object could not be removed since it is not there, or another is. */
function isGone(error: unknown): boolean {
  const { $metadata } = Object(error) as { $metadata?: { httpStatusCode?: number } };
  return $metadata?.httpStatusCode === 412 || $metadata?.httpStatusCode === 404;
}
