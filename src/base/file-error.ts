/** The coded error for a file of this machine that cannot be read or written. */
import { quoted } from "./bytes.js";
import { EnvelopeError } from "./errors.js";
import { serviceFailure } from "./service-failure.js";

/** The error of code `FILE_FAILED`; `what` completes "could not", such as "be written". */
export function fileFailed(path: string, what: string, cause: unknown): EnvelopeError {
  const { serviceError: fileError } = serviceFailure(cause);
  return new EnvelopeError("FILE_FAILED", `${quoted(path)} could not ${what} (${fileError}); see the cause`, {
    cause,
    details: { path, fileError },
  });
}
