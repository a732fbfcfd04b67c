/** The errors for a source that fails or ends too early, whoever reads it. */
import { EnvelopeError, type ErrorDetails } from "../base/errors.js";

/** `SOURCE_FAILED` for a source that ended early without an error of its own. */
export class EarlyEnd extends EnvelopeError {
  /** The predicate of a sentence about the stream, such as "closed before it ended". */
  readonly what: string;

  constructor(title: string, what: string) {
    super("SOURCE_FAILED", `${title}: the stream ${what}`);
    this.what = what;
  }
}

/**
 * Makes a `SOURCE_FAILED`. If the cause is an error of this package, such as that of the body of a `get`, message and
 * details name its code, because that is the error to handle.
 *
 * @param what names the source and how far it was read
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
