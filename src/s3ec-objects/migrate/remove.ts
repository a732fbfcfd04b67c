/** Removes what a migration does not need any more, and tells what could not be removed. */
import {
  DeleteObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandInput,
  type HeadObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { decodeEnvelope } from "../../envelope/metadata.js";
import type { ClientConfig } from "../../objects/encrypted/config.js";
import { deleteSidecar, type SidecarLocation, sidecarLocation } from "../../objects/encrypted/sidecar.js";
import type { WriteInput } from "../../objects/put/write-arguments.js";
import { withinTime } from "../../s3/clean-up.js";
import { customerKeyOf } from "../../s3/fields.js";
import { conditionOf, isSameETag } from "../../s3/responses.js";
import { guarded } from "../../service/response-guard.js";

/** An object that this call has written. */
export interface WrittenObject {
  readonly fields: WriteInput;
  readonly Key: string;
  /** Both are undefined when the answer to the write was lost. */
  readonly ETag: string | undefined;
  readonly VersionId: string | undefined;
  /** Whether its name is one that nobody else has. */
  readonly isStaging: boolean;
}

/**
 * Removes an object that this call has written, and its sidecar; one that has taken its place stays.
 *
 * @returns the keys of what may still be there
 */
export async function removeWritten(
  config: ClientConfig,
  { fields, Key, ETag, VersionId, isStaging }: WrittenObject,
): Promise<readonly string[]> {
  const { s3, envelopeStorage } = config;
  const { RequestPayer, ExpectedBucketOwner } = fields;
  const object = { Bucket: fields.Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner };
  let sidecar: SidecarLocation | undefined;
  const isConditional = !isStaging && VersionId === undefined;
  const hasSidecar = (fields.envelopeStorage ?? envelopeStorage) === "sidecar";
  if (hasSidecar || isConditional) {
    const found = await look(s3, { ...object, ...customerKeyOf(fields) });
    if (found === true || (found !== false && isOther(found, ETag))) return [];
    // Removed without a look at it, it would leave a sidecar that nobody can name.
    if (found === false || (isConditional && isUntold(found, ETag))) return [Key];
    const stored = decodeEnvelope(found.Metadata ?? {});
    if (stored?.storage === "sidecar") sidecar = sidecarLocation(object, stored.header);
  }
  if (!(await removeIf(s3, { ...object, ...customerKeyOf(fields) }, isConditional ? ETag : undefined)))
    return [Key];
  return sidecar && !(await deleteSidecar(s3, sidecar)) ? [sidecar.Key] : [];
}

/** Removes an instruction file unless it has changed; as {@link removeWritten}. */
export async function removeInstructionFile(
  { s3 }: ClientConfig,
  { Key, ETag, ...object }: SidecarLocation & { readonly ETag: string | undefined },
): Promise<readonly string[]> {
  const file = { ...object, Key };
  // Some stores pass conditions over: then this keeps at least what came in all the time before.
  const found = await look(s3, file);
  if (found === false || (found !== true && isUntold(found, ETag))) return [Key];
  if (found === true || ETag === undefined || isOther(found, ETag)) return [];
  return (await removeIf(s3, file, ETag)) ? [] : [Key];
}

type Found = Pick<HeadObjectCommandOutput, "ETag" | "Metadata">;

/** What is there; true when nothing is, false when that cannot be known. Without a condition, which some stores refuse. */
function look(s3: ClientConfig["s3"], object: HeadObjectCommandInput): Promise<Found | boolean> {
  return withinTime((options) => s3.send(guarded(new HeadObjectCommand(object)), options)).catch(
    (error: unknown) => statusOf(error) === 404,
  );
}

function isOther(found: Found, ETag: string | undefined): boolean {
  return ETag !== undefined && found.ETag !== undefined && !isSameETag(found.ETag, ETag);
}

/** Whether nobody can tell if it is another: the store has given it an ETag before, and gives none now. */
function isUntold(found: Found, ETag: string | undefined): boolean {
  return ETag !== undefined && found.ETag === undefined;
}

/** Removes an object, if it has this ETag; false when it may still be there. */
async function removeIf(
  s3: ClientConfig["s3"],
  object: HeadObjectCommandInput,
  ETag: string | undefined,
): Promise<boolean> {
  const { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner } = object;
  const asked = { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner, IfMatch: conditionOf(ETag) };
  const command = guarded(new DeleteObjectCommand(asked));
  try {
    await withinTime((options) => s3.send(command, options));
    return true;
  } catch (error) {
    if (statusOf(error) !== 412) return statusOf(error) === 404;
    // Another is there; or the store refuses the condition for its form.
    const now = await look(s3, object);
    return now === true || (now !== false && isOther(now, ETag));
  }
}

function statusOf(error: unknown): number | undefined {
  return (Object(error) as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}
