/** Migrates one object of Amazon's clients into the native format: read, written, read back, and only then in its place. */

import { EnvelopeError, hasCode } from "../../base/errors.js";
import { decodeEnvelope } from "../../envelope/metadata.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { configOf, type EnvelopeClient } from "../../objects/client.js";
import type { LegacyReadInfo } from "../../objects/encrypted/format.js";
import { get } from "../../objects/get/get.js";
import type { GetOutput } from "../../objects/get/get-input.js";
import { put } from "../../objects/put/put.js";
import type { PutOutput, WriteInput } from "../../objects/put/write-arguments.js";
import { withLeftover } from "../../s3/clean-up.js";
import { ConfirmedWrite, type ConfirmedWriteOutput, isRefusal } from "../../s3/confirmed-write.js";
import { requireETag } from "../../s3/errors.js";
import { customerKeyOf } from "../../s3/fields.js";
import { headRequest } from "../../s3/head-request.js";
import { ContentFingerprint } from "../../s3ec/content/fingerprint.js";
import { aboutObject } from "../../transfer/about-object.js";
import type { TransferOptions } from "../../transfer/call-signal.js";
import { abortSignalArgument, type CallSignal, transferSignal } from "../../transfer/call-signal.js";
import { requireSame, sourceError } from "./compare.js";
import { isArchive, passingFields, taggingOf, writtenFields } from "./fields.js";
import { type Migrated, type MigrateInput, type MigrateOutput, migrateArguments } from "./input.js";
import {
  headOriginal,
  type InstructionFile,
  type MigrateCall,
  removeOriginal,
  watchedFile,
} from "./original.js";
import { removeWritten, type WrittenObject } from "./remove.js";
import { isSettled, replaceObject, requireUnchanged } from "./replacement.js";

/**
 * Brings one object of Amazon's S3 Encryption Clients into the native format, under its own key or another, with the
 * keyring of the client: content, metadata, tags, content headers, storage class, encryption by S3 and object lock. ACLs are
 * not carried over.
 *
 *     await migrateObject(envelope, { Bucket, Key, encryptionContext: { tenant: "42" } });
 *
 * The original is read under the client's legacy reading, with its policy and its limits. The new object is read back
 * whole and compared with what was read before anything happens to the original. In the original's place it is first
 * written beside it, to `<Key>.s3e-migrating-<random>`, and then copied over it by S3, on condition that the original is
 * still what was read. Elsewhere it never overwrites anything unless `target.IfMatch` says what.
 * An object that is native already is left alone, with `migrated: false`.
 *
 * `onProgress` tells of the writing. The keyring must be able to unwrap what it wraps. A call holds the connection that it
 * reads from while it writes on others: run fewer calls at a time than the S3Client has connections.
 *
 * @throws TypeError, RangeError when an argument is wrong; EnvelopeError as `get` and `put` do; `S3_PRECONDITION_FAILED` when
 *   the original was overwritten meanwhile, which stays, or when there is an object at the target; `MIGRATION_UNCONFIRMED`.
 *   `details.orphanedKeys` names what could not be removed after a failure, `details.stagingKey` what was kept since
 *   nobody knows whether its copy is in place
 */
export async function migrateObject(
  client: EnvelopeClient,
  input: MigrateInput,
  options: TransferOptions = {},
): Promise<MigrateOutput> {
  const config = configOf("client", client);
  if (!config.legacy) throw new TypeError("client: expected one with legacy reading, see legacyReading()");
  const given = fieldsArgument<TransferOptions>(legacyFieldNames.migrateObject.options, options);
  const request = migrateArguments(config, input, given);
  const transfer = transferSignal(abortSignalArgument(given));
  try {
    return await aboutObject(request.attempt, transfer, async () => {
      const head = await headOriginal(config, request, transfer.signal);
      const { Bucket = "", Key = "" } = request.original;
      if (decodeEnvelope(head.Metadata ?? {})) {
        return { migrated: false, Bucket, Key, VersionId: head.VersionId, ETag: head.ETag };
      }
      return migrate({ config, request, transfer, head, ETag: requireETag(head, request.attempt) });
    });
  } finally {
    transfer.close();
  }
}

