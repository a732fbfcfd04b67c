/** Reads, writes and removes the instruction file of an object. */
import type { HeadObjectCommandOutput, PutObjectCommandInput } from "@aws-sdk/client-s3";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { newSuffixedKey, suffixedKey } from "../../envelope/sidecar.js";
import type { TransferConfig } from "../../objects/encrypted/config.js";
import { putSidecar, type SidecarLocation, type SidecarOwner } from "../../objects/encrypted/sidecar.js";
import { getResponse, readSmall } from "../../s3/body/object-response.js";
import { customerKeyOf, objectFields } from "../../s3/fields.js";
import { headRequest } from "../../s3/head-request.js";
import { instructionSuffix, legacyNames, maxInstructionFileBytes } from "../../s3ec/names.js";

/** An instruction file as S3 has it. */
export interface StoredInstructions {
  readonly bytes: Buffer;
  readonly ETag: string | undefined;
  readonly ContentType: string | undefined;
  readonly Metadata: Record<string, string> | undefined;
}

/**
 * The location of the instruction file of an object that is there.
 *
 * @returns undefined when the object's key leaves no room for one in S3
 */
export function instructionLocation(object: SidecarOwner): SidecarLocation | undefined {
  const { Bucket, Key = "", RequestPayer, ExpectedBucketOwner } = object;
  const file = suffixedKey(Key, instructionSuffix);
  return file === undefined ? undefined : { Bucket, Key: file, RequestPayer, ExpectedBucketOwner };
}

/**
 * The location of an instruction file that is about to be written.
 *
 * @throws RangeError when the object's key leaves no room for one
 */
export function newInstructionLocation(object: SidecarOwner, suffix = instructionSuffix): SidecarLocation {
  const { Bucket, Key = "", RequestPayer, ExpectedBucketOwner } = object;
  const file = newSuffixedKey(Key, suffix, "an instruction file");
  return { Bucket, Key: file, RequestPayer, ExpectedBucketOwner };
}

/**
 * Reads an instruction file; undefined when there is none.
 *
 * @throws EnvelopeError `ENVELOPE_INVALID` when what is there is larger than any instruction file; `BODY_*`
 */
export async function getInstructions(
  config: Pick<TransferConfig, "s3" | "idleTimeoutMs">,
  location: SidecarLocation,
  signal: AbortSignal | undefined,
): Promise<StoredInstructions | undefined> {
  const { Key } = location;
  const answer = await getResponse(config, { ...location }, signal).catch((error: unknown) => {
    if (hasCode(error, "S3_NOT_FOUND")) return undefined;
    throw error;
  });
  if (!answer) return undefined;
  const { ETag, ContentType, Metadata } = answer.output;
  try {
    const bytes = await readSmall(answer, maxInstructionFileBytes, () => notInstructions(Key));
    return { bytes, ETag, ContentType, Metadata };
  } finally {
    answer.close();
  }
}

function notInstructions(key: string): EnvelopeError {
  return new EnvelopeError(
    "ENVELOPE_INVALID",
    `"${key}" is no instruction file: it has more than ${maxInstructionFileBytes} bytes`,
    { details: { field: "instruction file", key, limit: maxInstructionFileBytes } },
  );
}

/**
 * Writes an instruction file.
 *
 * @param put whose fields on access, encryption and tags it takes
 * @param condition on the file that is there
 * @returns its ETag
 */
export function putInstructions(
  { s3 }: Pick<TransferConfig, "s3">,
  put: PutObjectCommandInput,
  location: SidecarLocation,
  text: string,
  signal: AbortSignal | undefined,
  condition: Pick<PutObjectCommandInput, "IfMatch" | "IfNoneMatch"> = {},
): Promise<string> {
  const Metadata = { [legacyNames.instructionFile]: "" };
  return putSidecar(s3, put, location, text, signal, { ...condition, Metadata });
}

/** What S3 says of the object itself. */
export function headObject(
  config: Pick<TransferConfig, "s3">,
  put: PutObjectCommandInput,
  signal: AbortSignal | undefined,
): Promise<HeadObjectCommandOutput> {
  return headRequest(config, { ...objectFields(put), ...customerKeyOf(put) }, signal);
}
