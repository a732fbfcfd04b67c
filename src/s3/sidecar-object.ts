/** Writes, reads and removes the sidecar object that holds an envelope. */
import {
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
} from "@aws-sdk/client-s3";
import type { Envelope } from "../envelope/envelope.js";
import { maxEnvelopeLength } from "../envelope/names.js";
import { decodeSidecar, encodeSidecar, sidecarKey } from "../envelope/sidecar.js";
import { EnvelopeError } from "../errors.js";
import { type S3Attempt, s3Error, s3Request } from "./s3-errors.js";

/** Where a sidecar is, and what requests about it must carry over from those about the object. */
export interface SidecarLocation {
  readonly Bucket: string | undefined;
  readonly Key: string;
  readonly RequestPayer?: PutObjectCommandInput["RequestPayer"];
  readonly ExpectedBucketOwner?: string | undefined;
}

/** The location of the sidecar of an object whose body starts with `header`. */
export function sidecarLocation(
  object: Omit<SidecarLocation, "Key"> & { readonly Key: string | undefined },
  header: Buffer,
): SidecarLocation {
  const { Bucket, Key = "", RequestPayer, ExpectedBucketOwner } = object;
  return { Bucket, Key: sidecarKey(Key, header), RequestPayer, ExpectedBucketOwner };
}

/** Writes a sidecar. */
export async function putSidecar(
  s3: S3Client,
  location: SidecarLocation,
  envelope: Envelope,
  signal: AbortSignal | undefined,
): Promise<void> {
  const command = new PutObjectCommand({
    ...location,
    Body: encodeSidecar(envelope),
    ContentType: "application/json",
  });
  await s3Request(attempt("PutObject", location), signal, (options) => s3.send(command, options));
}

/**
 * Reads a sidecar.
 *
 * @throws EnvelopeError `ENVELOPE_MISSING` when it is not there, `ENVELOPE_INVALID` when it is not of this object
 */
export async function getSidecar(
  s3: S3Client,
  location: SidecarLocation,
  header: Buffer,
  signal: AbortSignal | undefined,
): Promise<Envelope> {
  const command = new GetObjectCommand({ ...location, Range: `bytes=0-${maxEnvelopeLength}` });
  try {
    const text = await s3Request(attempt("GetObject", location), signal, async (options) => {
      const { Body } = await s3.send(command, options);
      return (await Body?.transformToString()) ?? "";
    });
    return decodeSidecar(text, header);
  } catch (error) {
    if (!(error instanceof EnvelopeError) || error.code !== "S3_NOT_FOUND") throw error;
    throw new EnvelopeError(
      "ENVELOPE_MISSING",
      `the object's envelope is in the sidecar "${location.Key}", which does not exist: restore it from a backup or an older version`,
      { cause: error, details: { sidecarKey: location.Key } },
    );
  }
}

/** Removes a sidecar. */
export async function deleteSidecar(s3: S3Client, location: SidecarLocation): Promise<void> {
  await s3.send(new DeleteObjectCommand(location)).catch((error: unknown) => {
    throw s3Error(error, attempt("DeleteObject", location));
  });
}

function attempt(operation: string, { Bucket = "", Key }: SidecarLocation): S3Attempt {
  return { operation, bucket: Bucket, key: Key };
}
