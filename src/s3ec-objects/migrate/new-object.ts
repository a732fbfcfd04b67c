/** Writes the new object of a migration and reads it back before anything happens to an object that exists. */
import { EnvelopeError, hasCode, withDetails } from "../../base/errors.js";
import { get } from "../../objects/get/get.js";
import { put } from "../../objects/put/put.js";
import type { PutOutput, WriteInput } from "../../objects/put/write-arguments.js";
import { type ConfirmedWriteOutput, isRefusal } from "../../s3/confirmed-write.js";
import { customerKeyOf } from "../../s3/fields.js";
import { headObject, targetOf } from "../../s3/requests.js";
import { ContentFingerprint } from "../../s3ec/content/fingerprint.js";
import { isArchive, stagingFields } from "./fields.js";
import type { Migration, NewObjectFields } from "./input.js";
import { replaceObject } from "./replace-object.js";
import { removeWritten, type WrittenObject, withOrphanedKeys } from "./written-object.js";

/** The content of the original. */
type MigrationContent = Pick<Awaited<ReturnType<typeof get>>, "Body" | "ContentLength">;

/** The response to the write, the sizes, and the keys of objects that could not be removed. */
export type NewObject = ConfirmedWriteOutput &
  Pick<PutOutput, "plaintextLength" | "ciphertextLength"> & { readonly orphanedKeys: readonly string[] };

/** Rejects if the destination exists, before the whole object is written only to be refused at its end. */
export async function requireAbsent({ config, request, call }: Migration): Promise<void> {
  const { destination, original } = request;
  if (destination.IfMatch !== undefined) return;
  const isSameBucket = destination.Bucket === original.Bucket;
  const { RequestPayer, ExpectedBucketOwner } = isSameBucket ? { ...original, ...destination } : destination;
  const { Bucket, Key } = destination;
  const input = { Bucket, Key, RequestPayer, ExpectedBucketOwner };
  const exists = await headObject(config.s3, input, { signal: call.signal }).then(
    () => true,
    (error: unknown) => {
      // Without permission to look, the condition of the write decides. After any other failure the object may exist.
      if (hasCode(error, "S3_NOT_FOUND") || hasCode(error, "S3_ACCESS_DENIED")) return false;
      throw error;
    },
  );
  if (!exists) return;
  throw new EnvelopeError(
    "S3_PRECONDITION_FAILED",
    `"${Key}" in "${Bucket}" already exists: nothing was written`,
    { details: { ...targetOf("HeadObject", { Bucket, Key }) } },
  );
}

/**
 * Writes the new object. If it is to replace an object, it is first written to a staging key, so that the object which it
 * replaces is still there should the new one turn out to be unreadable.
 */
export async function writeNewObject(
  migration: Migration,
  content: MigrationContent,
  fields: WriteInput,
): Promise<NewObject> {
  const { replaces, destination } = migration.request;
  const { Bucket, Key } = destination;
  const final = { ...fields, Bucket, Key };
  // An archived object cannot be read back.
  const isStaged = replaces || destination.IfMatch !== undefined || isArchive(fields.StorageClass);
  const first: NewObjectFields = isStaged
    ? { ...stagingFields(final), Bucket, Key: stagingKey(Key), IfMatch: undefined }
    : final;
  const { output, written } = await writeVerified(migration, content, {
    ...first,
    ...(first.IfMatch === undefined && { IfNoneMatch: "*" }),
  });
  if (!isStaged) return { ...output, orphanedKeys: [] };
  const { plaintextLength, ciphertextLength } = output;
  return { ...(await replaceObject(migration, written, final)), plaintextLength, ciphertextLength };
}

/** Writes an object that did not exist and reads it back. If that fails, the object is removed. */
async function writeVerified(
  { config, request, onProgress, call }: Migration,
  content: MigrationContent,
  fields: NewObjectFields,
): Promise<{ readonly output: PutOutput; readonly written: WrittenObject }> {
  const { Bucket, Key } = fields;
  const { target } = request;
  const options = { abortSignal: call.signal };
  const fingerprint = new ContentFingerprint();
  const isStaging = Key !== request.destination.Key;
  let output: PutOutput | undefined;
  try {
    output = await put(
      // The first byte may come only after the whole original has been read and verified; that read has its own timeout.
      { ...config, idleTimeoutMs: 0 },
      { ...fields, Body: fingerprint.of(content.Body), ContentLength: content.ContentLength },
      {
        ...options,
        onProgress:
          onProgress &&
          ((progress) =>
            onProgress({ ...progress, operation: "migrate", Bucket: target.bucket, Key: target.key })),
      },
    );
    const { VersionId, ETag } = output;
    const { RequestPayer, ExpectedBucketOwner, encryptionContext } = fields;
    const { Body } = await get(
      { ...config, legacy: undefined },
      {
        Bucket,
        Key,
        VersionId,
        IfMatch: ETag,
        RequestPayer,
        ExpectedBucketOwner,
        ...customerKeyOf(fields),
        encryptionContext,
        parallel: true,
      },
      options,
    );
    await requireSameContent(fingerprint, Body, fields);
    return { output, written: { fields, Key, VersionId, ETag, isStaging } };
  } catch (error) {
    // Without a response the object may exist all the same. Under a key that no other writer uses it can be removed.
    const mayExist = output !== undefined || (isStaging && fingerprint.hasEnded && !isRefusal(error));
    const written = { fields, Key, VersionId: output?.VersionId, ETag: output?.ETag, isStaging };
    const orphanedKeys = mayExist ? await removeWritten(config, written) : [];
    throw withOrphanedKeys(sourceError(error), call, orphanedKeys);
  }
}

/**
 * Reads a body to its end and compares it with the content of the original.
 *
 * @throws EnvelopeError `MIGRATION_UNCONFIRMED`
 */
async function requireSameContent(
  expected: ContentFingerprint,
  body: AsyncIterable<Uint8Array>,
  { Bucket, Key }: NewObjectFields,
): Promise<void> {
  const actual = new ContentFingerprint();
  for await (const _piece of actual.of(body));
  if (actual.equals(expected)) return;
  throw new EnvelopeError(
    "MIGRATION_UNCONFIRMED",
    `"${Key}" was written, but reading it returned other content than the original has: it was not used`,
    { details: { bucket: Bucket, key: Key } },
  );
}

/** Returns the original's own error if reading the original ended the write, with the leftovers of the write. */
function sourceError(error: unknown): unknown {
  if (!hasCode(error, "SOURCE_FAILED") || !(error.cause instanceof EnvelopeError)) return error;
  const { bytesRead: _bytes, ...leftover } = error.details;
  if (Object.keys(leftover).length === 0) return error.cause;
  return withDetails(error.cause, leftover);
}

/** S3 allows 1,024 bytes in a key. The suffixes of the staging key and of its sidecar take less than the rest. */
const maxStagedKeyBytes = 850;

/**
 * A key with the prefix of the object's key, so that whoever may write the object may write the staged one. Of a very long
 * key it has only the start.
 */
function stagingKey(key: string): string {
  const start = Buffer.from(key)
    .subarray(0, maxStagedKeyBytes)
    .toString()
    .replace(/\ufffd+$/, "");
  return `${start}.s3e-migrating-${crypto.randomUUID()}`;
}
