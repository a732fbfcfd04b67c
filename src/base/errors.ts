/** The error class of the package and the list of its codes. docs/errors.md explains each code. */
import { firstNames, printable } from "./bytes.js";

/**
 * Every code of an {@link EnvelopeError}, and whether the same call may succeed if it is repeated later. docs/errors.md
 * states for each code what happened and what to do; a test compares the two lists.
 */
const codes = {
  // Bytes that may be hostile
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
  // The body that the caller passes
  SOURCE_FAILED: { retryable: false },
  SOURCE_STALLED: { retryable: false },
  SOURCE_LENGTH_MISMATCH: { retryable: false },
  SOURCE_TOO_LARGE: { retryable: false },
  SOURCE_CHANGED: { retryable: false },
  // Files of this machine
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

/** A stable, documented name of a failure. A minor release may add codes, but never changes the meaning of one. */
export type ErrorCode = keyof typeof codes;

/** All codes, for exhaustive handling and for tests. */
export const errorCodes: readonly ErrorCode[] = Object.freeze(Object.keys(codes) as ErrorCode[]);

/**
 * Facts for a log line: names, sizes, key ids, request ids. They never contain a key, plaintext, a value of an encryption
 * context or a response body. Text is made printable, as in messages: a key or a path is exact unless it is longer than
 * 4,096 characters or contains control characters, format characters or a lone surrogate, which are escaped. A list of
 * more than 21 entries is shortened to 20 and one that states the number of the others.
 */
export type ErrorDetails = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>;

/** The maximum length of a message. */
const maxMessageLength = 4096;
/** The maximum length of a detail: no operating system accepts a longer path. */
const maxDetailLength = 4096;
/** The maximum length of an entry of a list: no S3 key is longer. */
const maxEntryLength = 1024;

/**
 * The error for every failure that is not a mistake of the caller; those are TypeError and RangeError. Message and details
 * are printable, have one line and a maximum length, whatever names they contain. `cause` is the original error, unchanged.
 */
export class EnvelopeError extends Error {
  /** The name of the failure; docs/errors.md has a paragraph on each. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean;
  /** Facts that help to find the cause; see {@link ErrorDetails} for what they never contain. */
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
 * Copies an error with more details and, if given, another message. Code, cause and stack stay. The original stays
 * unchanged, because several calls that share a data key may throw it.
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

/** Whether a thrown value is an {@link EnvelopeError} with this code. */
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
