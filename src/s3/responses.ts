/**
 * Interprets responses where stores differ: forms of ETags, responses to ranges, encodings of the body.
 * docs/compatibility.md lists what is accepted.
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

/** The form of an ETag in a request, as a condition or as that of a part: a weak one would match nothing. */
export function conditionOf<T extends string | undefined>(etag: T): T;
export function conditionOf(etag: string | undefined): string | undefined {
  return etag?.replace(/^W\//, "");
}

/** The fields of a response that distinguish one state of an object from another. */
export type ObjectState = Pick<GetObjectCommandOutput, "ETag" | "VersionId" | "Metadata">;

/**
 * Whether two responses are about one state of an object. If one has no ETag, the version and the metadata are compared, in
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

/** The requested bytes of an object, by their place in the body of a response. */
export interface ResponseBytes {
  /** With Content-Range and Content-Length as if the response were of these bytes alone. */
  readonly output: GetObjectCommandOutput;
  /** Bytes of the body before them. */
  readonly skip: number;
  /** Their number, if the response states it. */
  readonly length: number | undefined;
  /** Bytes of the body, if the response is to a range. */
  readonly bodyBytes: number | undefined;
  /** The bytes of the object that the body has, if the response states them. */
  readonly body: ContentRange | undefined;
}

/** A store that ignores a Range sends the whole object: at most this many bytes before the range are read and dropped. */
export const maxSkippedBytes = 8 * 1024 * 1024;

/**
 * Finds the requested bytes in a response. HTTP allows a server to respond to any range with the whole object and status
 * 200, or with a larger range.
 *
 * @param range the Range of the request: `bytes=a-b`, `bytes=a-` or `bytes=-n`
 * @param totalBytes the size of the object, if an earlier response has stated it
 * @throws EnvelopeError `S3_REQUEST_FAILED` when the response lacks them, or does not state its range; `S3_RANGE_NOT_SATISFIABLE` when
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
    throw refused(`sent the Content-Range ${quoted(ContentRange)}, which is not valid in HTTP`);
  if (stated && ContentLength !== undefined && stated.last - stated.first + 1 !== ContentLength)
    throw refused(`sent a Content-Range of other bytes than its Content-Length of ${ContentLength}`);
  const requested = range === undefined ? undefined : requestedRange(range);
  if (!requested) {
    if (stated && (stated.first !== 0 || stated.last + 1 !== (stated.total ?? stated.last + 1)))
      throw refused(`sent bytes ${stated.first} to ${stated.last} where the whole object was requested`);
    const body = ContentLength ? { first: 0, last: ContentLength - 1, total: ContentLength } : undefined;
    const whole = { ...output, ContentRange: undefined };
    return { output: whole, skip: 0, length: ContentLength, bodyBytes: undefined, body };
  }
  const sent = stated ?? impliedRange(output, requested, refused, totalBytes);
  const total = sent.total ?? totalBytes ?? endOf(sent, requested);
  if (total === undefined) throw refused("did not state the size of the object in its Content-Range");
  const body = { first: sent.first, last: sent.last, total };
  const fits = fitted(requested, total);
  if (!fits) {
    // A proxy may have sent something else than the object, which its content will show.
    if (stated || totalBytes !== undefined || total === 0) throw notSatisfiable(target);
    const whole = { ...output, ContentRange: `bytes 0-${total - 1}/${total}` };
    return { output: whole, skip: 0, length: total, bodyBytes: total, body };
  }
  const { start, last } = fits;
  if (sent.first > start || sent.last < last)
    throw refused(
      `sent bytes ${sent.first} to ${sent.last} where bytes ${start} to ${last} of ${total} were requested`,
    );
  const skip = start - sent.first;
  if (skip > maxSkippedBytes)
    throw refused(
      `ignored the Range and sent the object from byte ${sent.first}; at most ${maxSkippedBytes} bytes before a range ` +
        "are read and dropped",
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

interface RequestedRange {
  readonly first: number | undefined;
  /** The last byte; without a first one, the number of bytes from the end. */
  readonly last: number | undefined;
}

function requestedRange(range: string): RequestedRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(range);
  const number = (digits: string | undefined) => (digits ? Number(digits) : undefined);
  return match ? { first: number(match[1]), last: number(match[2]) } : undefined;
}

/** The range of a response without Content-Range. */
function impliedRange(
  { $metadata, ContentLength }: GetObjectCommandOutput,
  { first, last }: RequestedRange,
  refused: (fault: string) => EnvelopeError,
  totalBytes: number | undefined,
): StatedRange {
  // "206 Partial Content": begins where the requested range begins, and ends by its length.
  if ($metadata?.httpStatusCode === 206) {
    const start = first ?? (totalBytes === undefined ? undefined : Math.max(0, totalBytes - (last ?? 0)));
    if (start !== undefined && ContentLength !== undefined && ContentLength > 0)
      return { first: start, last: start + ContentLength - 1, total: totalBytes };
    throw refused("sent some bytes of the object without a Content-Range, which states their place");
  }
  const total = ContentLength ?? totalBytes;
  if (total === undefined)
    throw refused("ignored the Range and sent the whole object without its size (no Content-Length)");
  return { first: 0, last: total - 1, total };
}

/** The size of an object whose response does not state it, if the range ends where the object ends. */
function endOf(sent: StatedRange, { first, last }: RequestedRange): number | undefined {
  return first === undefined || last === undefined || sent.last < last ? sent.last + 1 : undefined;
}

/** The first and the last byte of a range of an object. Undefined when the range has no byte. */
function fitted(
  { first, last }: RequestedRange,
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

/** The encodings that HTTP clients decode by themselves. */
const codings = /\b(gzip|deflate|br|zstd|compress)\b/i;

/**
 * The error for a body that the HTTP client decodes by its Content-Encoding, which is that of the plaintext while the body
 * is ciphertext.
 *
 * @param cause the error with which reading failed, if it did
 * @returns undefined when nothing shows that the client decodes
 */
export function decodedBody(
  { Body, ContentEncoding }: GetObjectCommandOutput,
  target: RequestTarget,
  cause?: unknown,
): EnvelopeError | undefined {
  if (ContentEncoding === undefined || !codings.test(ContentEncoding)) return undefined;
  // The fetch of the platform always decodes. Other clients are recognized by the error of their decoder.
  if (!((Body as unknown) instanceof ReadableStream) && !isDecoderError(cause)) return undefined;
  return unusableResponse(
    target,
    `the HTTP client of the S3Client decodes the body, as its Content-Encoding is ${quoted(ContentEncoding)}, but ` +
      'the body is ciphertext: use the NodeHttpHandler, or get with ResponseContentEncoding: "identity"',
  );
}

function isDecoderError(error: unknown): boolean {
  for (let [cause, depth] = [error, 0]; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    const { code } = cause as { code?: unknown };
    if (typeof code === "string" && /^(Z_|ERR_+(BROTLI|ERROR_FORMAT)|ZSTD_)/.test(code)) return true;
  }
  return false;
}

/** An upload has at most this many parts, so no list of them has more pages. */
export const maxListPages = 10_000;

/**
 * Counts the pages of a list, which a broken store could make endless.
 *
 * @returns a function to call before each further page with its markers. It throws EnvelopeError `S3_REQUEST_FAILED` when
 *   the markers do not advance, or when there are more than {@link maxListPages} pages
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
        "the store sent a list whose next page does not begin after the page before",
      );
    if (pages >= maxListPages)
      throw unusableResponse(target, `the store sent a list of more than ${maxListPages} pages`);
    before = next;
  };
}
