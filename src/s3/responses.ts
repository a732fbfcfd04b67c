/**
 * Interprets the responses of stores where stores differ: forms of ETags, answers to ranges, encodings of the body.
 * docs/compatibility.md says what is accepted.
 */
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { quoted } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import { type RequestTarget, unusableResponse } from "./errors.js";

/**
 * Whether two ETags are of one state of an object. Stores give them quoted, without quotes or as weak ones, and some in
 * another form from one response to the next.
 */
export function isSameETag(left: string, right: string): boolean {
  return etagValue(left) === etagValue(right);
}

function etagValue(etag: string): string {
  return etag
    .trim()
    .replace(/^W\//, "")
    .replace(/^"(.*)"$/, "$1");
}

/** What a request states for an ETag, as a condition or as that of a part: a weak one would match nothing. */
export function conditionOf<T extends string | undefined>(etag: T): T;
export function conditionOf(etag: string | undefined): string | undefined {
  return etag?.replace(/^W\//, "");
}

/** What of a response tells one state of an object from another. */
export type ObjectState = Pick<GetObjectCommandOutput, "ETag" | "VersionId" | "Metadata">;

/**
 * Whether two responses are about one state of an object. Where one has no ETag the version and the metadata tell, in
 * which every write has another salt.
 */
export function isSameState(left: ObjectState, right: ObjectState): boolean {
  if (left.ETag !== undefined && right.ETag !== undefined) return isSameETag(left.ETag, right.ETag);
  if (left.VersionId !== undefined && right.VersionId !== undefined)
    return left.VersionId === right.VersionId;
  if (left.Metadata === undefined || right.Metadata === undefined) return true;
  return entriesOf(left.Metadata) === entriesOf(right.Metadata);
}

function entriesOf(metadata: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(metadata).sort());
}

/** Bytes of an object that a response has. */
export interface ContentRange {
  readonly first: number;
  readonly last: number;
  /** The size of the object. */
  readonly total: number;
}

/** A Content-Range as stores may send it. The size of the object is undefined for `*`. */
type StatedRange = Omit<ContentRange, "total"> & { readonly total: number | undefined };

/** Parses a Content-Range, in any case and with any spaces. Undefined when it makes no sense, or is not in bytes. */
function statedRange(value: string): StatedRange | undefined {
  const match = /^\s*bytes[\s=]\s*(\d{1,15})\s*-\s*(\d{1,15})\s*\/\s*(\d{1,15}|\*)\s*$/i.exec(value);
  if (!match) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2])];
  const total = match[3] === "*" ? undefined : Number(match[3]);
  return first <= last && last < (total ?? Number.POSITIVE_INFINITY) ? { first, last, total } : undefined;
}

/** Parses a Content-Range. Undefined when there is none, or when it does not state bytes and the size of the object. */
export function parseContentRange(value: string | undefined): ContentRange | undefined {
  const { first, last, total } = statedRange(value ?? "") ?? {};
  return first === undefined || last === undefined || total === undefined
    ? undefined
    : { first, last, total };
}

interface RangeFields {
  readonly ContentRange?: string | undefined;
  readonly ContentLength?: number | undefined;
}

/** The bytes of the object that a response has. Undefined when it does not state them. */
export function sentRange({ ContentRange, ContentLength }: RangeFields): ContentRange | undefined {
  if (ContentRange !== undefined) return parseContentRange(ContentRange);
  if (ContentLength === undefined) return undefined;
  return { first: 0, last: ContentLength - 1, total: ContentLength };
}

/** The size of the whole object of a response. Undefined when the response does not state it. */
export function totalBytesOf({ ContentRange, ContentLength }: RangeFields): number | undefined {
  return ContentRange === undefined ? ContentLength : parseContentRange(ContentRange)?.total;
}

/** The bytes that were asked for, as they lie in the body of a response. */
export interface ResponseBytes {
  /** With Content-Range and Content-Length as if the response were of these bytes alone. */
  readonly output: GetObjectCommandOutput;
  /** Bytes of the body that come before them. */
  readonly skip: number;
  /** How many they are, if the response tells. */
  readonly length: number | undefined;
  /** Bytes of the body, if the response is to a range. */
  readonly bodyBytes: number | undefined;
  /** The bytes of the object that the body has, if the response tells. */
  readonly body: { readonly first: number; readonly last: number; readonly total: number } | undefined;
}

