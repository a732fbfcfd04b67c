/** Writes, reads and removes the sidecar object that holds an envelope. */
import type { PutObjectCommandInput, S3Client } from "@aws-sdk/client-s3";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import type { Envelope } from "../../envelope/envelope.js";
import { invalidEnvelope } from "../../envelope/metadata.js";
import { maxEnvelopeLength } from "../../envelope/names.js";
import { decodeSidecar, encodeSidecar, newSidecarKey, sidecarKey } from "../../envelope/sidecar.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import { getResponse, readSmall } from "../../s3/body/object-response.js";
import { cleanUp } from "../../s3/clean-up.js";
import { sidecarFields } from "../../s3/fields.js";
import { deleteObject, putObject } from "../../s3/requests.js";
import type { RequestConfig } from "./transfer-config.js";

/** The location of a sidecar, with the fields that its requests take from those of the object. */
export interface SidecarLocation {
  readonly Bucket: string | undefined;
  readonly Key: string;
  readonly RequestPayer?: PutObjectCommandInput["RequestPayer"];
  readonly ExpectedBucketOwner?: string | undefined;
}

/** The fields of a request about an object from which the location of its sidecar follows. */
export type SidecarOwner = Omit<SidecarLocation, "Key"> & { readonly Key: string | undefined };

/**
 * The location of the sidecar of an existing object whose body starts with `header`.
 *
 * @returns undefined when the key of the object is too long to have a sidecar in S3
 */
export function sidecarLocation(object: SidecarOwner, header: Buffer): SidecarLocation | undefined {
  const { Bucket, Key = "", RequestPayer, ExpectedBucketOwner } = object;
  const sidecar = sidecarKey(Key, header);
  return sidecar === undefined ? undefined : { Bucket, Key: sidecar, RequestPayer, ExpectedBucketOwner };
}

/**
 * The location of the sidecar of an object that is about to be written.
 *
 * @throws RangeError when the key of the object is too long to have a sidecar in S3
 */
export function newSidecarLocation(object: SidecarOwner, header: Buffer): SidecarLocation {
  const { Bucket, Key = "", RequestPayer, ExpectedBucketOwner } = object;
  return { Bucket, Key: newSidecarKey(Key, header), RequestPayer, ExpectedBucketOwner };
}

/**
 * Writes a sidecar.
 *
 * @param put the PutObject of the object that it belongs to
 * @param more further fields of the sidecar's PutObject
 * @returns its ETag
 */
export async function putSidecar(
  s3: S3Client,
  put: PutObjectCommandInput,
  location: SidecarLocation,
  text: string | Uint8Array,
  signal: AbortSignal | undefined,
  more: Pick<PutObjectCommandInput, "ContentType" | "IfMatch" | "IfNoneMatch" | "Metadata"> = {},
): Promise<string> {
  const fields = { ...sidecarFields(put), ...location, Body: text, ContentType: "application/json", ...more };
  return (await putObject(s3, fields, { signal })).ETag;
}

/**
 * Reads a sidecar.
 *
 * @param location as {@link sidecarLocation} gives it
 * @throws EnvelopeError `ENVELOPE_MISSING` when it does not exist, `ENVELOPE_INVALID` when it belongs to another object,
 *   `BODY_INTERRUPTED`, `BODY_STALLED`
 */
export async function getSidecar(
  config: RequestConfig,
  location: SidecarLocation | undefined,
  header: Buffer,
  signal: AbortSignal | undefined,
): Promise<Envelope> {
  if (!location) {
    throw new EnvelopeError(
      "ENVELOPE_MISSING",
      "the object says that its envelope is in a sidecar, but its key is too long to have one: " +
        "if it is a copy of an object with a shorter key, read that one",
    );
  }
  const { Key } = location;
  let response: ObjectResponse;
  try {
    response = await getResponse(config, { ...location }, signal);
  } catch (error) {
    if (!hasCode(error, "S3_NOT_FOUND")) throw error;
    throw new EnvelopeError(
      "ENVELOPE_MISSING",
      `the object's envelope is in the sidecar "${Key}", which does not exist: restore it from a backup or an older version`,
      { cause: error, details: { sidecarKey: Key } },
    );
  }
  try {
    const tooLarge = () => invalidEnvelope("sidecar object", `expected at most ${maxEnvelopeLength} bytes`);
    return decodeSidecar((await readSmall(response, maxEnvelopeLength, tooLarge)).toString(), header);
  } finally {
    response.close();
  }
}

/** The sidecar of a copy of an object: the same envelope, at the key that belongs to the copy. */
export async function copiedSidecar(
  config: RequestConfig,
  from: SidecarOwner,
  to: SidecarOwner,
  header: Buffer,
  signal: AbortSignal | undefined,
): Promise<{ readonly location: SidecarLocation; readonly text: string }> {
  const location = newSidecarLocation(to, header);
  const envelope = await getSidecar(config, sidecarLocation(from, header), header, signal);
  return { location, text: encodeSidecar(envelope) };
}

/** Deletes a sidecar that is no longer needed. Returns false when it may still exist. */
export function deleteSidecar(
  s3: S3Client,
  location: SidecarLocation,
  signal?: AbortSignal,
): Promise<boolean> {
  return cleanUp((options) => deleteObject(s3, location, options), signal);
}