type Content = GetOutput & { readonly legacy: LegacyReadInfo };

async function migrate(call: MigrateCall): Promise<Migrated> {
  const { config, request, transfer, head, ETag } = call;
  const { signal } = transfer;
  if (request.replaces) await requireUnchanged(config, request.original, head, signal);
  else await requireFree(call);
  const tagging = await taggingOf(config, request, head.VersionId, signal);
  const { original, expected, instructionFileSuffix } = request;
  const file = watchedFile(call);
  const content = await get(
    file.config,
    { ...original, IfMatch: ETag, encryptionContext: expected, instructionFileSuffix },
    { abortSignal: signal },
  );
  try {
    const { legacy } = content;
    if (!legacy)
      throw new Error("unreachable: get refuses what is not encrypted, and native objects are known");
    const fields = writtenFields(request, content, tagging);
    return await write(call, { ...content, legacy }, fields, file.found(legacy.instructionFileKey));
  } finally {
    content.Body.destroy();
  }
}

async function write(
  call: MigrateCall,
  content: Content,
  fields: WriteInput,
  file: InstructionFile,
): Promise<Migrated> {
  const { request } = call;
  const { Bucket, Key } = request.target;
  const final = { ...fields, Bucket, Key };
  // What is written over has to be there still if what was written cannot be read.
  const isStaged = request.replaces || request.target.IfMatch !== undefined || isArchive(fields.StorageClass);
  const first: WriteInput = isStaged
    ? { ...passingFields(final), Key: stagingKey(Key), IfMatch: undefined }
    : final;
  const { output, written } = await writeConfirmed(call, content, {
    ...first,
    ...(first.IfMatch === undefined && { IfNoneMatch: "*" }),
  });
  const placed = isStaged ? await place(call, written, final) : { ...output, orphanedKeys: [] };
  const { VersionId, ETag } = placed;
  const rest = await removeOriginal(call, file, VersionId);
  const orphanedKeys = [...placed.orphanedKeys, ...rest.orphanedKeys];
  const { authenticated, ...legacy } = content.legacy;
  return {
    migrated: true,
    Bucket,
    Key,
    VersionId,
    ETag,
    plaintextLength: output.plaintextLength,
    ciphertextLength: output.ciphertextLength,
    encryptionContext: fields.encryptionContext ?? {},
    legacy,
    authenticated: authenticated !== "never",
    ...(orphanedKeys.length > 0 && { orphanedKeys }),
    ...(rest.keptKey !== undefined && { keptInstructionFileKey: rest.keptKey }),
  };
}

/** Writes an object that did not exist, and reads it back; if that fails, it is gone again. */
async function writeConfirmed(
  { config, request, transfer }: MigrateCall,
  content: Content,
  fields: WriteInput,
): Promise<{ output: PutOutput; written: WrittenObject }> {
  const { signal } = transfer;
  const { Bucket = "", Key = "" } = fields;
  const { onProgress, attempt } = request;
  const digest = new ContentFingerprint();
  const isStaging = Key !== request.target.Key;
  let output: PutOutput | undefined;
  try {
    output = await put(
      // The first byte may come when all has been read and verified: the read has a timeout of its own.
      { ...config, idleTimeoutMs: 0 },
      { ...fields, Body: digest.of(content.Body), ContentLength: content.ContentLength },
      {
        abortSignal: signal,
        onProgress:
          onProgress &&
          ((told) => onProgress({ ...told, operation: "migrate", Bucket: attempt.bucket, Key: attempt.key })),
      },
    );
    const { VersionId, ETag } = output;
    const { Body } = await get(
      { ...config, legacy: undefined },
      {
        Bucket,
        Key,
        VersionId,
        IfMatch: ETag,
        RequestPayer: fields.RequestPayer,
        ExpectedBucketOwner: fields.ExpectedBucketOwner,
        ...customerKeyOf(fields),
        encryptionContext: fields.encryptionContext,
        parallel: true,
      },
      { abortSignal: signal },
    );
    await requireSame(digest, Body, { bucket: Bucket, key: Key });
    return { output, written: { fields, Key, VersionId, ETag, isStaging } };
  } catch (error) {
    // Without an answer the object may be there all the same: under a name that nobody else has, it is removed.
    const mayBeThere = output !== undefined || (isStaging && digest.hasEnded && !isRefusal(error));
    const written = { fields, Key, VersionId: output?.VersionId, ETag: output?.ETag, isStaging };
    const orphanedKeys = mayBeThere ? await removeWritten(config, written) : [];
    throw leftBehind(sourceError(error), transfer, orphanedKeys);
  }
}

