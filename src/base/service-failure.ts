/** The facts about a failed AWS SDK call that a log line may contain. */
import { printable } from "./bytes.js";

/** The facts about a failure; never a response body. */
export interface ServiceFailure {
  /** The name of the exception of the service, or of the network error. */
  readonly serviceError: string;
  readonly httpStatusCode: number | undefined;
  readonly requestId: string | undefined;
}

const unnamed = "unknown error";
/** Names without information, from the SDK or from a parser, for responses in which the service gave none. */
const emptyNames = new Set([
  unnamed,
  "Unknown",
  "UnknownError",
  "Error",
  "TypeError",
  "RangeError",
  "SyntaxError",
]);

/** The explanation of a failure about which nothing more is known. */
export function unexplained({ serviceError, httpStatusCode }: ServiceFailure): string {
  return httpStatusCode !== undefined && emptyNames.has(serviceError)
    ? `the service refused it with status ${httpStatusCode} and does not say why (${serviceError}); see the cause`
    : `${serviceError}; see the cause`;
}

/** Reads the facts about a failure from the error that the SDK threw. */
export function serviceFailure(cause: unknown): ServiceFailure {
  const { name, code, $metadata } = (typeof cause === "object" && cause !== null ? cause : {}) as {
    name?: unknown;
    code?: unknown;
    $metadata?: { httpStatusCode?: number; requestId?: unknown };
  };
  // Node throws an AggregateError when a host has several addresses and none could be reached.
  const isNamed = typeof name === "string" && !["", "Error", "TypeError", "AggregateError"].includes(name);
  const [serviceError = unnamed] = (isNamed ? [name] : [code, name]).filter(
    (text): text is string => typeof text === "string" && text !== "",
  );
  const requestId = $metadata?.requestId;
  return {
    serviceError: printable(serviceError),
    httpStatusCode: $metadata?.httpStatusCode,
    requestId: typeof requestId === "string" ? printable(requestId) : undefined,
  };
}

const transientNames =
  /Throttl|TooManyRequests|SlowDown|LimitExceeded|Timeout|^Internal|KMSInternal|DependencyTimeout|KeyUnavailable|Unavailable|^E(CONN|PIPE|AI_AGAIN|HOSTUNREACH|HOSTDOWN|NETUNREACH|NETDOWN|NOTFOUND|ADDRNOTAVAIL|MFILE)|NetworkingError|^DamagedResponse$|^HPE_(?!.*_OVERFLOW$)/;

/** Whether the same call may succeed later, because of throttling or a fault of the service or of the network. */
export function isTransient({ serviceError, httpStatusCode }: ServiceFailure): boolean {
  // With these, a store permanently rejects a request that it does not know.
  if (httpStatusCode === 501 || httpStatusCode === 505) return false;
  return (
    (httpStatusCode ?? 0) >= 500 ||
    httpStatusCode === 429 ||
    httpStatusCode === 408 ||
    transientNames.test(serviceError)
  );
}
