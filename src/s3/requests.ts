/**
 * Every request to S3: one function for each operation, which builds its command. All of them pass through {@link send},
 * the one place that guards responses, maps errors, observes the signal and limits the time.
 */
import {
  AbortMultipartUploadCommand,
  type AbortMultipartUploadCommandInput,
  type AbortMultipartUploadCommandOutput,
  type $Command as Command,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  type CompleteMultipartUploadCommandOutput,
  CopyObjectCommand,
  type CopyObjectCommandInput,
  type CopyObjectCommandOutput,
  type CopyPartResult,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  type CreateMultipartUploadCommandOutput,
  DeleteObjectCommand,
  type DeleteObjectCommandInput,
  type DeleteObjectCommandOutput,
  GetObjectCommand,
  type GetObjectCommandInput,
  type GetObjectCommandOutput,
  GetObjectTaggingCommand,
  type GetObjectTaggingCommandInput,
  type GetObjectTaggingCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandInput,
  type HeadObjectCommandOutput,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type ListPartsCommandInput,
  type ListPartsCommandOutput,
  PutObjectCommand,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
  type S3Client,
  type S3ClientResolvedConfig,
  type ServiceInputTypes,
  type ServiceOutputTypes,
  UploadPartCommand,
  type UploadPartCommandInput,
  type UploadPartCommandOutput,
  UploadPartCopyCommand,
  type UploadPartCopyCommandInput,
} from "@aws-sdk/client-s3";
import { untilAborted, withOwnSignal } from "../base/abort.js";
import { type GuardOptions, guarded } from "../service/response-guard.js";
import { withinTime } from "./clean-up.js";
import { type RequestTarget, requireETag, s3Error, unusableResponse } from "./errors.js";
import { evaluatingIfMatch } from "./if-match.js";

/** Options of a request. */
export interface RequestOptions {
  /** Ends the request, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Limits the request to 10 seconds, its retries included. For requests that clean up after a failed call, or that
   * find out its effect.
   */
  readonly isBounded?: boolean | undefined;
}

/** Observes the attempts of a request, of which the SDK makes several when it retries. */
export interface AttemptObserver {
  /** Called before an attempt is sent. */
  readonly onSend?: () => void;
  /** Called with the response to an attempt as the handler of the client gives it. It may replace the body. */
  readonly onResponse?: (response: AttemptResponse) => void;
}

/** The response to one attempt, as the handlers of the SDK make it. */
export interface AttemptResponse {
  readonly statusCode?: number;
  readonly headers?: Readonly<Record<string, string>>;
  body?: unknown;
}

/** The output of a request that stores something, with the ETag of what was stored. */
export type WithETag<O> = O & { readonly ETag: string };

/** The fields of inputs from which {@link targetOf} is made. */
interface TargetFields {
  readonly Bucket?: string | undefined;
  readonly Key?: string | undefined;
  readonly Range?: string | undefined;
  readonly PartNumber?: number | undefined;
}

/** Makes the description of a request, for errors and observers, from its input. */
export function targetOf(
  operation: string,
  { Bucket = "", Key = "", Range, PartNumber }: TargetFields,
): RequestTarget {
  return {
    operation,
    bucket: Bucket,
    key: Key,
    ...(Range !== undefined && { range: Range }),
    ...(PartNumber !== undefined && { partNumber: PartNumber }),
  };
}

/**
 * Sends a command. All requests to S3 pass through this function.
 *
 * @throws EnvelopeError with the SDK's error as its cause; the reason of the signal, at once: the SDK does not observe it
 *   while it waits for credentials
 */
async function send<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
  s3: S3Client,
  target: RequestTarget,
  command: Command<I, O, S3ClientResolvedConfig>,
  { signal, isBounded = false }: RequestOptions,
  { observer, ...guard }: GuardOptions & { readonly observer?: AttemptObserver | undefined } = {},
): Promise<O> {
  signal?.throwIfAborted();
  guarded(command, guard);
  // After the guard, so that the observer sees the response first.
  if (observer) observeAttempts(command, observer);
  const attempt = (options: { abortSignal?: AbortSignal }) => s3.send(command, options);
  try {
    if (isBounded) return await withinTime(attempt, signal);
    if (!signal) return await attempt({});
    return await withOwnSignal(signal, (own) => untilAborted(own, attempt({ abortSignal: own })));
  } catch (error) {
    signal?.throwIfAborted();
    throw s3Error(error, target);
  }
}

