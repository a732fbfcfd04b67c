/** A multipart upload: it completes, or it is aborted and removes its parts. */
import type { ClientRequest } from "node:http";
import type { PutObjectCommandInput, S3Client } from "@aws-sdk/client-s3";
import { untilAborted } from "../base/abort.js";
import { forEachConcurrently } from "../base/concurrency.js";
import { unawaited } from "../base/iterators.js";
import { type CallControl, withLeftover } from "../transfer/call.js";
import type { Part } from "../transfer/part-assembly.js";
import { cleanUp } from "./clean-up.js";
import type { ConfirmedWrite, ConfirmedWriteOutput } from "./confirmed-write.js";
import { isUploadGone, type RequestTarget, unusableResponse } from "./errors.js";
import { checksumsOf, completeFields, createFields, objectFields, partFields } from "./fields.js";
import {
  type AttemptObserver,
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  type RequestOptions,
  uploadPart,
} from "./requests.js";
import { conditionOf } from "./responses.js";

/** The longest time that a failed call waits for the response to its CreateMultipartUpload, in milliseconds. */
const createGraceMs = 5_000;

/** The input of all requests of one multipart upload. */
export interface MultipartInput {
  readonly s3: S3Client;
  /** The PutObject that the upload amounts to, metadata complete, without body. */
  readonly put: PutObjectCommandInput;
  readonly target: RequestTarget;
  readonly maxConcurrentParts: number;
  /** Ends the upload, which aborts it at its first failure. */
  readonly call: CallControl;
  readonly commit: ConfirmedWrite;
}

/**
 * Uploads parts and completes the upload. A failure of the source or of S3, or an aborted signal, rejects with the first
 * cause after every request has ended and the upload has been aborted.
 *
 * @param rest the parts after the first; ended early if the upload fails
 * @param onStored called for each part that S3 has stored; an error that it throws ends the upload
 */
export async function uploadMultipart(
  input: MultipartInput,
  first: Part,
  rest: AsyncGenerator<Part, undefined>,
  onStored: (part: Part) => void,
): Promise<ConfirmedWriteOutput> {
  let uploadId: string | undefined;
  try {
    uploadId = await createUpload(input);
    const completed = await uploadParts(input, uploadId, first, rest, onStored);
    return await commitUpload(input, uploadId, completed);
  } catch (error) {
    // Not awaited: a source that never settles a read would not settle this either.
    unawaited(() => rest.return(undefined));
    throw uploadId === undefined ? error : await discardUpload(input, uploadId, error);
  }
}

/** Begins an upload. The request does not observe the signal: an upload whose id never arrives could not be aborted. */
export async function createUpload(input: MultipartInput): Promise<string> {
  const { s3, put, call } = input;
  const fields = {
    ...createFields(put),
    ChecksumAlgorithm: put.ChecksumAlgorithm ?? (await defaultChecksum(s3)),
  };
  call.signal.throwIfAborted();
  const created = createOneUpload(input, fields);
  try {
    return await untilAborted(call.signal, created);
  } catch (error) {
    // The reason of the caller's signal, or the failure of CreateMultipartUpload: thrown as it is.
    const cleanup = created.then((uploadId) => discardUpload(input, uploadId, error)).catch(() => undefined);
    await Promise.race([cleanup, delay(createGraceMs)]);
    throw error;
  }
}

/** Creates an upload, and aborts those whose responses were damaged. */
async function createOneUpload(
  input: MultipartInput,
  fields: Parameters<typeof createMultipartUpload>[1],
): Promise<string> {
  const uploadIds = new Set<string>();
  try {
    const onUploadId = (uploadId: string) => uploadIds.add(uploadId);
    const { UploadId } = await createMultipartUpload(input.s3, fields, { onUploadId });
    uploadIds.delete(UploadId);
    for (const other of uploadIds) await discardUpload(input, other, undefined);
    return UploadId;
  } catch (error) {
    let failure = error;
    for (const other of uploadIds) failure = await discardUpload(input, other, failure);
    throw failure;
  }
}

/** The checksum that the SDK adds to every part by default. CreateMultipartUpload must announce it. */
export async function defaultChecksum(s3: S3Client): Promise<"CRC32" | undefined> {
  const calculation: unknown = await s3.config?.requestChecksumCalculation?.();
  return calculation === "WHEN_REQUIRED" ? undefined : "CRC32";
}

/** A part that S3 has stored. */
export interface StoredPart {
  readonly PartNumber: number;
  readonly ETag: string;
  /** Bytes. */
  readonly size: number;
  /** Checksums that S3 returned, by their names in the AWS SDK. */
  readonly checksums: Readonly<Record<string, string>>;
}

