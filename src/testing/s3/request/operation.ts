/** The shape of an operation of the in-process S3, and what several operations need. */
import type { ServiceRequest, ServiceResponse } from "../../service.js";
import type { ObjectStore } from "../storage/object-store.js";
import type { UploadStore } from "../storage/upload-store.js";
import { type ChecksumAlgorithm, checksumAlgorithm } from "../wire/checksums.js";
import { s3Fault } from "../wire/s3-fault.js";

/** The arguments of an operation. */
export interface Call {
  readonly store: ObjectStore;
  readonly uploads: UploadStore;
  readonly request: ServiceRequest;
  readonly bucket: string;
  readonly key: string;
  readonly region: string;
  readonly minPartBytes: number;
}

/** One operation. */
export type Operation = (call: Call) => ServiceResponse | Promise<ServiceResponse>;

/** Operations by their AWS API names. */
export type Operations = Readonly<Record<string, Operation>>;

export const xml = { "content-type": "application/xml" };
const maxListed = 1000;

/** Parses a parameter of decimal digits; NaN for anything else. */
export function wholeNumber(text: string | undefined): number {
  return /^\d+$/.test(text ?? "") ? Number(text) : Number.NaN;
}

/** The maximum number of entries in one response of a listing. */
export function pageSize(query: ReadonlyMap<string, string>, parameter: string): number {
  const stated = wholeNumber(query.get(parameter) ?? String(maxListed));
  if (Number.isNaN(stated)) throw s3Fault("InvalidArgument", `${parameter} must be a whole number`);
  return Math.min(stated, maxListed);
}

/** The first entries of a listing, and whether there are more. */
export function firstPage<T>(rest: readonly T[], limit: number): { page: readonly T[]; truncated: boolean } {
  return { page: rest.slice(0, limit), truncated: rest.length > limit && limit > 0 };
}

/** Selects headers by name. */
export function pickHeaders(
  headers: ServiceRequest["headers"],
  names: readonly string[],
): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}

/** The checksum algorithm that a request names for the object that it creates. */
export function requestedAlgorithm({ headers }: ServiceRequest): ChecksumAlgorithm | undefined {
  const name = headers["x-amz-checksum-algorithm"];
  if (name === undefined) return undefined;
  const algorithm = checksumAlgorithm(name);
  if (algorithm) return algorithm;
  throw s3Fault("InvalidRequest", "Checksum algorithm provided is unsupported");
}

/** The part number of a request. */
export function partNumber(text: string | undefined): number {
  const number = wholeNumber(text);
  if (number >= 1 && number <= 10_000) return number;
  throw s3Fault("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive");
}
