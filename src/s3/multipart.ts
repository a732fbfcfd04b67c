/** A multipart upload that completes whole or leaves nothing behind. */
import type { ClientRequest } from "node:http";
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type PutObjectCommandInput,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { untilAborted } from "../base/abort.js";
import { guarded } from "../service/response-guard.js";
import { type CallControl, withLeftover } from "../transfer/call.js";
import type { Part } from "../transfer/part-assembly.js";
import { cleanUp } from "./clean-up.js";
import type { ConfirmedWrite, ConfirmedWriteOutput } from "./confirmed-write.js";
import { isUploadGone, type RequestTarget, requireETag, s3Request, unusableResponse } from "./errors.js";
import { checksumsOf, completeFields, createFields, objectFields, partFields } from "./fields.js";
import { conditionOf } from "./responses.js";

/** How long a failed upload waits for an upload id that S3 has not answered yet, in milliseconds. */
const createGraceMs = 5_000;

/** What an upload needs. */
export interface MultipartInput {
  readonly s3: S3Client;
  /** The PutObject that this upload stands for, metadata complete, without body. */
  readonly put: PutObjectCommandInput;
  readonly target: RequestTarget;
  readonly maxConcurrentParts: number;
  /** Ends the upload; the upload itself raises it at its first failure. */
  readonly transfer: CallControl;
  readonly commit: ConfirmedWrite;
}

/**
 * Uploads parts and completes. Any failure, of the source, of S3 or by the signal, rejects with the first
 * cause after every request has ended or was given up, and the upload has been aborted.
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
  const uploadId = await createUpload(input).catch((error: unknown) => {
    end(rest);
    throw error;
  });
  try {
    const completed = await uploadParts(input, uploadId, first, rest, onStored);
    return await commitUpload(input, uploadId, completed);
  } catch (error) {
    throw await discardUpload(input, uploadId, error);
  }
}

/** Begins an upload. The request is not given the signal: an upload whose id never arrives could not be aborted. */
export async function createUpload(input: MultipartInput): Promise<string> {
  const { s3, put, target, transfer } = input;
  const fields = {
    ...createFields(put),
    ChecksumAlgorithm: put.ChecksumAlgorithm ?? (await defaultChecksum(s3)),
  };
  transfer.signal.throwIfAborted();
  const asked = { ...target, operation: "CreateMultipartUpload" };
  const seen = new Set<string>();
  const command = guarded(new CreateMultipartUploadCommand(fields), {
    // Each attempt begins an upload of its own: one whose answer was damaged is known only if its id can be read.
    isRepeatable: false,
    onText: (text) => {
      const uploadId = uploadIdIn(text);
      if (uploadId !== undefined) seen.add(uploadId);
    },
  });
  const created = s3Request(asked, undefined, (options) => s3.send(command, options))
    .then(({ UploadId }) => UploadId || raise(unusableResponse(asked, "its answer has no UploadId")))
    .then(
      async (uploadId) => {
        seen.delete(uploadId);
        for (const other of seen) await discardUpload(input, other, undefined);
        return uploadId;
      },
      async (error: unknown) => {
        let failure = error;
        for (const other of seen) failure = await discardUpload(input, other, failure);
        throw failure;
      },
    );
  try {
    return await untilAborted(transfer.signal, created);
  } catch (error) {
    // The reason of the caller's signal, or what CreateMultipartUpload failed with: thrown as it is.
    const cleanup = created.then((uploadId) => discardUpload(input, uploadId, error)).catch(() => undefined);
    await Promise.race([cleanup, delay(createGraceMs)]);
    throw error;
  }
}

/** The id of an upload, also in an answer that the SDK cannot read otherwise. */
function uploadIdIn(text: string): string | undefined {
  const id = /<UploadId>([^<]{1,2048})<\/UploadId>/.exec(text)?.[1];
  return id
    ?.replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&apos;", "'")
    .replaceAll("&amp;", "&");
}

/** The SDK adds this checksum to every part unless told otherwise, and S3 wants to hear of it beforehand. */
export async function defaultChecksum(s3: S3Client): Promise<"CRC32" | undefined> {
  const calculation: unknown = await s3.config?.requestChecksumCalculation?.();
  return calculation === "WHEN_REQUIRED" ? undefined : "CRC32";
}

/** A part that S3 has, as its completion states it. */
export interface SentPart {
  readonly part: CompletedPart;
  readonly bytes: number;
}

async function uploadParts(
  input: MultipartInput,
  uploadId: string,
  first: Part,
  rest: AsyncGenerator<Part, undefined>,
  onStored: (part: Part) => void,
): Promise<readonly SentPart[]> {
  const { transfer, maxConcurrentParts } = input;
  const uploaded: SentPart[] = [];
  const inFlight = new Set<Promise<void>>();
  try {
    for (let part: Part | undefined = first; part; part = (await rest.next()).value) {
      const sending = part;
      const request: Promise<void> = sendPart(input, uploadId, sending)
        .then((done) => {
          uploaded.push(done);
          onStored(sending);
        })
        .catch(transfer.abort)
        .finally(() => inFlight.delete(request));
      inFlight.add(request);
      while (inFlight.size >= maxConcurrentParts) await Promise.race(inFlight);
      transfer.signal.throwIfAborted();
    }
  } catch (error) {
    transfer.abort(error);
    end(rest);
  }
  await Promise.all(inFlight);
  transfer.signal.throwIfAborted();
  return uploaded;
}