async function uploadParts(
  input: MultipartInput,
  uploadId: string,
  first: Part,
  rest: AsyncGenerator<Part, undefined>,
  onStored: (part: Part) => void,
): Promise<readonly StoredPart[]> {
  const { call, maxConcurrentParts } = input;
  const uploaded: StoredPart[] = [];
  await forEachConcurrently(startingWith(first, rest), maxConcurrentParts, call, async (part) => {
    uploaded.push(await sendPart(input, uploadId, part));
    onStored(part);
  });
  return uploaded;
}

async function* startingWith<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T, undefined> {
  yield first;
  yield* rest;
  return undefined;
}

/** Sends one part; its memory is released once it is certain that nothing reads it any more. */
export async function sendPart(
  { s3, put, call }: MultipartInput,
  UploadId: string,
  { partNumber: PartNumber, bytes, release }: Pick<Part, "partNumber" | "bytes" | "release">,
): Promise<StoredPart> {
  const sending = new PartSending(s3);
  const output = await uploadPart(
    s3,
    { ...partFields(put), UploadId, PartNumber, Body: bytes },
    { signal: call.signal, observer: sending },
  );
  release(sending.hasEnded);
  // A store does not recognize a part by a weak ETag.
  return { PartNumber, ETag: conditionOf(output.ETag), size: bytes.length, checksums: checksumsOf(output) };
}

/**
 * Finds out, once a request has succeeded, whether it is certain that nothing reads its body any more: the SDK's own
 * handler has sent it once, and Node has handed all of it to the operating system. The response alone is no proof: an S3
 * can say that it has all while Node still sends, and would then be sent whatever the memory is used for next, plaintext
 * included. After an attempt that S3 refused early, Node may still be sending, too. A replacement of the handler, as in
 * tests, may have kept the body.
 */
class PartSending implements AttemptObserver {
  readonly #isOwn: boolean;
  #sends = 0;
  #request: Partial<ClientRequest> | undefined;

  constructor(s3: S3Client) {
    this.#isOwn = isStockHandler(s3.config?.requestHandler);
  }

  readonly onSend = (): void => {
    this.#sends += 1;
  };

  readonly onResponse: AttemptObserver["onResponse"] = ({ body }) => {
    this.#request = (body as { req?: Partial<ClientRequest> } | undefined)?.req;
  };

  get hasEnded(): boolean {
    return this.#isOwn && this.#sends === 1 && this.#request?.writableFinished === true;
  }
}

/** Whether it is the handler of the SDK for HTTP/1.1 itself, neither a subclass nor one that was altered. */
function isStockHandler(handler: object | undefined): boolean {
  if (!handler || Object.hasOwn(handler, "handle")) return false;
  const stock: object | null = Object.getPrototypeOf(handler);
  // Of a class with that name, which extends none.
  return stock?.constructor?.name === "NodeHttpHandler" && Object.getPrototypeOf(stock) === Object.prototype;
}

/** Completes an upload all of whose parts are stored. */
export async function commitUpload(
  input: MultipartInput,
  UploadId: string,
  stored: readonly StoredPart[],
): Promise<ConfirmedWriteOutput> {
  const { s3, put, target, call, commit } = input;
  const parts = stored
    .map(({ PartNumber, ETag, checksums }) => ({ PartNumber, ETag, ...checksums }))
    .sort((left, right) => left.PartNumber - right.PartNumber);
  const gap = parts.findIndex(({ PartNumber }, index) => PartNumber !== index + 1);
  if (gap >= 0 || parts.length === 0)
    throw unusableResponse({ ...target, operation: "UploadPart" }, `part ${gap + 1} is missing`);
  const size = stored.reduce((sum, { size }) => sum + size, 0);
  const MultipartUpload = { Parts: parts };
  const fields = { ...completeFields(put), UploadId, MultipartUpload, MpuObjectSize: size };
  return commit.write({ s3, put, signal: call.signal }, size, (options) =>
    completeMultipartUpload(s3, fields, options),
  );
}

/**
 * Aborts an upload.
 *
 * @returns false when it does not exist: it was aborted, or completed
 */
export async function abortMultipart(
  { s3, put }: Pick<MultipartInput, "s3" | "put">,
  UploadId: string,
  options: RequestOptions,
): Promise<boolean> {
  try {
    await abortMultipartUpload(s3, { ...objectFields(put), UploadId }, options);
    return true;
  } catch (error) {
    if (isUploadGone(error)) return false;
    throw error;
  }
}

/** Aborts the upload and returns the error that ended it, which names the upload if it may still be there. */
export async function discardUpload(
  { s3, put, call }: MultipartInput,
  UploadId: string,
  error: unknown,
): Promise<unknown> {
  const fields = { ...objectFields(put), UploadId };
  if (await cleanUp((options) => abortMultipartUpload(s3, fields, options))) return error;
  return withLeftover(error, call, {
    details: { orphanedUploadId: UploadId },
    advice: `Its multipart upload could not be aborted: abort "${UploadId}", or let a lifecycle rule do it`,
  });
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}
