/** Maps errors of AWS KMS to codes, which say whether to retry, to fix IAM or to fix the context. */
import { EnvelopeError, type ErrorCode } from "../../base/errors.js";
import { isTransient, type ServiceFailure, serviceFailure, unexplained } from "../../base/service-failure.js";
import { setUpFault } from "../../service/set-up-fault.js";

/** A KMS operation, its key and the names in the encryption context, for errors. Never a value of the context. */
export interface KmsTarget {
  readonly operation: "GenerateDataKey" | "Decrypt";
  /** Undefined for any key. */
  readonly keyId: string | undefined;
  readonly contextNames: readonly string[];
}

const rejected =
  "KMS cannot decrypt this wrapped key under this encryption context: the object's envelope was modified, or it was wrapped under another context";

const meanings: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  AccessDeniedException: [
    "KMS_ACCESS_DENIED",
    "KMS denied access: allow the operation in the key policy or in IAM, also for this encryption context",
  ],
  InvalidCiphertextException: ["KMS_CIPHERTEXT_REJECTED", rejected],
  IncorrectKeyException: [
    "KEY_NOT_FOR_OBJECT",
    "this object was written under another KMS key than the configured one (an alias may have moved): configure the key that the envelope names",
  ],
  NotFoundException: [
    "KMS_KEY_NOT_FOUND",
    "KMS does not know the key: check its id, the account and the Region of the client",
  ],
  DisabledException: ["KMS_KEY_UNUSABLE", "the KMS key is disabled: enable it"],
  KMSInvalidStateException: [
    "KMS_KEY_UNUSABLE",
    "the KMS key is in a state that does not allow this, such as pending deletion: cancel the deletion, then enable it",
  ],
  InvalidKeyUsageException: [
    "KMS_KEY_UNUSABLE",
    "the KMS key is not a symmetric encryption key: configure one that is",
  ],
  InvalidGrantTokenException: ["KMS_ACCESS_DENIED", "KMS refused a grant token: get a new one"],
};

const credentialFaults = new Set([
  "UnrecognizedClientException",
  "InvalidSignatureException",
  "IncompleteSignatureException",
  "MissingAuthenticationTokenException",
  "ExpiredTokenException",
  "OptInRequired",
]);

/** The coded error for a failure of a KMS call, with that failure as its cause. */
export function kmsError(cause: unknown, target: KmsTarget): EnvelopeError {
  const failure = serviceFailure(cause);
  const fault = setUpFault("KMS", cause, failure);
  const [code, message] = fault
    ? ([fault.isDenied ? "KMS_ACCESS_DENIED" : "KMS_REQUEST_FAILED", fault.advice] as const)
    : meaning(failure);
  return new EnvelopeError(code, `KMS ${target.operation} failed: ${message}`, {
    cause: isUnparsable(cause) ? new Error("the response could not be parsed") : withoutBody(cause),
    details: { ...target, ...failure, ...fault?.details },
  });
}

/**
 * Whether the SDK could not parse a response with a success status. It holds the plaintext data key: the SDK's error quotes
 * parts of it and has all of it in a property.
 */
function isUnparsable(cause: unknown): boolean {
  return cause instanceof Error && !("$fault" in cause) && "$response" in cause;
}

/** Properties of an exception that do not come from the response, besides those that start with "$". */
const ownFields = new Set<string | symbol>(["name", "message", "stack", "cause", "code", "__type"]);

/**
 * Removes from an error everything that comes from a response body. An exception has every field of the body, the data key
 * included when a proxy has changed nothing but the status. An error of Node's parser has the bytes.
 */
function withoutBody(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause;
  const isOfBody = (name: string | symbol) =>
    name === "rawPacket" || ("$fault" in cause && !String(name).startsWith("$") && !ownFields.has(name));
  for (const name of Reflect.ownKeys(cause)) if (isOfBody(name)) Reflect.deleteProperty(cause, name);
  return cause;
}

function meaning(failure: ServiceFailure): readonly [ErrorCode, string] {
  const known = Object.hasOwn(meanings, failure.serviceError) ? meanings[failure.serviceError] : undefined;
  if (known) return known;
  if (credentialFaults.has(failure.serviceError)) {
    return ["KMS_ACCESS_DENIED", `the credentials of the KMS client were refused (${failure.serviceError})`];
  }
  return isTransient(failure)
    ? ["KMS_UNAVAILABLE", `KMS is not available (${failure.serviceError}): try again later`]
    : ["KMS_REQUEST_FAILED", unexplained(failure)];
}
