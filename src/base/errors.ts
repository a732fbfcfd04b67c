/** The one error class of the package and the list of its codes. docs/errors.md explains each code. */
import { firstNames, printable } from "./bytes.js";

/**
 * Every code an {@link EnvelopeError} can carry, with whether the same call may succeed when it is simply
 * made again later. docs/errors.md says for each what happened and what to do; a test keeps the two in step.
 */
const codes = {
  // Reading bytes that may be hostile
  DECRYPTION_FAILED: { retryable: false },
  BODY_TRUNCATED: { retryable: false },
  BODY_INTERRUPTED: { retryable: true },
  BODY_STALLED: { retryable: true },
  // The envelope
  ENVELOPE_MISSING: { retryable: false },
  ENVELOPE_INVALID: { retryable: false },
  ENVELOPE_VERSION_UNSUPPORTED: { retryable: false },
  ENVELOPE_TOO_LARGE: { retryable: false },
  LEGACY_FORMAT: { retryable: false },
  LEGACY_REFUSED: { retryable: false },
  LEGACY_TOO_LARGE: { retryable: false },
  CONTEXT_MISMATCH: { retryable: false },
  MIGRATION_UNCONFIRMED: { retryable: false },
  // Keys
  KEY_NOT_FOR_OBJECT: { retryable: false },
  KEY_NOT_ROTATED: { retryable: false },
  KMS_UNAVAILABLE: { retryable: true },
  KMS_ACCESS_DENIED: { retryable: false },
  KMS_KEY_NOT_FOUND: { retryable: false },
  KMS_KEY_UNUSABLE: { retryable: false },
  KMS_CIPHERTEXT_REJECTED: { retryable: false },
  KMS_REQUEST_FAILED: { retryable: false },
  // The body that the caller hands in
  SOURCE_FAILED: { retryable: false },
  SOURCE_STALLED: { retryable: false },
  SOURCE_LENGTH_MISMATCH: { retryable: false },
  SOURCE_TOO_LARGE: { retryable: false },
  SOURCE_CHANGED: { retryable: false },
  // Files of this machine, and what is kept to go on later
  FILE_FAILED: { retryable: false },
  CHECKPOINT_INVALID: { retryable: false },
  // The engine
  WORKER_FAILED: { retryable: true },
  // S3
  S3_UNAVAILABLE: { retryable: true },
  S3_ACCESS_DENIED: { retryable: false },
  S3_NOT_FOUND: { retryable: false },
  S3_NOT_MODIFIED: { retryable: false },
  S3_PRECONDITION_FAILED: { retryable: false },
  S3_RANGE_NOT_SATISFIABLE: { retryable: false },
  S3_REQUEST_FAILED: { retryable: false },
} as const;

/** A stable, documented name for what went wrong. New codes may come with a minor release; none changes its meaning. */
export type ErrorCode = keyof typeof codes;

/** All codes, for exhaustive handling and for tests. */
export const errorCodes: readonly ErrorCode[] = Object.freeze(Object.keys(codes) as ErrorCode[]);

/**
 * Facts for a log line: names, sizes, key ids, request ids. Never a key, never plaintext, never a value of
 * an encryption context, never a response body. Text is in its printable form, as in messages: a key or a path is exact
 * unless it has control or format characters or a lone surrogate, which are escaped, or is longer than 4,096 characters.
 * A list of more than 21 entries is cut to 20 and one that says how many more there are.
 */
export type ErrorDetails = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>;

/** The most characters of a message. */
const maxMessageLength = 4096;
/** The most characters of a detail: no path that an operating system takes is longer. */
const maxDetailLength = 4096;
/** The most characters of one entry of a list: no key of S3 is longer. */
const maxEntryLength = 1024;

/**
 * Every failure that is not a caller's mistake. Mistakes of the caller are TypeError and RangeError. Message and details
 * are printable, in one line and bounded, whatever the names in them are; `cause` is what was thrown, as it was.
 */
export class EnvelopeError extends Error {
  /** Which failure it is; docs/errors.md has a paragraph on each. */
  readonly code: ErrorCode;
  /** True when the same call may succeed later without any change. */
  readonly retryable: boolean;
  /** Facts that help to find the cause; see {@link ErrorDetails} for what is never in them. */
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    if (!Object.hasOwn(codes, code)) throw new RangeError("code: expected one of errorCodes");
    super(
      printable(String(message), maxMessageLength),
      "cause" in options ? { cause: options.cause } : undefined,
    );
    this.name = "EnvelopeError";
    this.code = code;
    this.retryable = codes[code].retryable;
    this.details = printableDetails(options.details);
  }
}

function printableDetails(details: ErrorDetails = {}): ErrorDetails {
  return Object.freeze(
    Object.fromEntries(Object.entries(details).map(([name, value]) => [name, printableDetail(value)])),
  );
}

function printableDetail(value: ErrorDetails[string]): ErrorDetails[string] {
  if (typeof value === "string") return printable(value, maxDetailLength);
  if (!Array.isArray(value)) return value;
  return Object.freeze(firstNames(value).map((entry) => printable(String(entry), maxEntryLength)));
}

/**
 * The same error with more facts and, if it is given, another message. A copy, as one error may be thrown by several
 * calls, which share a data key; code, cause and stack are those of the first.
 */
export function withDetails(
  error: EnvelopeError,
  details: ErrorDetails,
  message = error.message,
): EnvelopeError {
  const copy = new EnvelopeError(error.code, message, {
    ...("cause" in error && { cause: error.cause }),
    details: { ...error.details, ...details },
  });
  if (error.stack !== undefined) copy.stack = error.stack.replace(error.message, () => copy.message);
  return copy;
}

/** Whether something that was thrown is an {@link EnvelopeError} of this code. */
export function hasCode(error: unknown, code: ErrorCode): error is EnvelopeError {
  return error instanceof EnvelopeError && error.code === code;
}

/** The one error for a wrong key, a wrong context and modified bytes, so that nobody can distinguish the causes. */
export function decryptionFailed(): EnvelopeError {
  return new EnvelopeError(
    "DECRYPTION_FAILED",
    "decryption failed: the data key or the encryption context is not the one that the object was written with, or the object was modified",
  );
}
