/** The error for a source that failed by itself, whoever reads it. */
import { EnvelopeError, type ErrorDetails } from "../base/errors.js";

/**
 * Makes a `SOURCE_FAILED`. When the source failed with an error of this package, as the body of a `get` does, that is
 * what has to be dealt with, and message and details say so.
 *
 * @param what the source and how far it came
 */
export function sourceFailed(what: string, cause: unknown, details: ErrorDetails = {}): EnvelopeError {
  if (!(cause instanceof EnvelopeError))
    return new EnvelopeError("SOURCE_FAILED", `${what}; see the cause`, { cause, details });
  const { code, message, retryable } = cause;
  const advice = retryable ? ". It may succeed another time, with a fresh source" : "";
  return new EnvelopeError("SOURCE_FAILED", `${what} with ${code}: ${message}${advice}`, {
    cause,
    details: { ...details, sourceCode: code, sourceRetryable: retryable },
  });
}