type Handler = (args: never) => Promise<{ response: unknown }>;

function observeAttempts(command: object, { onSend, onResponse }: AttemptObserver): void {
  const { middlewareStack } = command as {
    middlewareStack: { add(middleware: (next: Handler) => Handler, options: object): void };
  };
  middlewareStack.add(
    (next) => async (args) => {
      onSend?.();
      const result = await next(args);
      onResponse?.(Object(result.response) as AttemptResponse);
      return result;
    },
    // The last before the handler.
    { step: "deserialize", priority: "low", name: "observeAttempts" },
  );
}

/**
 * Sends GetObject. The caller reads or closes the body.
 *
 * @throws EnvelopeError as S3's errors are mapped; `S3_PRECONDITION_FAILED` also when the store does not understand
 *   `IfMatch` and the object has another ETag
 */
export function getObject(
  s3: S3Client,
  input: GetObjectCommandInput,
  { observer, ...options }: RequestOptions & { readonly observer?: AttemptObserver | undefined } = {},
): Promise<GetObjectCommandOutput> {
  const target = targetOf("GetObject", input);
  return evaluatingIfMatch(s3, input, target, {
    read: (sent) =>
      send(s3, target, new GetObjectCommand(sent), options, { maxBodyBytes: "stream", observer }),
    head: (object) => headObject(s3, object, options),
    signal: options.signal,
  });
}

/** Sends HeadObject, with `IfMatch` as in {@link getObject}. */
export function headObject(
  s3: S3Client,
  input: HeadObjectCommandInput,
  options: RequestOptions = {},
): Promise<HeadObjectCommandOutput> {
  const target = targetOf("HeadObject", input);
  return evaluatingIfMatch(s3, input, target, {
    read: (sent) => send(s3, target, new HeadObjectCommand(sent), options),
    head: (object) => headObject(s3, object, options),
    signal: options.signal,
  });
}

/** Sends PutObject. @throws EnvelopeError `S3_REQUEST_FAILED` also when the response has no ETag */
export async function putObject(
  s3: S3Client,
  input: PutObjectCommandInput,
  options: RequestOptions = {},
): Promise<WithETag<PutObjectCommandOutput>> {
  const target = targetOf("PutObject", input);
  return withETag(await send(s3, target, new PutObjectCommand({ ...input }), options), target);
}

/** Sends DeleteObject. */
export function deleteObject(
  s3: S3Client,
  input: DeleteObjectCommandInput,
  options: RequestOptions = {},
): Promise<DeleteObjectCommandOutput> {
  return send(s3, targetOf("DeleteObject", input), new DeleteObjectCommand({ ...input }), options);
}

/** Sends GetObjectTagging. */
export function getObjectTagging(
  s3: S3Client,
  input: GetObjectTaggingCommandInput,
  options: RequestOptions = {},
): Promise<GetObjectTaggingCommandOutput> {
  return send(s3, targetOf("GetObjectTagging", input), new GetObjectTaggingCommand({ ...input }), options);
}

/**
 * Sends CreateMultipartUpload, once: a retry would begin another upload, and the id of the first would be lost.
 *
 * @param onUploadId called with the id of each upload that S3 has begun, even if the SDK cannot parse the response
 * @throws EnvelopeError `S3_REQUEST_FAILED` also when the response has no UploadId
 */
export async function createMultipartUpload(
  s3: S3Client,
  input: CreateMultipartUploadCommandInput,
  { onUploadId, ...options }: RequestOptions & { readonly onUploadId?: (uploadId: string) => void } = {},
): Promise<CreateMultipartUploadCommandOutput & { readonly UploadId: string }> {
  const target = targetOf("CreateMultipartUpload", input);
  const output = await send(s3, target, new CreateMultipartUploadCommand({ ...input }), options, {
    isRepeatable: false,
    onText: (text) => {
      const uploadId = uploadIdIn(text);
      if (uploadId !== undefined) onUploadId?.(uploadId);
    },
  });
  const { UploadId } = output;
  if (!UploadId) throw unusableResponse(target, "its response has no UploadId");
  return { ...output, UploadId };
}