/** Ends an iteration without waiting: a source that never responds to a read does not respond to this either. */
function end(parts: AsyncGenerator<Part, undefined>): void {
  void parts.return(undefined).catch(() => undefined);
}

/** Sends one part; its memory is released once it is surely read no more. */
export async function sendPart(
  input: MultipartInput,
  uploadId: string,
  part: Pick<Part, "partNumber" | "bytes" | "length" | "release">,
): Promise<SentPart> {
  const { s3, put, target, transfer } = input;
  // Guarded first: what watches the sending must see the response as it came.
  const command = guarded(
    new UploadPartCommand({
      ...partFields(put),
      UploadId: uploadId,
      PartNumber: part.partNumber,
      Body: part.bytes,
    }),
  );
  const asked = { ...target, operation: "UploadPart", partNumber: part.partNumber };
  const sending = watchSending(s3, command);
  const output = await s3Request(asked, transfer.signal, (options) => s3.send(command, options));
  const ETag = requireETag(output, asked);
  part.release(sending.isOver());
  // A weak one is not what the store knows the part by.
  const completed = { PartNumber: part.partNumber, ETag: conditionOf(ETag), ...checksumsOf(output) };
  return { part: completed, bytes: part.length };
}

/**
 * Tells, once a command has succeeded, whether its body is surely read no more: the SDK's own handler has sent it
 * once, and Node has handed all of it to the operating system. The answer alone does not tell: an S3 can say that it
 * has all while Node still sends, and would then be sent whatever its memory is used for next, plaintext included. After an
 * attempt that S3 refused early, Node may still be sending, too. Whatever takes the place of the handler, as in
 * tests, may have kept the body.
 */
function watchSending(s3: S3Client, command: UploadPartCommand): { isOver(): boolean } {
  const isOwn = isStockHandler(s3.config?.requestHandler);
  let sends = 0;
  let request: Partial<ClientRequest> | undefined;
  command.middlewareStack.add(
    (next) => async (args) => {
      sends += 1;
      const result = await next(args);
      const { body } = Object(result.response) as { body?: { req?: Partial<ClientRequest> } };
      request = body?.req;
      return result;
    },
    // The last before the handler.
    { step: "deserialize", priority: "low", name: "watchSending" },
  );
  return { isOver: () => isOwn && sends === 1 && request?.writableFinished === true };
}

/** Whether it is the handler of the SDK for HTTP/1.1 itself, neither a subclass nor one that was altered. */
function isStockHandler(handler: object | undefined): boolean {
  if (!handler || Object.hasOwn(handler, "handle")) return false;
  const stock: object | null = Object.getPrototypeOf(handler);
  // Of a class with that name, which extends none.
  return stock?.constructor?.name === "NodeHttpHandler" && Object.getPrototypeOf(stock) === Object.prototype;
}

/** Completes an upload, all of whose parts are there. */
export async function commitUpload(
  input: MultipartInput,
  uploadId: string,
  uploaded: readonly SentPart[],
): Promise<ConfirmedWriteOutput> {
  const { s3, put, target, transfer, commit } = input;
  const parts = uploaded
    .map(({ part }) => part)
    .sort((left, right) => (left.PartNumber ?? 0) - (right.PartNumber ?? 0));
  const gap = parts.findIndex(({ PartNumber }, index) => PartNumber !== index + 1);
  if (gap >= 0 || parts.length === 0)
    throw unusableResponse({ ...target, operation: "UploadPart" }, `part ${gap + 1} is missing`);
  const size = uploaded.reduce((sum, { bytes }) => sum + bytes, 0);
  const command = new CompleteMultipartUploadCommand({
    ...completeFields(put),
    UploadId: uploadId,
    MultipartUpload: { Parts: parts },
    MpuObjectSize: size,
  });
  const commitInput = { s3, put, target, signal: transfer.signal };
  return commit.send(commitInput, "CompleteMultipartUpload", size, (options) =>
    s3.send(guarded(command), options),
  );
}

/**
 * Aborts an upload.
 *
 * @returns false when it does not exist: it was aborted, or completed
 */
export async function abortUpload(
  { s3, put, target }: MultipartInput,
  UploadId: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const command = guarded(new AbortMultipartUploadCommand({ ...objectFields(put), UploadId }));
  const asked = { ...target, operation: "AbortMultipartUpload" };
  try {
    await s3Request(asked, signal, (options) => s3.send(command, options));
    return true;
  } catch (error) {
    if (isUploadGone(error)) return false;
    throw error;
  }
}

/** Aborts the upload and returns the error that ended it, which names the upload if it may still be there. */
export async function discardUpload(
  { s3, put, transfer }: MultipartInput,
  uploadId: string,
  error: unknown,
): Promise<unknown> {
  const command = new AbortMultipartUploadCommand({ ...objectFields(put), UploadId: uploadId });
  if (await cleanUp((options) => s3.send(guarded(command), options))) return error;
  return withLeftover(error, transfer, {
    details: { orphanedUploadId: uploadId },
    advice: `Its multipart upload could not be aborted: abort "${uploadId}", or let a lifecycle rule do it`,
  });
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}

function raise(error: Error): never {
  throw error;
}