async function place(
  { config, request, transfer, head }: MigrateCall,
  staged: WrittenObject,
  fields: WriteInput & { readonly Bucket: string; readonly Key: string },
): Promise<ConfirmedWriteOutput & { orphanedKeys: readonly string[] }> {
  const replaced = request.replaces ? { object: request.original, seen: head } : undefined;
  const placing = { staged, fields, replaced };
  const commit = new ConfirmedWrite();
  try {
    const output = await replaceObject(config, placing, transfer, commit);
    return { ...output, orphanedKeys: await removeWritten(config, staged) };
  } catch (error) {
    if (!commit.mayExist || (await isSettled(config, placing)))
      throw leftBehind(error, transfer, await removeWritten(config, staged));
    throw withLeftover(error, transfer, {
      details: { stagingKey: staged.Key },
      advice: `"${staged.Key}" holds all of it and was kept: see whether "${fields.Key}" is in place, then remove it`,
    });
  }
}

/** Tells that something is in the way before all is written to be refused at its end. */
async function requireFree({ config, request, transfer }: MigrateCall): Promise<void> {
  const { target } = request;
  if (target.IfMatch !== undefined) return;
  const isSameBucket = target.Bucket === request.original.Bucket;
  const { RequestPayer, ExpectedBucketOwner } = isSameBucket ? { ...request.original, ...target } : target;
  const { Bucket, Key } = target;
  const attempt = { operation: "HeadObject", bucket: Bucket, key: Key };
  const asked = { Bucket, Key, RequestPayer, ExpectedBucketOwner };
  const isThere = await headRequest(config, asked, transfer.signal).then(
    () => true,
    (error: unknown) => {
      // Who may not look can be told by the condition alone. Any other failure may be that of an object which is there.
      if (hasCode(error, "S3_NOT_FOUND") || hasCode(error, "S3_ACCESS_DENIED")) return false;
      throw error;
    },
  );
  if (!isThere) return;
  throw new EnvelopeError(
    "S3_PRECONDITION_FAILED",
    `there is an object at "${Key}" in "${Bucket}" already: nothing was written`,
    { details: attempt },
  );
}

function leftBehind(error: unknown, transfer: CallSignal, orphanedKeys: readonly string[]): unknown {
  if (orphanedKeys.length === 0) return error;
  return withLeftover(error, transfer, {
    details: { orphanedKeys },
    advice: `Nothing needs ${orphanedKeys.map((key) => `"${key}"`).join(", ")}, which could not be removed: remove it`,
  });
}

/** S3 allows 1,024 bytes in a key; what follows the staging key, and its sidecar's, takes less than the rest. */
const maxStagedKeyBytes = 850;

/** Beside the object, so that what may write the one may write the other; of very long keys, beside its start. */
function stagingKey(key: string): string {
  const start = Buffer.from(key)
    .subarray(0, maxStagedKeyBytes)
    .toString()
    .replace(/\ufffd+$/, "");
  return `${start}.s3e-migrating-${crypto.randomUUID()}`;
}
