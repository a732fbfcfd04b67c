/**
 * Verifies AWS Signature Version 4, in the Authorization header or in the query, by the public specification.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Credentials, ServiceError, ServiceRequest } from "./service.js";

/** What {@link authenticate} verifies against. */
export interface SignatureScope {
  readonly credentials: Credentials;
  readonly region: string;
  readonly service: "s3" | "kms";
}

/** The errors of a service for each kind of wrong signature. */
export interface SignatureErrors {
  readonly missing: ServiceError;
  readonly unknownKey: ServiceError;
  readonly skewed: ServiceError;
  readonly mismatch: ServiceError;
  /** The scope names another Region; services without this error report a mismatch. */
  readonly region?: (claimed: string, presigned: boolean) => ServiceError;
  /** A header that must be signed is not; services without this error report a mismatch. */
  readonly unsigned?: ServiceError;
  /** A signature of version 2; services without this error report a missing signature. */
  readonly version2?: ServiceError;
  /** Of a presigned request: its parameters are malformed, or it has expired; a service may have none. */
  readonly malformed?: ServiceError;
  readonly expired?: ServiceError;
}

/** The signature of a request, from its Authorization header or its query. */
interface Claim {
  readonly accessKeyId: string;
  readonly day: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: string;
  readonly signature: string;
  readonly date: string;
  /** Of a presigned request only: its validity in seconds. */
  readonly expires?: number;
}

const algorithm = "AWS4-HMAC-SHA256";
const maxSkewMs = 15 * 60 * 1000;
const maxExpires = 7 * 24 * 60 * 60;
const credentialForm = "([^/,]+)/(\\d{8})/([^/,]+)/([^/,]+)/aws4_request";
const authorizationForm = new RegExp(
  `^${algorithm} Credential=${credentialForm}, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$`,
);
const signatureParameter = "X-Amz-Signature";
/**
 * S3 accepts a non-ASCII header signed as the received bytes (SDK for Go), or with each byte as a character.
 */
const headerEncodings = ["latin1", "utf8"] as const;
const ownParameters = /^x-amz-(algorithm|credential|date|expires|signedheaders|signature|security-token)$/i;

/**
 * Throws unless the request is signed by the credentials for Region and service, recently or with validity
 * left.
 *
 * @param payloadHash returns the hash of the body in the canonical request; called if there is a signature
 * @returns the request; headers in the query of a presigned one are among its headers
 */
export function authenticate(
  request: ServiceRequest,
  payloadHash: (request: ServiceRequest) => string,
  scope: SignatureScope,
  errors: SignatureErrors,
): ServiceRequest {
  const claim = headerClaim(request) ?? queryClaim(request, errors);
  if (!claim) throw (isVersion2(request) ? errors.version2 : undefined) ?? errors.missing;
  const { day, region, service, date, signedHeaders } = claim;
  if (claim.accessKeyId !== scope.credentials.accessKeyId) throw errors.unknownKey;
  if (region !== scope.region) throw errors.region?.(region, claim.expires !== undefined) ?? errors.mismatch;
  if (service !== scope.service || !date.startsWith(day)) throw errors.mismatch;
  requireTime(claim, errors);
  const names = signedHeaders.split(";");
  if (!names.includes("host") || unsignedAmzHeader(request.headers, names)) {
    throw errors.unsigned ?? errors.mismatch;
  }
  const effective = claim.expires === undefined ? request : withQueryHeaders(request);
  const canonical = [
    request.method,
    request.path,
    canonicalQuery(request.query),
    ...names.map((name) => `${name}:${(request.headers[name] ?? "").trim().replace(/ +/g, " ")}`),
    "",
    signedHeaders,
    payloadHash(effective),
  ].join("\n");
  const credentialScope = `${day}/${region}/${service}/aws4_request`;
  const key = [day, region, service, "aws4_request"].reduce<Buffer>(
    (secret, part) => hmac(secret, part),
    Buffer.from(`AWS4${scope.credentials.secretAccessKey}`),
  );
  const signature = Buffer.from(claim.signature, "hex");
  const isSigned = headerEncodings.some((encoding) => {
    const digest = createHash("sha256").update(canonical, encoding).digest("hex");
    return timingSafeEqual(hmac(key, [algorithm, date, credentialScope, digest].join("\n")), signature);
  });
  if (!isSigned) throw errors.mismatch;
  return effective;
}

