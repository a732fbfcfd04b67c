/** Multipart uploads that nobody has completed or aborted: lists them, and aborts those of some age. */
import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  type RequestPayer,
} from "@aws-sdk/client-s3";
import { integerArgument, textArgument, wrongType } from "../../base/arguments.js";
import { compareUtf8 } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";
import { type Fields, fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { isUploadGone, s3Request, unusableResponse } from "../../s3/errors.js";
import { listGuard, pageCounter } from "../../s3/responses.js";
import { guarded } from "../../service/response-guard.js";
import type { CallOptions } from "../../transfer/call-signal.js";
import { callSignal } from "../../transfer/call-signal.js";
import type { ClientConfig } from "../encrypted/config.js";

/** What `listUploads` takes. */
export interface ListUploadsInput {
  readonly Bucket: string;
  /** Uploads of keys that start so; all by default. */
  readonly Prefix?: string | undefined;
  readonly RequestPayer?: RequestPayer | undefined;
  readonly ExpectedBucketOwner?: string | undefined;
}

/** An upload that is under way, or was left behind. */
export interface UnfinishedUpload {
  readonly Key: string;
  readonly UploadId: string;
  /** When it was begun, by the clock of S3. */
  readonly Initiated: Date;
}

/** What `abortUploads` takes: one of the two ages. */
export interface AbortUploadsInput extends ListUploadsInput {
  /** Aborts uploads that were begun before this. */
  readonly initiatedBefore?: Date | undefined;
  /** Aborts uploads that were begun longer ago than so many milliseconds, by the clock of this machine. */
  readonly olderThanMs?: number | undefined;
}

/** What `abortUploads` gives. */
export interface AbortUploadsOutput {
  /** Those that are gone. */
  readonly aborted: readonly UnfinishedUpload[];
  /** Those that may still be there, and why. */
  readonly failed: readonly { readonly upload: UnfinishedUpload; readonly error: EnvelopeError }[];
}

/** See `EnvelopeClient.listUploads`. */
export function listUploads(
  config: ClientConfig,
  input: ListUploadsInput,
  options: CallOptions,
): AsyncGenerator<UnfinishedUpload, undefined> {
  const signal = callSignal(fieldNames.listUploads.options, options);
  const given = fieldsArgument<ListUploadsInput>(fieldNames.listUploads.input, input);
  return pages(config, listArguments(given), signal);
}

function listArguments(input: Fields<ListUploadsInput>): ListUploadsInput {
  const { Bucket, Prefix, RequestPayer, ExpectedBucketOwner } = input;
  return {
    Bucket: textArgument("Bucket", Bucket),
    Prefix: Prefix === undefined || Prefix === "" ? undefined : textArgument("Prefix", Prefix),
    RequestPayer: RequestPayer as RequestPayer | undefined,
    ExpectedBucketOwner: ExpectedBucketOwner as string | undefined,
  };
}

async function* pages(
  { s3 }: ClientConfig,
  input: ListUploadsInput,
  signal: AbortSignal | undefined,
): AsyncGenerator<UnfinishedUpload, undefined> {
  const target = { operation: "ListMultipartUploads", bucket: input.Bucket, key: input.Prefix ?? "" };
  // Upload ids have no order that is known here.
  const count = pageCounter(target, (before, next) => {
    const order = compareUtf8(next[0] ?? "", before[0] ?? "");
    return order > 0 || (order === 0 && next[1] !== before[1]);
  });
  let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
  while (true) {
    const command = guarded(new ListMultipartUploadsCommand({ ...input, ...markers }), listGuard);
    const page: ListMultipartUploadsCommandOutput = await s3Request(target, signal, (sending) =>
      s3.send(command, sending),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined)
        throw unusableResponse(
          target,
          "the store listed an upload without its key, its id or the time it began",
        );
      // A store that passes the prefix over lists those of others, too.
      if (!Key.startsWith(input.Prefix ?? "")) continue;
      yield { Key, UploadId, Initiated };
    }
    const { NextKeyMarker, NextUploadIdMarker } = page;
    // A store that names no next page, or the same again, has no more.
    const isLast = !page.IsTruncated || NextKeyMarker === undefined;
    if (isLast || (NextKeyMarker === markers.KeyMarker && NextUploadIdMarker === markers.UploadIdMarker))
      return undefined;
    count([NextKeyMarker, NextUploadIdMarker ?? ""]);
    markers = { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker };
  }
}

/** See `EnvelopeClient.abortUploads`. */
export async function abortUploads(
  config: ClientConfig,
  input: AbortUploadsInput,
  options: CallOptions,
): Promise<AbortUploadsOutput> {
  const { s3 } = config;
  const signal = callSignal(fieldNames.abortUploads.options, options);
  const given = fieldsArgument<AbortUploadsInput>(fieldNames.abortUploads.input, input);
  const list = listArguments(given);
  const before = ageArgument(given);
  const aborted: UnfinishedUpload[] = [];
  const failed: { upload: UnfinishedUpload; error: EnvelopeError }[] = [];
  const { Prefix: _prefix, ...fields } = list;
  for await (const upload of pages(config, list, signal)) {
    if (!(upload.Initiated.getTime() < before)) continue;
    const { Key, UploadId } = upload;
    const target = { operation: "AbortMultipartUpload", bucket: list.Bucket, key: Key };
    const command = new AbortMultipartUploadCommand({ ...fields, Key, UploadId });
    try {
      await s3Request(target, signal, (sending) => s3.send(guarded(command), sending));
      aborted.push(upload);
    } catch (error) {
      if (signal?.aborted || !(error instanceof EnvelopeError)) throw error;
      if (isUploadGone(error)) aborted.push(upload);
      else failed.push({ upload, error });
    }
  }
  return { aborted, failed };
}

function ageArgument({ initiatedBefore, olderThanMs }: Fields<AbortUploadsInput>): number {
  if ((initiatedBefore === undefined) === (olderThanMs === undefined))
    throw new TypeError("initiatedBefore, olderThanMs: expected one of them");
  if (olderThanMs !== undefined)
    return Date.now() - integerArgument("olderThanMs", olderThanMs, 0, Number.MAX_SAFE_INTEGER);
  if (!(initiatedBefore instanceof Date)) throw wrongType("initiatedBefore", "a Date", initiatedBefore);
  if (!Number.isNaN(initiatedBefore.getTime())) return initiatedBefore.getTime();
  throw new RangeError("initiatedBefore: expected a valid Date");
}
