/** Deletes one object, and its sidecar where the client keeps envelopes in sidecars. */
import {
  DeleteObjectCommand,
  type DeleteObjectCommandInput,
  type DeleteObjectCommandOutput,
  HeadObjectCommand,
} from "@aws-sdk/client-s3";
import { decodeEnvelope } from "../envelope/metadata.js";
import { EnvelopeError } from "../errors.js";
import { attemptArgument } from "./fields.js";
import { type S3Attempt, s3Request, unusableAnswer } from "./s3-errors.js";
import type { CallOptions, ClientSettings } from "./settings.js";
import { deleteSidecar, type SidecarLocation, sidecarLocation } from "./sidecar-object.js";
import { abortSignalArgument } from "./transfer-signal.js";

/** What `delete` takes: the input of DeleteObject. */
export type DeleteInput = DeleteObjectCommandInput;
/** What `delete` gives: the output of DeleteObject, and this. */
export interface DeleteOutput extends DeleteObjectCommandOutput {
  /** The key of the object's sidecar, when it could not be removed after the object. Harmless: remove it later. */
  readonly orphanedSidecarKey?: string;
}

/** See `EnvelopeClient.delete`. */
export async function deleteObject(
  settings: ClientSettings,
  input: DeleteInput,
  options: CallOptions,
): Promise<DeleteOutput> {
  const { s3 } = settings;
  const signal = abortSignalArgument(options);
  const attempt = attemptArgument("DeleteObject", input);
  const sidecar =
    settings.envelopeStorage === "sidecar" ? await findSidecar(settings, input, attempt, signal) : undefined;
  const output = await s3Request(attempt, signal, (sending) =>
    s3.send(new DeleteObjectCommand(input), sending),
  );
  const { httpStatusCode = 204, requestId } = output.$metadata ?? {};
  if (httpStatusCode !== 204 && requestId === undefined) {
    throw unusableAnswer(attempt, `status ${httpStatusCode} without a request id is no answer of an S3`);
  }
  // A delete marker hides the object only: its older version still needs the sidecar.
  if (!sidecar || output.DeleteMarker) return output;
  // So does the object that a version was copied onto.
  if (input.VersionId !== undefined) {
    const current = await findSidecar(settings, { ...input, VersionId: undefined }, attempt, signal);
    if (current?.Key === sidecar.Key) return output;
  }
  if (await deleteSidecar(s3, sidecar, signal)) return output;
  return { ...output, orphanedSidecarKey: sidecar.Key };
}

/** A sidecar that cannot be found must not keep the object from being deleted; a service that is down may. */
async function findSidecar(
  { s3 }: ClientSettings,
  input: DeleteInput,
  attempt: S3Attempt,
  signal: AbortSignal | undefined,
): Promise<SidecarLocation | undefined> {
  const { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner } = input;
  const command = new HeadObjectCommand({ Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner });
  try {
    const { Metadata } = await s3Request({ ...attempt, operation: "HeadObject" }, signal, (sending) =>
      s3.send(command, sending),
    );
    const stored = decodeEnvelope(Metadata ?? {});
    return stored?.storage === "sidecar" ? sidecarLocation(input, stored.header) : undefined;
  } catch (error) {
    if (signal?.aborted || (error instanceof EnvelopeError && error.retryable)) throw error;
    return undefined;
  }
}
