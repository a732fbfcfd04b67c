/** The Content-Range of a response. */
import type { EnvelopeError } from "../base/errors.js";
import { type RequestTarget, unusableResponse } from "./errors.js";

/** What a Content-Range says; undefined when it says nothing that makes sense. */
export function parseContentRange(
  value: string | undefined,
): { first: number; last: number; total: number } | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(value ?? "");
  const answer = { first: Number(match?.[1]), last: Number(match?.[2]), total: Number(match?.[3]) };
  return Object.values(answer).every(Number.isSafeInteger) ? answer : undefined;
}

/** The bytes of the whole object that a response is about; undefined when it does not tell. */
export function totalBytesOf({
  ContentRange,
  ContentLength,
}: {
  readonly ContentRange?: string | undefined;
  readonly ContentLength?: number | undefined;
}): number | undefined {
  return ContentRange === undefined ? ContentLength : parseContentRange(ContentRange)?.total;
}

/** The error for an answer to another question. */
export function otherRange(target: RequestTarget): EnvelopeError {
  return unusableResponse(target, "the answer is not the range that was asked for");
}
