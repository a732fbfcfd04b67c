/** If-Match of reads: stores that refuse an ETag of their own in it are found out, and the ETag is compared here. */
import {
  HeadObjectCommand,
  type HeadObjectCommandInput,
  type HeadObjectCommandOutput,
  type S3Client,
} from "@aws-sdk/client-s3";
import { quoted } from "../base/bytes.js";
import { EnvelopeError, hasCode } from "../base/errors.js";
import { expectFailure, guarded } from "../service/response-guard.js";
import { type RequestTarget, s3Request } from "./errors.js";
import { conditionOf, isSameETag } from "./responses.js";

/** The fields of a read that a question about the same object takes. */
type Read = Pick<
  HeadObjectCommandInput,
  | "Bucket"
  | "Key"
  | "VersionId"
  | "RequestPayer"
  | "ExpectedBucketOwner"
  | "SSECustomerAlgorithm"
  | "SSECustomerKey"
  | "SSECustomerKeyMD5"
  | "IfMatch"
>;

/** Clients of stores that have refused the ETag of an object that was there, with the ETag. */
const refusing = new WeakSet<S3Client>();

/**
 * Sends a read. Where the store refuses its `IfMatch` (412) though the object has that ETag, as some do when it is
 * quoted, the read is sent without, and so are the later ones of this client: the ETag in the response then tells.
 *
 * @throws EnvelopeError `S3_PRECONDITION_FAILED` when the object has another ETag
 */
export async function evaluatingIfMatch<I extends Read, O extends { readonly ETag?: string | undefined }>(
  s3: S3Client,
  input: I,
  target: RequestTarget,
  signal: AbortSignal | undefined,
  send: (input: I) => Promise<O>,
): Promise<O> {
  const { IfMatch } = input;
  if (IfMatch === undefined || !isOneETag(IfMatch)) return send(input);
  if (refusing.has(s3)) return sendWithout(input, IfMatch, target, send);
  try {
    return await send({ ...input, IfMatch: conditionOf(IfMatch) });
  } catch (error) {
    if (!isRefused(error)) throw error;
    const head = await headOf(s3, input, target, signal).catch(() => undefined);
    signal?.throwIfAborted();
    if (head?.ETag === undefined || !isSameETag(head.ETag, IfMatch)) throw error;
    const output = await sendWithout(input, IfMatch, target, send);
    refusing.add(s3);
    return output;
  }
}

async function sendWithout<I extends Read, O extends { readonly ETag?: string | undefined }>(
  input: I,
  IfMatch: string,
  target: RequestTarget,
  send: (input: I) => Promise<O>,
): Promise<O> {
  const output = await send({ ...input, IfMatch: undefined });
  if (output.ETag !== undefined && isSameETag(output.ETag, IfMatch)) return output;
  closeBody(output);
  const { operation, bucket, key } = target;
  throw new EnvelopeError(
    "S3_PRECONDITION_FAILED",
    `S3 ${operation} of ${quoted(key)} in ${quoted(bucket)} failed: the object does not have the ETag that IfMatch states`,
    { details: { ...target, httpStatusCode: 412 } },
  );
}

/** Lets go of a body that came with a response that is of no use. */
function closeBody(output: object): void {
  const { Body } = output as { Body?: { destroy?: () => void } };
  expectFailure(Body);
  Body?.destroy?.();
}

/** Whether the store says that a condition of a request does not hold. */
export function isRefused(error: unknown): boolean {
  return hasCode(error, "S3_PRECONDITION_FAILED") && error.details.httpStatusCode === 412;
}

/** Neither "*" nor a list. */
function isOneETag(value: string): boolean {
  return /^(W\/)?("[^"]*"|[^",*]+)$/.test(value.trim());
}

/** What the store says of the object without any condition. */
export function headOf(
  s3: S3Client,
  object: Read,
  target: RequestTarget,
  signal: AbortSignal | undefined,
): Promise<HeadObjectCommandOutput> {
  const { Bucket, Key, VersionId, RequestPayer, ExpectedBucketOwner } = object;
  const { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 } = object;
  const command = guarded(
    new HeadObjectCommand({
      Bucket,
      Key,
      VersionId,
      RequestPayer,
      ExpectedBucketOwner,
      SSECustomerAlgorithm,
      SSECustomerKey,
      SSECustomerKeyMD5,
    }),
  );
  const asked = { ...target, operation: "HeadObject" };
  return s3Request(asked, signal, (options) => s3.send(command, options));
}
