/** Explains failures of an AWS client that are due to its set-up: its Region, its credentials, the clock of this machine. */
import type { ServiceFailure } from "../base/service-failure.js";

/** A fault in the set-up of a client. */
export interface SetUpFault {
  /** Whether the service rejected the caller, or the client did so before it sent a request. */
  readonly isDenied: boolean;
  /** The fault and its remedy, for a message. */
  readonly advice: string;
  readonly details: Readonly<Record<string, string | number>>;
}

/** Finds the fault in the set-up of a client that made a call fail; undefined if there is none. */
export function setUpFault(
  service: "S3" | "KMS",
  cause: unknown,
  failure: ServiceFailure,
): SetUpFault | undefined {
  return (
    missingRegion(service, cause) ??
    missingCredentials(service, cause, failure) ??
    wrongClock(service, cause, failure) ??
    (service === "S3" ? wrongRegion(cause, failure) : undefined)
  );
}

/** The message of an error, if it is a string: the SDK copies it from the response, where it may be another value. */
function messageOf(cause: unknown): string {
  const message: unknown = cause instanceof Error ? cause.message : undefined;
  return typeof message === "string" ? message : "";
}

/** The SDK throws an Error without a name or a code of its own. */
function missingRegion(service: string, cause: unknown): SetUpFault | undefined {
  if (!/^Region is missing/.test(messageOf(cause))) return undefined;
  const advice = `no Region is configured: give the ${service} client a region, or set AWS_REGION`;
  return { isDenied: false, advice, details: {} };
}

const noCredentials =
  /^(Could not load credentials from any providers|Credential is missing|Resolved credential object is not valid)/;

function missingCredentials(
  service: string,
  cause: unknown,
  { serviceError }: ServiceFailure,
): SetUpFault | undefined {
  if (noCredentials.test(messageOf(cause))) {
    const advice = `no credentials were found: give the ${service} client credentials, or the environment, a profile or the machine a role`;
    return { isDenied: true, advice, details: {} };
  }
  if (serviceError !== "CredentialsProviderError" && serviceError !== "TokenProviderError") return undefined;
  const advice = `the credentials of the ${service} client could not be loaded (${serviceError}): the cause says why`;
  return { isDenied: true, advice, details: {} };
}

/** The clock differences that the services accept: 15 minutes for S3, 5 minutes for KMS. */
const maxDifferenceMs = { S3: 15 * 60_000, KMS: 5 * 60_000 };
/** Errors that are always due to the clock. */
const clockErrors = new Set(["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"]);
/** Errors that may be due to the clock: an old signature, or a response without a body, such as that to a HeadObject. */
const mayBeClock = new Set([
  "InvalidSignatureException",
  "SignatureDoesNotMatch",
  "AuthFailure",
  "Unknown",
  "403",
]);

function wrongClock(
  service: "S3" | "KMS",
  cause: unknown,
  { serviceError, httpStatusCode = 0 }: ServiceFailure,
): SetUpFault | undefined {
  const isSure = clockErrors.has(serviceError);
  if (!isSure && (httpStatusCode < 400 || httpStatusCode > 403 || !mayBeClock.has(serviceError)))
    return undefined;
  const differenceMs = clockDifferenceMs(cause);
  const isOff = Math.abs(differenceMs) > maxDifferenceMs[service];
  if (!isSure && !isOff) return undefined;
  const minutes = Math.round(Math.abs(differenceMs) / 60_000);
  const difference = isOff
    ? `is ${minutes} minutes ${differenceMs > 0 ? "ahead of" : "behind"} that of ${service}`
    : `differs too much from that of ${service}, or differed when the request was signed`;
  return {
    isDenied: true,
    advice: `the clock of this machine ${difference} (${serviceError}): set it`,
    details: isOff ? { clockDifferenceMs: differenceMs } : {},
  };
}

/** How far the clock of this machine is ahead of the service's, in milliseconds; 0 if the response has no date. */
function clockDifferenceMs(cause: unknown): number {
  const { ServerTime } = Object(cause) as { ServerTime?: unknown };
  const date = ServerTime ?? headerOf(cause, "date");
  const serverMs = typeof date === "string" ? Date.parse(date) : Number.NaN;
  return Number.isNaN(serverMs) ? 0 : Date.now() - serverMs;
}

/** Statuses of redirects, and the codes with which S3 rejects a signature for another Region. */
const redirects = new Set([301, 307, 308]);
const regionErrors = new Set([
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
  "PermanentRedirect",
  "TemporaryRedirect",
]);

function wrongRegion(
  cause: unknown,
  { serviceError, httpStatusCode = 0 }: ServiceFailure,
): SetUpFault | undefined {
  const isSure = redirects.has(httpStatusCode) || regionErrors.has(serviceError);
  // A response to a HeadObject has no body with more information.
  if (!isSure && !(httpStatusCode === 400 && serviceError === "Unknown")) return undefined;
  const bucketRegion = bucketRegionOf(cause);
  if (bucketRegion === undefined) {
    if (!redirects.has(httpStatusCode)) return undefined;
    const advice = `the bucket is in another Region or at another endpoint (${serviceError}): set region and endpoint of the S3 client to those of the bucket`;
    return { isDenied: false, advice, details: {} };
  }
  const [, clientRegion] = /the region '([a-z0-9-]{1,64})' is wrong/.exec(messageOf(cause)) ?? [];
  const other = clientRegion === undefined ? "" : ` (the client's is ${clientRegion})`;
  const advice = isSure
    ? `the bucket is in Region ${bucketRegion}${other}: set the region of the S3 client to that`
    : `S3 does not say why (${serviceError}); the bucket is in Region ${bucketRegion}: check that the region of the S3 client is the same`;
  return { isDenied: false, advice, details: { bucketRegion } };
}

/** The Region of the bucket, from the header or the body of the response. */
function bucketRegionOf(cause: unknown): string | undefined {
  const { Region, Endpoint } = Object(cause) as { Region?: unknown; Endpoint?: unknown };
  const endpoint = typeof Endpoint === "string" ? `/${Endpoint}` : "";
  const ofEndpoint = /[./]s3[.-]([a-z0-9-]+)\.amazonaws\.com/.exec(endpoint)?.[1];
  return [headerOf(cause, "x-amz-bucket-region"), Region, ofEndpoint].find(
    (region): region is string => typeof region === "string" && /^[a-z]{2,}-[a-z0-9-]{1,60}$/.test(region),
  );
}

function headerOf(cause: unknown, name: string): unknown {
  const { $response } = Object(cause) as { $response?: { headers?: Record<string, unknown> } };
  return $response?.headers?.[name];
}
