/** The original of a migration: looked up before, and removed after with its instruction file. */
import { hasCode } from "../../base/errors.js";
import { deleteEncrypted } from "../../objects/delete.js";
import type { FoundObject, ObjectFormat } from "../../objects/encrypted/format.js";
import { requireUnchanged } from "../../s3/copy.js";
import { isOtherObject, lacksETag, removeUnchanged, stateOfKey } from "../../s3/remove-unchanged.js";
import { headObject } from "../../s3/requests.js";
import { withLeftover } from "../../transfer/call.js";
import type { Migration } from "./input.js";

/** The instruction file of the original, as it was when the original was read. */
export type InstructionFile = { readonly Key: string; readonly ETag: string | undefined } | undefined;

/**
 * Returns a configuration whose legacy reading records the instruction file that it finds, so that only this file is removed
 * with the original, and not a later one under the same key.
 */
export function recordInstructionFile({ config }: Pick<Migration, "config">): {
  readonly config: Migration["config"];
  instructionFile(): InstructionFile;
} {
  const { legacy } = config;
  let file: FoundObject["instructionFile"];
  const find: ObjectFormat["find"] = async (object) => {
    const found = await legacy?.find(object);
    file = found?.instructionFile;
    return found;
  };
  return {
    config: { ...config, legacy: legacy && { ...legacy, find } },
    instructionFile: () => file && { Key: file.key, ETag: file.ETag },
  };
}

/** Objects that stay after a migration. */
interface Remaining {
  /** The keys of objects that nothing needs and that could not be removed. */
  readonly orphanedKeys: readonly string[];
  /** The key of the instruction file, if older versions may need it. */
  readonly keptInstructionFileKey?: string;
}

/**
 * Removes the original if that was requested, and the instruction file of an original that has been removed or replaced.
 *
 * @param newVersionId the version of the object that has replaced the original, if it has
 */
export async function removeOriginal(
  migration: Migration,
  file: InstructionFile,
  newVersionId: string | undefined,
): Promise<Remaining> {
  const { config, request, head } = migration;
  const { Bucket, RequestPayer, ExpectedBucketOwner } = request.original;
  if (!request.replaces && !request.deletesOriginal) return { orphanedKeys: [] };
  // The version id "null" may have older versions beside it, in a bucket whose versioning is suspended.
  const hasVersions = request.replaces
    ? newVersionId !== undefined || head.VersionId !== undefined
    : await deleteOriginal(migration);
  if (!file) return { orphanedKeys: [] };
  if (hasVersions) return { orphanedKeys: [], keptInstructionFileKey: file.Key };
  const object = { Bucket, Key: file.Key, RequestPayer, ExpectedBucketOwner };
  return { orphanedKeys: await removeInstructionFile(config, object, file.ETag) };
}

/** Deletes the original. Returns whether older versions, which need the instruction file, may remain. */
async function deleteOriginal({ config, request, call, head, ETag }: Migration): Promise<boolean> {
  const { original } = request;
  const { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner } = original;
  const { signal } = call;
  try {
    // Also for a version: "null" is another object after it was overwritten, which another name of the bucket allows.
    await requireUnchanged(config, original, head, signal);
    const IfMatch = VersionId === undefined ? ETag : undefined;
    const output = await deleteEncrypted(
      { ...config, envelopeStorage: "metadata" },
      { Bucket, Key, VersionId, IfMatch, RequestPayer, ExpectedBucketOwner },
      { abortSignal: signal },
    );
    return output.VersionId !== undefined || head.VersionId !== undefined;
  } catch (error) {
    // The response was lost, or is that to a retry which finds that the first attempt has succeeded.
    if (!signal.aborted && (await isGone(config.s3, original))) return head.VersionId !== undefined;
    const { Bucket: targetBucket, Key: targetKey } = request.destination;
    throw withLeftover(error, call, {
      details: { targetBucket, targetKey },
      advice: `The object was migrated to "${targetKey}" in "${targetBucket}", but the original was not removed`,
    });
  }
}

async function isGone(
  s3: Migration["config"]["s3"],
  original: Migration["request"]["original"],
): Promise<boolean> {
  return headObject(s3, original, { isBounded: true }).then(
    () => false,
    (error: unknown) => hasCode(error, "S3_NOT_FOUND"),
  );
}

/**
 * Removes an instruction file unless it has changed.
 *
 * @returns the keys of objects that may still exist
 */
async function removeInstructionFile(
  { s3 }: Migration["config"],
  object: { readonly Bucket: string | undefined; readonly Key: string },
  ETag: string | undefined,
): Promise<readonly string[]> {
  const { Key } = object;
  // Some stores ignore conditions: there, this finds every change but one during the last request.
  const found = await stateOfKey(s3, object);
  if (found === "unknown" || lacksETag(found, ETag)) return [Key];
  if (found === "absent" || ETag === undefined || isOtherObject(found, ETag)) return [];
  return (await removeUnchanged(s3, object, ETag)) ? [] : [Key];
}
