/** Conditions of requests, and ranges of reads, as HTTP and S3 define them. */
import { ServiceError, type ServiceRequest } from "../../service.js";
import type { StoredObject, Version } from "../storage/versions.js";
import { s3Fault } from "../wire/s3-fault.js";

type Headers = ServiceRequest["headers"];

/** Throws 304 or 412 unless the conditions of a read hold. */
export function requireReadConditions(headers: Headers, { etag, modified }: StoredObject): void {
  const { "if-match": match, "if-none-match": noneMatch } = headers;
  const seconds = Math.floor(modified.getTime() / 1000) * 1000;
  const unmodifiedSince = Date.parse(headers["if-unmodified-since"] ?? "");
  const modifiedSince = Date.parse(headers["if-modified-since"] ?? "");
  if (match !== undefined ? !lists(match, etag) : seconds > unmodifiedSince) throw preconditionFailed();
  if (noneMatch !== undefined ? lists(noneMatch, etag) : seconds <= modifiedSince) {
    throw new ServiceError(304, "NotModified", "Not Modified", { etag });
  }
}

/** Throws 412 unless the conditions on the source of a copy hold. */
export function requireCopyConditions(headers: Headers, source: StoredObject): void {
  const prefix = "x-amz-copy-source-if-";
  const conditions = Object.entries(headers)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [`if-${name.slice(prefix.length)}`, value] as const);
  try {
    requireReadConditions(Object.fromEntries(conditions), source);
  } catch {
    throw preconditionFailed();
  }
}

/** Throws 412 or 404 unless the conditions of a write hold. */
export function requireWriteConditions(headers: Headers, existing: StoredObject | undefined): void {
  const { "if-match": match, "if-none-match": noneMatch } = headers;
  if (noneMatch !== undefined && noneMatch !== "*")
    throw s3Fault("NotImplemented", "If-None-Match other than *");
  if (noneMatch !== undefined && existing) throw preconditionFailed();
  if (match === undefined) return;
  if (!existing) throw noSuchKey();
  if (!lists(match, existing.etag)) throw preconditionFailed();
}

/** Throws 412 or 404 unless the newest version is an object with this ETag, or any for "*". */
export function requireDeleteCondition(match: string, newest: Version | undefined): void {
  if (!newest) throw noSuchKey();
  if (newest.deleteMarker || !lists(match, newest.etag)) throw preconditionFailed();
}

/** The bytes that a Range header requests; undefined if S3 would ignore it. */
export function requestedRange(headers: Headers, size: number): { start: number; end: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const [first, last] = [match[1] ?? "", match[2] ?? ""];
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
  if (start < end) return { start, end };
  throw s3Fault("InvalidRange", "The requested range is not satisfiable", {
    "content-range": `bytes */${size}`,
  });
}

/** The bytes of one part. */
export function requestedPart({ parts, size }: StoredObject, number: number): { start: number; end: number } {
  const sizes = parts?.map((part) => part.size) ?? [size];
  const own = sizes[number - 1];
  if (own === undefined) throw s3Fault("InvalidPartNumber", "The requested partnumber is not satisfiable");
  const start = sizes.slice(0, number - 1).reduce((sum, before) => sum + before, 0);
  return { start, end: start + own };
}

function lists(header: string, etag: string): boolean {
  return header
    .split(",")
    .map((item) => item.trim())
    .some((item) => item === "*" || item === etag || `"${item}"` === etag);
}

function preconditionFailed(): ServiceError {
  return s3Fault("PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
}

function noSuchKey(): ServiceError {
  return s3Fault("NoSuchKey", "The specified key does not exist.");
}
