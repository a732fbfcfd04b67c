/** The original of a migration: asked about before, and removed after, with its instruction file. */
import { HeadObjectCommand, type HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { hasCode } from "../../base/errors.js";
import { deleteObject } from "../../objects/delete.js";
import type { ClientConfig } from "../../objects/encrypted/config.js";
import type { FoundObject, ObjectFormat } from "../../objects/encrypted/format.js";
import { withinTime, withLeftover } from "../../s3/clean-up.js";
import { s3Error } from "../../s3/errors.js";
import { headRequest } from "../../s3/head-request.js";
import { guarded } from "../../service/response-guard.js";
import type { CallSignal } from "../../transfer/call-signal.js";
import type { MigrateRequest } from "./input.js";
import { removeInstructionFile } from "./remove.js";
import { requireUnchanged } from "./replacement.js";

/** One migration. */
export interface MigrateCall {
  readonly config: ClientConfig;
  readonly request: MigrateRequest;
  readonly transfer: CallSignal;
  /** The original's. */
  readonly head: HeadObjectCommandOutput;
  readonly ETag: string;
}

/** An instruction file, as it was before. */
export type InstructionFile = { readonly Key: string; readonly ETag: string | undefined } | undefined;

/** What S3 says of the original. */
export function headOriginal(
  config: ClientConfig,
  { original }: MigrateRequest,
  signal: AbortSignal,
): Promise<HeadObjectCommandOutput> {
  return headRequest(config, original, signal);
}

/**
 * Settings whose reading notes which instruction file it was that opened the original: another that comes later, of the
 * object to come, is not removed with it.
 */
export function watchedFile({ config }: Pick<MigrateCall, "config">): {
  readonly config: ClientConfig;
  found(Key: string | undefined): InstructionFile;
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
    found: (Key) => (Key === undefined ? undefined : { Key, ETag: file?.ETag }),
  };
}

/** The instruction file goes with what it belongs to. */
export async function removeOriginal(
  call: MigrateCall,
  file: InstructionFile,
  newVersionId: string | undefined,
): Promise<{ readonly orphanedKeys: readonly string[]; readonly keptKey?: string }> {
  const { config, request, head } = call;
  const { Bucket, RequestPayer, ExpectedBucketOwner } = request.original;
  if (!request.replaces && !request.deletesOriginal) return { orphanedKeys: [] };
  // Also "null" has older ones beside it: of a bucket whose versioning is suspended.
  const hasVersions = request.replaces
    ? newVersionId !== undefined || head.VersionId !== undefined
    : await deleteOriginal(call);
  if (!file) return { orphanedKeys: [] };
  if (hasVersions) return { orphanedKeys: [], keptKey: file.Key };
  const object = { Bucket, RequestPayer, ExpectedBucketOwner, ...file };
  return { orphanedKeys: await removeInstructionFile(config, object) };
}

/** Returns whether versions may be left that need the instruction file. */
async function deleteOriginal({ config, request, transfer, head, ETag }: MigrateCall): Promise<boolean> {
  const { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner } = request.original;
  const { signal } = transfer;
  try {
    // Also of a version: "null" is another once it was written over, as under another name of the same bucket.
    await requireUnchanged(config, request.original, head, signal, VersionId);
    const IfMatch = VersionId === undefined ? ETag : undefined;
    const output = await deleteObject(
      { ...config, envelopeStorage: "metadata" },
      { Bucket, Key, VersionId, IfMatch, RequestPayer, ExpectedBucketOwner },
      { abortSignal: signal },
    );
    return output.VersionId !== undefined || head.VersionId !== undefined;
  } catch (error) {
    // A lost answer, or that to a retry, which finds that the first try has done it.
    if (!signal.aborted && (await isGone(config, request.original))) return head.VersionId !== undefined;
    const { Bucket: targetBucket, Key: targetKey } = request.target;
    throw withLeftover(error, transfer, {
      details: { targetBucket, targetKey },
      advice: `It has been migrated to "${targetKey}" in "${targetBucket}"; only the original was not removed`,
    });
  }
}

async function isGone({ s3 }: ClientConfig, object: MigrateRequest["original"]): Promise<boolean> {
  return withinTime((options) => s3.send(guarded(new HeadObjectCommand(object)), options)).then(
    () => false,
    (error: unknown) =>
      hasCode(s3Error(error, { operation: "HeadObject", bucket: "", key: "" }), "S3_NOT_FOUND"),
  );
}
