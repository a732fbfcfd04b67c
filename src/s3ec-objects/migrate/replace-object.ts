/** Puts a verified object in its final place: S3 copies it there in one step, if the place has not changed in the meantime. */
import { EnvelopeError } from "../../base/errors.js";
import { copiedSidecar } from "../../objects/encrypted/sidecar.js";
import { withSidecar } from "../../objects/put/sidecar-write.js";
import { ConfirmedWrite, type ConfirmedWriteOutput, findWritten } from "../../s3/confirmed-write.js";
import { copyWithin, requireUnchanged } from "../../s3/copy.js";
import { customerKeyOf } from "../../s3/fields.js";
import { stateOfKey } from "../../s3/remove-unchanged.js";
import { conditionOf, isSameETag } from "../../s3/responses.js";
import { withLeftover } from "../../transfer/call.js";
import { currentOriginal, type Migration, type NewObjectFields } from "./input.js";
import {
  describeWritten,
  hasSameSalt,
  removeWritten,
  type WrittenObject,
  withOrphanedKeys,
} from "./written-object.js";

/** A verified object under a staging key, and the place that it is copied to. */
interface Replacement {
  readonly migration: Migration;
  readonly stagedObject: WrittenObject;
  /** The fields of the object at its final place. */
  readonly fields: NewObjectFields;
}

/**
 * Copies an object to its final place, verifies that it is there, and removes the staged object.
 *
 * @returns also the keys of objects that could not be removed
 * @throws EnvelopeError `S3_PRECONDITION_FAILED` when the object to be replaced has changed, `MIGRATION_UNCONFIRMED` when
 *   another object is found in place of the copy afterwards; with `details.stagingKey` when the staged object was kept,
 *   because the copy may not be in place
 */
export async function replaceObject(
  migration: Migration,
  stagedObject: WrittenObject,
  fields: NewObjectFields,
): Promise<ConfirmedWriteOutput & { readonly orphanedKeys: readonly string[] }> {
  const { config, call } = migration;
  const replacement = { migration, stagedObject, fields };
  const commit = new ConfirmedWrite();
  try {
    const output = await copyToPlace(replacement, commit);
    return { ...output, orphanedKeys: await removeWritten(config, stagedObject) };
  } catch (error) {
    if (!commit.mayExist || (await isStagedObjectObsolete(replacement)))
      throw withOrphanedKeys(error, call, await removeWritten(config, stagedObject));
    throw withLeftover(error, call, {
      details: { stagingKey: stagedObject.Key },
      advice:
        `"${stagedObject.Key}" is the complete new object and was kept: find out whether "${fields.Key}" is a copy of ` +
        "it, then remove it",
    });
  }
}

async function copyToPlace(
  { migration, stagedObject, fields }: Replacement,
  commit: ConfirmedWrite,
): Promise<ConfirmedWriteOutput> {
  const { config, request, call, head } = migration;
  const { s3 } = config;
  const { signal } = call;
  const { Metadata, bytes, envelope } = await describeWritten(config, stagedObject, signal);
  const { encryptionContext: _context, envelopeStorage: _storage, IfMatch, ...others } = fields;
  const condition = (request.replaces ? conditionOf(head.ETag) : undefined) ?? IfMatch;
  const put = {
    ...others,
    Metadata,
    ...(condition === undefined ? { IfNoneMatch: "*" } : { IfMatch: condition }),
  };
  const sidecar =
    envelope.storage === "sidecar"
      ? await copiedSidecar(config, { ...put, Key: stagedObject.Key }, put, envelope.header, signal)
      : undefined;
  const target = { operation: "PutObject", bucket: fields.Bucket, key: fields.Key };
  const { VersionId, ETag } = stagedObject;
  const source = {
    Bucket: fields.Bucket,
    ExpectedBucketOwner: fields.ExpectedBucketOwner,
    Key: stagedObject.Key,
    VersionId,
    ETag,
    bytes,
    ...customerKeyOf(stagedObject.fields),
  };
  return withSidecar(config, { put, sidecar }, call, commit, async () => {
    const output = await copyWithin({ ...config, put, target, call, commit }, source, {
      isAlwaysByParts: true,
      async beforeCommit() {
        if (request.replaces) await requireUnchanged(config, currentOriginal(request), head, signal);
      },
    });
    // The copy has been made: the call's signal no longer ends this request, which takes bounded time and is retried once.
    const look = () => findWritten({ s3, put, signal: new AbortController().signal }, bytes);
    if (await look().catch(look)) return output;
    throw new EnvelopeError(
      "MIGRATION_UNCONFIRMED",
      `"${fields.Key}" was written, but another object is there now: another writer has overwritten it, or the store ` +
        "confirmed a write that it did not make",
      { details: { bucket: fields.Bucket, key: fields.Key } },
    );
  });
}

/** Whether the place surely holds either the copy or the object that it held before. */
async function isStagedObjectObsolete({ migration, stagedObject, fields }: Replacement): Promise<boolean> {
  const { config, request, head } = migration;
  const { Bucket, Key, RequestPayer, ExpectedBucketOwner } = fields;
  const object = { Bucket, RequestPayer, ExpectedBucketOwner, ...customerKeyOf(fields) };
  const there = await stateOfKey(config.s3, { ...object, Key });
  if (typeof there === "string") return false;
  if (request.replaces && head.ETag && there.ETag && isSameETag(there.ETag, head.ETag)) return true;
  const { VersionId } = stagedObject;
  const staged = await stateOfKey(config.s3, { ...object, Key: stagedObject.Key, VersionId });
  return typeof staged !== "string" && hasSameSalt(there, staged);
}
