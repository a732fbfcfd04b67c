/** What an operation of the in-process S3 is, and what several of them need. */
import type { ServiceRequest, ServiceResponse } from "../../service.js";
import type { ObjectStore } from "../storage/object-store.js";
import type { UploadStore } from "../storage/upload-store.js";
import { s3Fault } from "../wire/s3-fault.js";

/** What an operation works with. */
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

/** Operations by the names that the AWS API gives them. */
export type Operations = Readonly<Record<string, Operation>>;

export const xml = { "content-type": "application/xml" };
const maxListed = 1000;

/** The number that a parameter writes in digits; NaN for anything else. */
export function wholeNumber(text: string | undefined): number {
  return /^\d+$/.test(text ?? "") ? Number(text) : Number.NaN;
}

/** How many entries one answer of a listing has at most. */
export function pageSize(query: ReadonlyMap<string, string>, parameter: string): number {
  const stated = wholeNumber(query.get(parameter) ?? String(maxListed));
  if (Number.isNaN(stated)) throw s3Fault("InvalidArgument", `${parameter} must be a whole number`);
  return Math.min(stated, maxListed);
}

/** The first entries of a listing, and whether there are more. */
export function firstPage<T>(rest: readonly T[], limit: number): { page: readonly T[]; truncated: boolean } {
  return { page: rest.slice(0, limit), truncated: rest.length > limit && limit > 0 };
}

/** Those of the headers that have these names. */
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
