/** The request that makes an object appear, and how to find out whether it did when its response is lost. */
import type {
  CompleteMultipartUploadCommandOutput,
  PutObjectCommandInput,
  PutObjectCommandOutput,
  S3Client,
} from "@aws-sdk/client-s3";
import { EnvelopeError, hasCode } from "../base/errors.js";
import { names } from "../envelope/names.js";
import { customerKeyOf, objectFields } from "./fields.js";
import { isRefused } from "./if-match.js";
import { headObject, type RequestOptions } from "./requests.js";
import { isSameETag } from "./responses.js";

/** The response to a request that made an object appear. */
export type ConfirmedWriteOutput = PutObjectCommandOutput | CompleteMultipartUploadCommandOutput;

/** The write that a request completes. */
export interface ConfirmedWriteInput {
  readonly s3: S3Client;
  /** The PutObject that the write amounts to, metadata complete, without body. */
  readonly put: PutObjectCommandInput;
  readonly signal: AbortSignal;
}

/** Remembers whether an object may have appeared, so that nothing it needs is removed after a failure. */
export class ConfirmedWrite {
  readonly #mark: string;
  #mayExist = false;

  /** @param mark the metadata name whose value is random, so that no two writes have the same */
  constructor(mark: string = names.salt) {
    this.#mark = mark;
  }

  /** Whether the object may exist: the request was sent and S3 did not clearly refuse it. */
  get mayExist(): boolean {
    return this.#mayExist;
  }

  /**
   * Sends the request that makes the object appear. If its response is lost, or if a retry of the SDK finds the success of
   * an earlier attempt in the way, the object is looked up and identified by its mark.
   */
  async write(
    input: ConfirmedWriteInput,
    size: number,
    request: (options: RequestOptions) => Promise<ConfirmedWriteOutput>,
  ): Promise<ConfirmedWriteOutput> {
    const { signal } = input;
    signal.throwIfAborted();
    this.#mayExist = true;
    try {
      return await request({ signal });
    } catch (error) {
      signal.throwIfAborted();
      const written = isAmbiguous(error)
        ? await findWritten(input, size, this.#mark).catch(() => undefined)
        : undefined;
      signal.throwIfAborted();
      if (written) return written;
      this.#mayExist = !isRefusal(error);
      throw (await misunderstoodCondition(input, error)) ?? error;
    }
  }
}

/** The error for a store that refuses the condition of a write (412) though the object has the ETag that it states. */
async function misunderstoodCondition(
  { s3, put, signal }: ConfirmedWriteInput,
  error: unknown,
): Promise<EnvelopeError | undefined> {
  const { IfMatch } = put;
  if (IfMatch === undefined || !(error instanceof EnvelopeError) || !isRefused(error)) return undefined;
  const object = { ...objectFields(put), ...customerKeyOf(put) };
  const head = await headObject(s3, object, { signal }).catch(() => undefined);
  if (head?.ETag === undefined || !isSameETag(head.ETag, IfMatch)) return undefined;
  const { code, message, cause, details } = error;
  const why = "the object has the ETag that IfMatch states, so the store does not understand the condition";
  return new EnvelopeError(code, `${message}: ${why}`, { cause, details });
}

/** Whether the object may exist in spite of this failure. */
function isAmbiguous(error: unknown): boolean {
  return !isRefusal(error) || hasCode(error, "S3_PRECONDITION_FAILED");
}

/**
 * Whether S3 says by this failure that it has stored nothing. Only the response to the only attempt does: after a retry an
 * earlier attempt may have taken effect, whatever the last response is, and an upload that is gone may have been completed.
 */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof EnvelopeError)) return false;
  const { httpStatusCode: status, serviceError } = error.details;
  const { $metadata } = Object(error.cause) as { $metadata?: { attempts?: number } };
  const isClientError = typeof status === "number" && status >= 400 && status < 500 && status !== 408;
  // Not from S3: a proxy or a load balancer responds like this, too.
  if (serviceError === "DamagedResponse") return false;
  return isClientError && serviceError !== "NoSuchUpload" && $metadata?.attempts === 1;
}

/**
 * Looks up the object that a write makes, in bounded time.
 *
 * @returns undefined when another object is there
 * @throws EnvelopeError when that cannot be known, `S3_NOT_FOUND` when no object is there
 */
export async function findWritten(
  { s3, put, signal }: ConfirmedWriteInput,
  size: number,
  mark: string = names.salt,
): Promise<ConfirmedWriteOutput | undefined> {
  const object = { ...objectFields(put), ...customerKeyOf(put) };
  const head = await headObject(s3, object, { signal, isBounded: true });
  const value = put.Metadata?.[mark];
  if (value === undefined || head.ContentLength !== size || head.Metadata?.[mark] !== value) return undefined;
  const { $metadata, ETag, VersionId, Expiration, ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled } =
    head;
  return { $metadata, ETag, VersionId, Expiration, ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled };
}
