/** Multipart uploads that nobody has completed or aborted: lists them, and aborts those of a given age. */
import type { ListMultipartUploadsCommandOutput, RequestPayer } from "@aws-sdk/client-s3";
import { integerArgument, textArgument, wrongType } from "../../base/arguments.js";
import { compareUtf8 } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";
import { type Fields, fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { isUploadGone, unusableResponse } from "../../s3/errors.js";
import { abortMultipartUpload, listMultipartUploads } from "../../s3/requests.js";
import { pageCounter } from "../../s3/responses.js";
import { type CallOptions, callOptions, iterateCall, withCall } from "../../transfer/call.js";
import type { ClientConfig } from "../encrypted/config.js";

/** The input of `listUploads`. */
export interface ListUploadsInput {
  readonly Bucket: string;
  /** Lists only uploads whose key begins with this. All by default. */
  readonly Prefix?: string | undefined;
  readonly RequestPayer?: RequestPayer | undefined;
  readonly ExpectedBucketOwner?: string | undefined;
}

/** A multipart upload that is neither completed nor aborted. It may still be in progress. */
export interface UnfinishedUpload {
  readonly Key: string;
  readonly UploadId: string;
  /** Time at which it began, by the clock of S3. */
  readonly Initiated: Date;
}

/** The input of `abortUploads`, with exactly one of the two ages. */
export interface AbortUploadsInput extends ListUploadsInput {
  /** Aborts uploads that began before this time. */
  readonly initiatedBefore?: Date | undefined;
  /** Aborts uploads that began more than this many milliseconds ago, by the clock of this machine. */
  readonly olderThanMs?: number | undefined;
}

/** The output of `abortUploads`. */
export interface AbortUploadsOutput {
  /** Uploads that were aborted, or did not exist any more. */
  readonly aborted: readonly UnfinishedUpload[];
  /** Uploads that may still exist, with the error of their abort. */
  readonly failed: readonly { readonly upload: UnfinishedUpload; readonly error: EnvelopeError }[];
}

/** See `EnvelopeClient.listUploads`. */
export function listUploads(
  config: ClientConfig,
  input: ListUploadsInput,
  options: CallOptions,
): AsyncGenerator<UnfinishedUpload, undefined> {
  const { listUploads: names } = fieldNames;
  const checked = callOptions(names.options, options);
  const list = listArguments(fieldsArgument<ListUploadsInput>(names.input, input));
  const target = { operation: "listUploads", ...listTarget(list) } as const;
  return iterateCall(target, checked, ({ signal }) => listAll(config, list, signal));
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

function listTarget({ Bucket, Prefix = "" }: ListUploadsInput) {
  return { bucket: Bucket, key: Prefix };
}

async function* listAll(
  { s3 }: ClientConfig,
  input: ListUploadsInput,
  signal: AbortSignal,
): AsyncGenerator<UnfinishedUpload, undefined> {
  const target = { operation: "ListMultipartUploads", ...listTarget(input) };
  // The order of upload ids of one key is not specified.
  const count = pageCounter(target, (before, next) => {
    const order = compareUtf8(next[0] ?? "", before[0] ?? "");
    return order > 0 || (order === 0 && next[1] !== before[1]);
  });
  let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
  while (true) {
    const request = { ...input, ...markers };
    const page: ListMultipartUploadsCommandOutput = await listMultipartUploads(s3, request, { signal });
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined)
        throw unusableResponse(
          target,
          "the store listed an upload without its key, its id or the time at which it began",
        );
      // A store that ignores the prefix lists other uploads, too.
      if (!Key.startsWith(input.Prefix ?? "")) continue;
      yield { Key, UploadId, Initiated };
    }
    const { NextKeyMarker, NextUploadIdMarker } = page;
    // A store that returns no marker, or the same one again, has no further page.
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
  const { abortUploads: names } = fieldNames;
  const checked = callOptions(names.options, options);
  const given = fieldsArgument<AbortUploadsInput>(names.input, input);
  const list = listArguments(given);
  const before = ageArgument(given);
  const target = { operation: "abortUploads", ...listTarget(list) } as const;
  return withCall(target, checked, ({ signal }) => abortAll(config, list, before, signal));
}

async function abortAll(
  config: ClientConfig,
  list: ListUploadsInput,
  beforeMs: number,
  signal: AbortSignal,
): Promise<AbortUploadsOutput> {
  const aborted: UnfinishedUpload[] = [];
  const failed: { upload: UnfinishedUpload; error: EnvelopeError }[] = [];
  const { Prefix: _prefix, ...fields } = list;
  for await (const upload of listAll(config, list, signal)) {
    if (!(upload.Initiated.getTime() < beforeMs)) continue;
    const { Key, UploadId } = upload;
    try {
      await abortMultipartUpload(config.s3, { ...fields, Key, UploadId }, { signal });
      aborted.push(upload);
    } catch (error) {
      if (signal.aborted || !(error instanceof EnvelopeError)) throw error;
      if (isUploadGone(error)) aborted.push(upload);
      else failed.push({ upload, error });
    }
  }
  return { aborted, failed };
}

/** The time before which an upload must have begun, in milliseconds since 1970. */
function ageArgument({ initiatedBefore, olderThanMs }: Fields<AbortUploadsInput>): number {
  if ((initiatedBefore === undefined) === (olderThanMs === undefined))
    throw new TypeError("initiatedBefore, olderThanMs: expected one of them");
  if (olderThanMs !== undefined)
    return Date.now() - integerArgument("olderThanMs", olderThanMs, 0, Number.MAX_SAFE_INTEGER);
  if (!(initiatedBefore instanceof Date)) throw wrongType("initiatedBefore", "a Date", initiatedBefore);
  if (!Number.isNaN(initiatedBefore.getTime())) return initiatedBefore.getTime();
  throw new RangeError("initiatedBefore: expected a valid Date");
}