/** A store that passes a Range over sends the whole object: up to so many bytes before the range are read and dropped. */
export const maxSkippedBytes = 8 * 1024 * 1024;

/**
 * Finds the bytes that were asked for in a response. HTTP allows the whole object as the answer to any range, with
 * status 200, and a larger range than was asked for.
 *
 * @param range the Range of the request: `bytes=a-b`, `bytes=a-` or `bytes=-n`
 * @param totalBytes of the object, if earlier responses have told
 * @throws EnvelopeError `S3_REQUEST_FAILED` when they are not in it, or nobody can tell; `S3_RANGE_NOT_SATISFIABLE` when
 *   the object ends before them
 */
export function responseBytes(
  output: GetObjectCommandOutput,
  range: string | undefined,
  target: RequestTarget,
  totalBytes?: number,
): ResponseBytes {
  const { ContentRange, ContentLength } = output;
  const refused = (fault: string) => unusableResponse(target, `the store ${fault}`);
  const stated = ContentRange === undefined ? undefined : statedRange(ContentRange);
  if (ContentRange !== undefined && !stated)
    throw refused(`sent the Content-Range ${quoted(ContentRange)}, which is in no form of HTTP`);
  if (stated && ContentLength !== undefined && stated.last - stated.first + 1 !== ContentLength)
    throw refused(`sent a Content-Range of other bytes than its Content-Length of ${ContentLength}`);
  const asked = range === undefined ? undefined : askedRange(range);
  if (!asked) {
    if (stated && (stated.first !== 0 || stated.last + 1 !== (stated.total ?? stated.last + 1)))
      throw refused(`sent bytes ${stated.first} to ${stated.last} where the whole object was asked for`);
    const body = ContentLength ? { first: 0, last: ContentLength - 1, total: ContentLength } : undefined;
    const whole = { ...output, ContentRange: undefined };
    return { output: whole, skip: 0, length: ContentLength, bodyBytes: undefined, body };
  }
  const sent = stated ?? impliedRange(output, asked, refused, totalBytes);
  const total = sent.total ?? totalBytes ?? endOf(sent, asked);
  if (total === undefined) throw refused("did not tell the size of the object in its Content-Range");
  const body = { first: sent.first, last: sent.last, total };
  const fits = fitted(asked, total);
  if (!fits) {
    // Whatever stands between may have sent something else than the object: whoever looks into it can tell.
    if (stated || totalBytes !== undefined || total === 0) throw notSatisfiable(target);
    const whole = { ...output, ContentRange: `bytes 0-${total - 1}/${total}` };
    return { output: whole, skip: 0, length: total, bodyBytes: total, body };
  }
  const { start, last } = fits;
  if (sent.first > start || sent.last < last)
    throw refused(
      `sent bytes ${sent.first} to ${sent.last} where bytes ${start} to ${last} of ${total} were asked for`,
    );
  const skip = start - sent.first;
  if (skip > maxSkippedBytes)
    throw refused(
      `passed over the Range and sent the object from byte ${sent.first} on; of what comes before a range at most ` +
        `${maxSkippedBytes} bytes are read`,
    );
  const length = last + 1 - start;
  return {
    output: { ...output, ContentRange: `bytes ${start}-${last}/${total}`, ContentLength: length },
    skip,
    length,
    bodyBytes: sent.last + 1 - sent.first,
    body,
  };
}

interface AskedRange {
  readonly first: number | undefined;
  /** The last byte, or how many from the end when there is no first one. */
  readonly last: number | undefined;
}

function askedRange(range: string): AskedRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(range);
  const number = (digits: string | undefined) => (digits ? Number(digits) : undefined);
  return match ? { first: number(match[1]), last: number(match[2]) } : undefined;
}

