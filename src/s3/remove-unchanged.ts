/** Removes objects of a call that has failed or ended, unless another writer has replaced them. Never throws. */
import type { HeadObjectCommandInput, HeadObjectCommandOutput, S3Client } from "@aws-sdk/client-s3";
import { EnvelopeError } from "../base/errors.js";
import { deleteObject, headObject } from "./requests.js";
import { conditionOf, isSameETag } from "./responses.js";

/** The state of a key: "absent" when it has no object, "unknown" when that could not be found out. */
export type KeyState = Pick<HeadObjectCommandOutput, "ETag" | "Metadata"> | "absent" | "unknown";

/** Looks an object up, in bounded time. The request has no condition, which some stores would refuse. */
export async function stateOfKey(s3: S3Client, object: HeadObjectCommandInput): Promise<KeyState> {
  try {
    return await headObject(s3, object, { isBounded: true });
  } catch (error) {
    return statusOf(error) === 404 ? "absent" : "unknown";
  }
}

/** Whether the object that was found is another one than that with the given ETag. */
export function isOtherObject(found: KeyState, ETag: string | undefined): boolean {
  if (typeof found === "string") return false;
  return ETag !== undefined && found.ETag !== undefined && !isSameETag(found.ETag, ETag);
}

/** Whether the object that was found cannot be compared: the store gave an ETag before, and gives none now. */
export function lacksETag(found: KeyState, ETag: string | undefined): boolean {
  return typeof found !== "string" && ETag !== undefined && found.ETag === undefined;
}

/**
 * Removes an object, in bounded time.
 *
 * @param ETag if stated, an object with another ETag stays
 * @returns false when the object may still exist
 */
export async function removeUnchanged(
  s3: S3Client,
  object: HeadObjectCommandInput,
  ETag: string | undefined,
): Promise<boolean> {
  const { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner } = object;
  const IfMatch = conditionOf(ETag);
  try {
    const input = { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner, IfMatch };
    await deleteObject(s3, input, { isBounded: true });
    return true;
  } catch (error) {
    if (statusOf(error) !== 412) return statusOf(error) === 404;
    // Another object is there, or the store does not understand the condition.
    const found = await stateOfKey(s3, object);
    return found === "absent" || isOtherObject(found, ETag);
  }
}

function statusOf(error: unknown): unknown {
  return error instanceof EnvelopeError ? error.details.httpStatusCode : undefined;
}
