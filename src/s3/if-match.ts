/** If-Match of reads. Some stores refuse the very ETag that they gave an object: for those the ETag is compared here. */
import type { HeadObjectCommandInput, HeadObjectCommandOutput, S3Client } from "@aws-sdk/client-s3";
import { quoted } from "../base/bytes.js";
import { EnvelopeError, hasCode } from "../base/errors.js";
import { expectFailure } from "../service/response-guard.js";
import type { RequestTarget } from "./errors.js";
import type { ReadFields } from "./fields.js";
import { conditionOf, isSameETag } from "./responses.js";

/** The fields of a read that a HeadObject of the same object takes, and the condition. */
type ConditionalRead = ReadFields & Pick<HeadObjectCommandInput, "IfMatch">;

/** The two requests that {@link evaluatingIfMatch} may send. */
interface ReadRequests<I, O> {
  readonly read: (input: I) => Promise<O>;
  readonly head: (object: ReadFields) => Promise<HeadObjectCommandOutput>;
  readonly signal: AbortSignal | undefined;
}

/** Clients of stores that have refused an ETag while the object had it. */
const refusing = new WeakSet<S3Client>();

/**
 * Sends a read. If the store refuses its `IfMatch` (412) though the object has that ETag, as some stores do when it is
 * quoted, the read is sent without it, and so are later reads of this client. The ETag of the response is compared instead.
 *
 * @throws EnvelopeError `S3_PRECONDITION_FAILED` when the object has another ETag
 */
export async function evaluatingIfMatch<
  I extends ConditionalRead,
  O extends { readonly ETag?: string | undefined },
>(s3: S3Client, input: I, target: RequestTarget, { read, head, signal }: ReadRequests<I, O>): Promise<O> {
  const { IfMatch } = input;
  if (IfMatch === undefined || !isOneETag(IfMatch)) return read({ ...input });
  if (refusing.has(s3)) return readAndCompare(input, IfMatch, target, read);
  try {
    return await read({ ...input, IfMatch: conditionOf(IfMatch) });
  } catch (error) {
    if (!isRefused(error)) throw error;
    const { ETag } = await head(unconditional(input)).catch(() => ({ ETag: undefined }));
    signal?.throwIfAborted();
    if (ETag === undefined || !isSameETag(ETag, IfMatch)) throw error;
    const output = await readAndCompare(input, IfMatch, target, read);
    refusing.add(s3);
    return output;
  }
}

function unconditional(input: ConditionalRead): ReadFields {
  const { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner } = input;
  const { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 } = input;
  const customerKey = { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 };
  return { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner, ...customerKey };
}

async function readAndCompare<I extends ConditionalRead, O extends { readonly ETag?: string | undefined }>(
  input: I,
  IfMatch: string,
  target: RequestTarget,
  read: (input: I) => Promise<O>,
): Promise<O> {
  const output = await read({ ...input, IfMatch: undefined });
  if (output.ETag !== undefined && isSameETag(output.ETag, IfMatch)) return output;
  closeBody(output);
  const { operation, bucket, key } = target;
  throw new EnvelopeError(
    "S3_PRECONDITION_FAILED",
    `S3 ${operation} of ${quoted(key)} in ${quoted(bucket)} failed: the object does not have the ETag that IfMatch states`,
    { details: { ...target, httpStatusCode: 412 } },
  );
}

/** Closes the body of a response that is not used. */
function closeBody(output: object): void {
  const { Body } = output as { Body?: { destroy?: () => void } };
  expectFailure(Body);
  Body?.destroy?.();
}

/** Whether the store says that a condition of a request does not hold. */
export function isRefused(error: unknown): boolean {
  return hasCode(error, "S3_PRECONDITION_FAILED") && error.details.httpStatusCode === 412;
}

/** Whether it is neither "*" nor a list. */
function isOneETag(value: string): boolean {
  return /^(W\/)?("[^"]*"|[^",*]+)$/.test(value.trim());
}