function headerClaim({ headers }: ServiceRequest): Claim | undefined {
  const match = authorizationForm.exec(headers.authorization ?? "");
  if (!match) return undefined;
  const [, accessKeyId = "", day = "", region = "", service = "", signedHeaders = "", signature = ""] = match;
  const date = headers["x-amz-date"] ?? stampOf(headers.date ?? "");
  return { accessKeyId, day, region, service, signedHeaders, signature, date };
}

/** Whether a request has a signature of version 2. */
function isVersion2({ headers, query }: ServiceRequest): boolean {
  return /^AWS /.test(headers.authorization ?? "") || (query.has("AWSAccessKeyId") && query.has("Signature"));
}

function queryClaim({ headers, query }: ServiceRequest, errors: SignatureErrors): Claim | undefined {
  if (!errors.malformed || headers.authorization !== undefined || !query.has("X-Amz-Algorithm"))
    return undefined;
  const credential = new RegExp(`^${credentialForm}$`).exec(query.get("X-Amz-Credential") ?? "");
  const signature = query.get(signatureParameter) ?? "";
  const signedHeaders = query.get("X-Amz-SignedHeaders") ?? "";
  const date = query.get("X-Amz-Date") ?? "";
  const expires = /^\d{1,6}$/.test(query.get("X-Amz-Expires") ?? "") ? Number(query.get("X-Amz-Expires")) : 0;
  const complete = credential && /^[0-9a-f]{64}$/.test(signature) && signedHeaders !== "" && date !== "";
  if (!complete || expires < 1 || expires > maxExpires || query.get("X-Amz-Algorithm") !== algorithm) {
    throw errors.malformed;
  }
  const [, accessKeyId = "", day = "", region = "", service = ""] = credential;
  return { accessKeyId, day, region, service, signedHeaders, signature, date, expires };
}

function requireTime({ date, expires }: Claim, errors: SignatureErrors): void {
  const age = Date.now() - parseDate(date);
  if (expires === undefined) {
    if (!(Math.abs(age) <= maxSkewMs)) throw errors.skewed;
  } else if (!(age >= -maxSkewMs && age <= expires * 1000)) {
    throw errors.expired ?? errors.skewed;
  }
}

/** Moves the headers in the query of a presigned request to its headers; its body is unsigned by default. */
function withQueryHeaders(request: ServiceRequest): ServiceRequest {
  const hoisted = [...request.query]
    .filter(([name]) => /^x-amz-/i.test(name) && !ownParameters.test(name))
    .map(([name, value]) => [name.toLowerCase(), value]);
  const unsigned = { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" };
  return { ...request, headers: { ...unsigned, ...Object.fromEntries(hoisted), ...request.headers } };
}

/** Percent-encodes all but the unreserved characters of the specification. */
export function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function canonicalQuery(query: ReadonlyMap<string, string>): string {
  return [...query]
    .filter(([name]) => name !== signatureParameter)
    .map(([name, value]) => [uriEncode(name), uriEncode(value)] as const)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

function unsignedAmzHeader(headers: Readonly<Record<string, string>>, signed: readonly string[]): boolean {
  return Object.keys(headers).some((name) => name.startsWith("x-amz-") && !signed.includes(name));
}

/**
 * Converts an HTTP date to the form of a signature, such as "20260131T235959Z"; a date in that form stays.
 */
function stampOf(date: string): string {
  const time = Date.parse(date);
  if (Number.isNaN(time)) return date;
  return new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, "");
}

function parseDate(date: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  return match
    ? Date.parse(`${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}Z`)
    : Number.NaN;
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
