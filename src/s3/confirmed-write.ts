/** The one request that makes an object appear, and what to believe when its answer is lost. */
import {
  type CompleteMultipartUploadCommandOutput,
  HeadObjectCommand,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
  type S3Client,
} from "@aws-sdk/client-s3";
import { EnvelopeError, hasCode } from "../base/errors.js";
import { names } from "../envelope/names.js";
import { guarded } from "../service/response-guard.js";
import { withinTime } from "./clean-up.js";
import { type RequestTarget, requireETag, s3Request } from "./errors.js";
import { customerKeyOf, objectFields } from "./fields.js";
import { headOf, isRefused } from "./if-match.js";
import { isSameETag } from "./responses.js";

/** What S3 says of an object that it has just stored. */
export type ConfirmedWriteOutput = PutObjectCommandOutput | CompleteMultipartUploadCommandOutput;

/** What a commit needs to know of the write that it ends. */
export interface ConfirmedWriteInput {
  readonly s3: S3Client;
  /** The PutObject that the write amounts to, metadata complete, without body. */
  readonly put: PutObjectCommandInput;
  readonly target: RequestTarget;
  readonly signal: AbortSignal;
}

/** Remembers whether an object may have appeared, so that nothing it needs is removed after a failure. */
export class ConfirmedWrite {
  readonly #mark: string;
  #mayExist = false;

  /** @param mark the name in the metadata whose value is random, so that no other write has the same */
  constructor(mark: string = names.salt) {
    this.#mark = mark;
  }

  /** Whether the object may be there: a commit was sent and S3 did not clearly refuse it. */
  get mayExist(): boolean {
    return this.#mayExist;
  }

  /**
   * Sends a commit. When the answer is lost, or when a retry of the SDK's finds its own earlier success in the
   * way, the object is looked up and told by its mark.
   */
  async send(
    input: ConfirmedWriteInput,
    operation: string,
    size: number,
    request: (options: { abortSignal?: AbortSignal }) => Promise<ConfirmedWriteOutput>,
  ): Promise<ConfirmedWriteOutput> {
    input.signal.throwIfAborted();
    this.#mayExist = true;
    const target = { ...input.target, operation };
    try {
      const output = await s3Request(target, input.signal, request);
      requireETag(output, target);
      return output;
    } catch (error) {
      input.signal.throwIfAborted();
      const written = isAmbiguous(error) ? await findWritten(input, size, this.#mark) : undefined;
      input.signal.throwIfAborted();
      if (written) return written;
      this.#mayExist = !isRefusal(error);
      throw (await refusedForm(input, target, error)) ?? error;
    }
  }
}

/** The error for a store that refuses the condition of a write (412) though the object has the ETag that it states. */
async function refusedForm(
  { s3, put, signal }: ConfirmedWriteInput,
  target: RequestTarget,
  error: unknown,
): Promise<EnvelopeError | undefined> {
  const { IfMatch } = put;
  if (IfMatch === undefined || !(error instanceof EnvelopeError) || !isRefused(error)) return undefined;
  const head = await headOf(s3, { ...objectFields(put), ...customerKeyOf(put) }, target, signal).catch(
    () => undefined,
  );
  if (head?.ETag === undefined || !isSameETag(head.ETag, IfMatch)) return undefined;
  const { code, message, cause, details } = error;
  const why = "the object has the ETag that IfMatch states, so the store does not understand the condition";
  return new EnvelopeError(code, `${message}: ${why}`, { cause, details });
}

/** Failures after which the commit may have taken effect all the same. */
function isAmbiguous(error: unknown): boolean {
  return !isRefusal(error) || hasCode(error, "S3_PRECONDITION_FAILED");
}

/**
 * Failures by which S3 says that it has stored nothing: the answer to the only attempt. After a retry an earlier
 * attempt may have taken effect, whatever the last answer is; an upload that is gone may have been completed.
 */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof EnvelopeError)) return false;
  const { httpStatusCode: status, serviceError } = error.details;
  const { $metadata } = Object(error.cause) as { $metadata?: { attempts?: number } };
  const refused = typeof status === "number" && status >= 400 && status < 500 && status !== 408;
  // Not S3's own, as whatever stands in between answers so, too.
  if (serviceError === "DamagedResponse") return false;
  return refused && serviceError !== "NoSuchUpload" && $metadata?.attempts === 1;
}

async function findWritten(
  input: ConfirmedWriteInput,
  size: number,
  mark: string,
): Promise<ConfirmedWriteOutput | undefined> {
  try {
    return await headWritten(input, size, mark);
  } catch {
    return undefined;
  }
}

/** What S3 says of the object if it is the one that this write makes; rejects when that cannot be known. */
export async function headWritten(
  input: ConfirmedWriteInput,
  size: number,
  mark: string = names.salt,
): Promise<ConfirmedWriteOutput | undefined> {
  const { s3, put, signal } = input;
  const command = new HeadObjectCommand({ ...objectFields(put), ...customerKeyOf(put) });
  const head = await withinTime((options) => s3.send(guarded(command), options), signal);
  const value = put.Metadata?.[mark];
  if (value === undefined || head.ContentLength !== size || head.Metadata?.[mark] !== value) return undefined;
  const { $metadata, ETag, VersionId, Expiration, ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled } =
    head;
  return { $metadata, ETag, VersionId, Expiration, ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled };
}
