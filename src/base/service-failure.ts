/** The facts of a failed AWS SDK call that a log line may carry. */
import { printable } from "./bytes.js";

/** What is known of a failure; never a response body. */
export interface ServiceFailure {
  /** The name of the service's exception, or of the network error. */
  readonly serviceError: string;
  readonly httpStatusCode: number | undefined;
  readonly requestId: string | undefined;
}

const unnamed = "unknown error";
/** Names that say nothing: those that the SDK, or the parser of a body that is none, gives where the service gave none. */
const emptyNames = new Set([
  unnamed,
  "Unknown",
  "UnknownError",
  "Error",
  "TypeError",
  "RangeError",
  "SyntaxError",
]);

/** What is to be said of a failure that nothing more is known of. */
export function unexplained({ serviceError, httpStatusCode }: ServiceFailure): string {
  return httpStatusCode !== undefined && emptyNames.has(serviceError)
    ? `the service refused it with status ${httpStatusCode} and does not say why (${serviceError}); see the cause`
    : `${serviceError}; see the cause`;
}

/** Reads the facts of a failure off whatever the SDK threw. */
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

/** Whether the same call may succeed later: throttling, a fault of the service, or of the network. */
export function isTransient({ serviceError, httpStatusCode }: ServiceFailure): boolean {
  // A store that does not know a request, or refuses its form for good, says so with one of these.
  if (httpStatusCode === 501 || httpStatusCode === 505) return false;
  return (
    (httpStatusCode ?? 0) >= 500 ||
    httpStatusCode === 429 ||
    httpStatusCode === 408 ||
    transientNames.test(serviceError)
  );
}
