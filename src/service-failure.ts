/** The facts of a failed AWS SDK call that a log line may carry. */
import { printable } from "./bytes.js";

/** What is known of a failure; never a response body. */
export interface ServiceFailure {
  /** The name of the service's exception, or of the network error. */
  readonly serviceError: string;
  readonly httpStatusCode: number | undefined;
  readonly requestId: string | undefined;
}

/** Reads the facts of a failure off whatever the SDK threw. */
export function serviceFailure(cause: unknown): ServiceFailure {
  const { name, code, $metadata } = (typeof cause === "object" && cause !== null ? cause : {}) as {
    name?: unknown;
    code?: unknown;
    $metadata?: { httpStatusCode?: number; requestId?: unknown };
  };
  // Node throws an AggregateError when a host has several addresses and none could be reached.
  const generic = name === undefined || ["Error", "TypeError", "AggregateError"].includes(String(name));
  const serviceError =
    generic && typeof code === "string" ? code : typeof name === "string" ? name : "unknown error";
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