/** The range of a response without Content-Range. */
function impliedRange(
  { $metadata, ContentLength }: GetObjectCommandOutput,
  { first, last }: AskedRange,
  refused: (fault: string) => EnvelopeError,
  totalBytes: number | undefined,
): StatedRange {
  // "206 Partial Content": from where was asked on, as far as its length goes.
  if ($metadata?.httpStatusCode === 206) {
    const start = first ?? (totalBytes === undefined ? undefined : Math.max(0, totalBytes - (last ?? 0)));
    if (start !== undefined && ContentLength !== undefined && ContentLength > 0)
      return { first: start, last: start + ContentLength - 1, total: totalBytes };
    throw refused("sent a part of the object without a Content-Range, which tells which part it is");
  }
  const total = ContentLength ?? totalBytes;
  if (total === undefined)
    throw refused("passed over the Range and sent the whole object without its size (no Content-Length)");
  return { first: 0, last: total - 1, total };
}

/** The size of an object whose response does not state it, where the end of the range is the object's. */
function endOf(sent: StatedRange, { first, last }: AskedRange): number | undefined {
  return first === undefined || last === undefined || sent.last < last ? sent.last + 1 : undefined;
}

/** The first and the last byte of a range of an object of so many bytes; undefined when it has none. */
function fitted(
  { first, last }: AskedRange,
  total: number,
): { readonly start: number; readonly last: number } | undefined {
  const start = first ?? Math.max(0, total - (last ?? 0));
  const end = first === undefined ? total - 1 : Math.min(last ?? total - 1, total - 1);
  return start <= end ? { start, last: end } : undefined;
}

function notSatisfiable(target: RequestTarget): EnvelopeError {
  return new EnvelopeError(
    "S3_RANGE_NOT_SATISFIABLE",
    `S3 ${target.operation} of ${quoted(target.key)} in ${quoted(target.bucket)} failed: the range lies outside the object`,
    { details: { ...target } },
  );
}

/** The codings that HTTP clients undo by themselves. */
const codings = /\b(gzip|deflate|br|zstd|compress)\b/i;

/**
 * The error for a body that the HTTP client decodes by its Content-Encoding: that is of the plaintext, and what is stored
 * is ciphertext. Undefined when it is not known to.
 *
 * @param cause what reading it failed with, if it did
 */
export function decodedBody(
  { Body, ContentEncoding }: GetObjectCommandOutput,
  target: RequestTarget,
  cause?: unknown,
): EnvelopeError | undefined {
  if (ContentEncoding === undefined || !codings.test(ContentEncoding)) return undefined;
  // The fetch of the platform always decodes. Others are told by the decoder's error.
  if (!((Body as unknown) instanceof ReadableStream) && !isDecoderError(cause)) return undefined;
  return unusableResponse(
    target,
    `the HTTP client of the S3Client decodes the body, as its Content-Encoding is ${quoted(ContentEncoding)}, and ` +
      'what is stored is ciphertext: use the NodeHttpHandler, or get with ResponseContentEncoding: "identity"',
  );
}

function isDecoderError(error: unknown): boolean {
  for (let [cause, depth] = [error, 0]; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    const { code } = cause as { code?: unknown };
    if (typeof code === "string" && /^(Z_|ERR_+(BROTLI|ERROR_FORMAT)|ZSTD_)/.test(code)) return true;
  }
  return false;
}

/** S3 has no more parts in an upload than this, so no list of them has more pages. */
export const maxListPages = 10_000;

/**
 * Counts the pages of a listing, which a broken store could make endless.
 *
 * @returns a function to call for each page that another follows, with what tells where that begins. It throws
 *   EnvelopeError `S3_REQUEST_FAILED` when the listing does not advance, or has more than {@link maxListPages} pages
 */
export function pageCounter(
  target: RequestTarget,
  advances: (before: readonly string[], next: readonly string[]) => boolean,
): (next: readonly string[]) => void {
  let before: readonly string[] | undefined;
  let pages = 0;
  return (next) => {
    pages += 1;
    if (before && !advances(before, next))
      throw unusableResponse(
        target,
        "the store sent a list whose next page does not begin behind the one before",
      );
    if (pages >= maxListPages)
      throw unusableResponse(target, `the store sent a list of more than ${maxListPages} pages`);
    before = next;
  };
}
