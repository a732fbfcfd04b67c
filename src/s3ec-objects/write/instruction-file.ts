/** Reads and writes the instruction file of an object. */
import type { HeadObjectCommandOutput, PutObjectCommandInput } from "@aws-sdk/client-s3";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { newSuffixedKey, suffixedKey } from "../../envelope/sidecar.js";
import { putSidecar, type SidecarLocation, type SidecarOwner } from "../../objects/encrypted/sidecar.js";
import type { TransferConfig } from "../../objects/encrypted/transfer-config.js";
import { getResponse, readSmall } from "../../s3/body/object-response.js";
import { requireETag } from "../../s3/errors.js";
import { customerKeyOf, objectFields } from "../../s3/fields.js";
import { headObject, targetOf } from "../../s3/requests.js";
import { conditionOf } from "../../s3/responses.js";
import { instructionSuffix, legacyNames, maxInstructionFileBytes } from "../../s3ec/names.js";

/** An instruction file in S3. */
export interface StoredInstructions {
  readonly bytes: Buffer;
  readonly ETag: string | undefined;
  readonly ContentType: string | undefined;
  readonly Metadata: Record<string, string> | undefined;
}

/**
 * The location of the instruction file of an object that exists.
 *
 * @returns undefined when the key of the object is too long to have one in S3
 */
export function instructionLocation(object: SidecarOwner): SidecarLocation | undefined {
  const { Bucket, Key = "", RequestPayer, ExpectedBucketOwner } = object;
  const file = suffixedKey(Key, instructionSuffix);
  return file === undefined ? undefined : { Bucket, Key: file, RequestPayer, ExpectedBucketOwner };
}

/**
 * The location of an instruction file that is to be written.
 *
 * @throws RangeError when the key of the object is too long to have one
 */
export function newInstructionLocation(object: SidecarOwner, suffix = instructionSuffix): SidecarLocation {
  const { Bucket, Key = "", RequestPayer, ExpectedBucketOwner } = object;
  const file = newSuffixedKey(Key, suffix, "an instruction file");
  return { Bucket, Key: file, RequestPayer, ExpectedBucketOwner };
}

/**
 * Reads an instruction file. Resolves to undefined when there is none.
 *
 * @throws EnvelopeError `ENVELOPE_INVALID` when the object is larger than any instruction file; `BODY_*`
 */
export async function getInstructions(
  config: Pick<TransferConfig, "s3" | "idleTimeoutMs">,
  location: SidecarLocation,
  signal: AbortSignal | undefined,
): Promise<StoredInstructions | undefined> {
  const { Key } = location;
  const response = await getResponse(config, { ...location }, signal).catch((error: unknown) => {
    if (hasCode(error, "S3_NOT_FOUND")) return undefined;
    throw error;
  });
  if (!response) return undefined;
  const { ETag, ContentType, Metadata } = response.output;
  try {
    const bytes = await readSmall(response, maxInstructionFileBytes, () => notInstructions(Key));
    return { bytes, ETag, ContentType, Metadata };
  } finally {
    response.close();
  }
}

function notInstructions(key: string): EnvelopeError {
  return new EnvelopeError(
    "ENVELOPE_INVALID",
    `"${key}" is not an instruction file: it has more than ${maxInstructionFileBytes} bytes`,
    { details: { field: "instruction file", key, limit: maxInstructionFileBytes } },
  );
}

/** The conditions of a write on the object that it replaces. */
export type WriteCondition = Pick<PutObjectCommandInput, "IfMatch" | "IfNoneMatch">;

/** The condition that the file at a location is still the one that was read. */
export function unchangedSince({ ETag }: StoredInstructions, location: SidecarLocation): WriteCondition {
  return { IfMatch: conditionOf(requireETag({ ETag }, targetOf("GetObject", location))) };
}

/**
 * Writes an instruction file.
 *
 * @param put the PutObject of the object; the file takes over its access, encryption and tags
 * @returns the ETag of the file
 */
export function putInstructions(
  { s3 }: Pick<TransferConfig, "s3">,
  put: PutObjectCommandInput,
  location: SidecarLocation,
  text: string,
  signal: AbortSignal | undefined,
  condition: WriteCondition = {},
): Promise<string> {
  const Metadata = { [legacyNames.instructionFile]: "" };
  return putSidecar(s3, put, location, text, signal, { ...condition, Metadata });
}

/** Sends HeadObject for the object itself. */
export function headOwner(
  { s3 }: Pick<TransferConfig, "s3">,
  put: PutObjectCommandInput,
  signal: AbortSignal | undefined,
): Promise<HeadObjectCommandOutput> {
  return headObject(s3, { ...objectFields(put), ...customerKeyOf(put) }, { signal });
}
