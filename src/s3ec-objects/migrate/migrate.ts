/** Migrates one object of Amazon's S3 Encryption Clients to the native format: read, written, verified, and only then in its place. */

import { decodeEnvelope } from "../../envelope/metadata.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { configOf, type EnvelopeClient } from "../../objects/client.js";
import { get } from "../../objects/get/get.js";
import { requireUnchanged } from "../../s3/copy.js";
import { requireETag } from "../../s3/errors.js";
import { headObject } from "../../s3/requests.js";
import { callOptions, type TransferOptions, withCall } from "../../transfer/call.js";
import { newFields, newTagging } from "./fields.js";
import {
  currentOriginal,
  type Migrated,
  type MigrateInput,
  type MigrateOutput,
  type Migration,
  migrateArguments,
} from "./input.js";
import { requireAbsent, writeNewObject } from "./new-object.js";
import { recordInstructionFile, removeOriginal } from "./original.js";

/**
 * Migrates one object of Amazon's S3 Encryption Clients to the native format, under the same key or another, with the
 * keyring of the client. Content, metadata, tags, content headers, storage class, encryption by S3 and object lock are
 * carried over; ACLs are not.
 *
 *     await migrateObject(envelope, { Bucket, Key, encryptionContext: { tenant: "42" } });
 *
 * The original is read by the client's legacy reading, with its policy and limits. The new object is read back whole and
 * compared with the content of the original before anything happens to the original. To replace the original, the new
 * object is first written to `<Key>.s3e-migrating-<random>`; S3 then copies it over the original, if that has not changed.
 * At another key it overwrites nothing, unless `target.IfMatch` states the object to overwrite. An object that is in the
 * native format already is not changed, with `migrated: false`.
 *
 * `onProgress` reports the writing. The keyring must be able to unwrap what it wraps. A call keeps the connection that it
 * reads from while it writes on others: run fewer calls in parallel than the S3Client has connections.
 *
 * @throws TypeError, RangeError when an argument is wrong; EnvelopeError as `get` and `put` do; `S3_PRECONDITION_FAILED` when
 *   the original was overwritten in the meantime and stays, or when the target exists; `MIGRATION_UNCONFIRMED`.
 *   `details.orphanedKeys` names objects that could not be removed after a failure; `details.stagingKey` names the new
 *   object that was kept, as it is not known whether its copy has replaced the original
 */
export async function migrateObject(
  client: EnvelopeClient,
  input: MigrateInput,
  options: TransferOptions = {},
): Promise<MigrateOutput> {
  const config = configOf("client", client);
  if (!config.legacy) throw new TypeError("client: expected one with legacy reading, see legacyReading()");
  const checked = callOptions(legacyFieldNames.migrateObject.options, options);
  const request = migrateArguments(config, input);
  const { original, target } = request;
  return withCall({ ...target, operation: "migrate" }, checked, async (call) => {
    const head = await headObject(config.s3, original, { signal: call.signal });
    if (decodeEnvelope(head.Metadata ?? {})) {
      const { VersionId, ETag } = head;
      return { migrated: false, Bucket: target.bucket, Key: target.key, VersionId, ETag };
    }
    const { onProgress } = checked;
    return migrate({ config, request, onProgress, call, head, ETag: requireETag(head, target) });
  });
}

async function migrate(migration: Migration): Promise<Migrated> {
  const { config, request, call, head, ETag } = migration;
  const { original, expected, instructionFileSuffix } = request;
  if (request.replaces) await requireUnchanged(config, currentOriginal(request), head, call.signal);
  else await requireAbsent(migration);
  const tagging = await newTagging(migration);
  const recording = recordInstructionFile(migration);
  const content = await get(
    recording.config,
    { ...original, IfMatch: ETag, encryptionContext: expected, instructionFileSuffix },
    { abortSignal: call.signal },
  );
  try {
    if (!content.legacy)
      throw new Error("unreachable: get refuses objects that are not encrypted, and this one is not native");
    const fields = newFields(request, content, tagging);
    const written = await writeNewObject(migration, content, fields);
    const { authenticated, ...legacy } = content.legacy;
    const file = recording.instructionFile();
    const { keptInstructionFileKey, ...remaining } = await removeOriginal(migration, file, written.VersionId);
    const orphanedKeys = [...written.orphanedKeys, ...remaining.orphanedKeys];
    const { Bucket, Key } = request.destination;
    return {
      migrated: true,
      Bucket,
      Key,
      VersionId: written.VersionId,
      ETag: written.ETag,
      plaintextLength: written.plaintextLength,
      ciphertextLength: written.ciphertextLength,
      encryptionContext: fields.encryptionContext ?? {},
      legacy,
      authenticated: authenticated !== "never",
      ...(orphanedKeys.length > 0 && { orphanedKeys }),
      ...(keptInstructionFileKey !== undefined && { keptInstructionFileKey }),
    };
  } finally {
    content.Body.destroy();
  }
}