/** The upload id in the XML of a response, also where the SDK cannot parse it. */
function uploadIdIn(text: string): string | undefined {
  const id = /<UploadId>([^<]{1,2048})<\/UploadId>/.exec(text)?.[1];
  return id
    ?.replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&apos;", "'")
    .replaceAll("&amp;", "&");
}

/** Sends UploadPart. @throws EnvelopeError `S3_REQUEST_FAILED` also when the response has no ETag */
export async function uploadPart(
  s3: S3Client,
  input: UploadPartCommandInput,
  { observer, ...options }: RequestOptions & { readonly observer?: AttemptObserver | undefined } = {},
): Promise<WithETag<UploadPartCommandOutput>> {
  const target = targetOf("UploadPart", input);
  const output = await send(s3, target, new UploadPartCommand({ ...input }), options, { observer });
  return withETag(output, target);
}

/**
 * Sends CopyObject.
 *
 * @returns the output with the ETag of the copy
 * @throws EnvelopeError `S3_REQUEST_FAILED` also when the response has no ETag
 */
export async function copyObject(
  s3: S3Client,
  input: CopyObjectCommandInput,
  options: RequestOptions = {},
): Promise<WithETag<CopyObjectCommandOutput>> {
  const target = targetOf("CopyObject", input);
  const output = await send(s3, target, new CopyObjectCommand({ ...input }), options, { hasDates: true });
  return { ...output, ETag: requireETag(output.CopyObjectResult ?? {}, target) };
}

/**
 * Sends UploadPartCopy.
 *
 * @returns the `CopyPartResult` of the response
 * @throws EnvelopeError `S3_REQUEST_FAILED` also when it has no ETag
 */
export async function uploadPartCopy(
  s3: S3Client,
  input: UploadPartCopyCommandInput,
  options: RequestOptions = {},
): Promise<WithETag<CopyPartResult>> {
  const target = targetOf("UploadPartCopy", input);
  const command = new UploadPartCopyCommand({ ...input });
  const { CopyPartResult = {} } = await send(s3, target, command, options, { hasDates: true });
  return withETag(CopyPartResult, target);
}

/** Sends CompleteMultipartUpload. @throws EnvelopeError `S3_REQUEST_FAILED` also when the response has no ETag */
export async function completeMultipartUpload(
  s3: S3Client,
  input: CompleteMultipartUploadCommandInput,
  options: RequestOptions = {},
): Promise<WithETag<CompleteMultipartUploadCommandOutput>> {
  const target = targetOf("CompleteMultipartUpload", input);
  return withETag(await send(s3, target, new CompleteMultipartUploadCommand({ ...input }), options), target);
}

/** Sends AbortMultipartUpload. */
export function abortMultipartUpload(
  s3: S3Client,
  input: AbortMultipartUploadCommandInput,
  options: RequestOptions = {},
): Promise<AbortMultipartUploadCommandOutput> {
  const target = targetOf("AbortMultipartUpload", input);
  return send(s3, target, new AbortMultipartUploadCommand({ ...input }), options);
}

/** A page of a list has at most 1,000 entries of up to about 7 KiB, with a key of 1,024 bytes, all of it escaped. */
const listGuard: GuardOptions = { maxBodyBytes: 8 * 1024 * 1024, hasDates: true };

/** Sends ListParts, for one page. */
export function listParts(
  s3: S3Client,
  input: ListPartsCommandInput,
  options: RequestOptions = {},
): Promise<ListPartsCommandOutput> {
  return send(s3, targetOf("ListParts", input), new ListPartsCommand({ ...input }), options, listGuard);
}

/** Sends ListMultipartUploads, for one page. Its errors name the prefix as the key. */
export function listMultipartUploads(
  s3: S3Client,
  input: ListMultipartUploadsCommandInput,
  options: RequestOptions = {},
): Promise<ListMultipartUploadsCommandOutput> {
  const target = targetOf("ListMultipartUploads", { Bucket: input.Bucket, Key: input.Prefix });
  return send(s3, target, new ListMultipartUploadsCommand({ ...input }), options, listGuard);
}

function withETag<O extends { readonly ETag?: string | undefined }>(
  output: O,
  target: RequestTarget,
): WithETag<O> {
  return { ...output, ETag: requireETag(output, target) };
}
