/** Checks AWS Signature Version 4 in the Authorization header, from the public specification. */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Credentials, ServiceError, ServiceRequest } from "./service.js";

/** What the caller of {@link verifySignature} expects. */
export interface SignatureScope {
  readonly credentials: Credentials;
  readonly region: string;
  readonly service: "s3" | "kms";
}

/** The errors of a service for each way that a signature can be wrong. */
export interface SignatureErrors {
  readonly missing: ServiceError;
  readonly unknownKey: ServiceError;
  readonly skewed: ServiceError;
  readonly mismatch: ServiceError;
}

const algorithm = "AWS4-HMAC-SHA256";
const maxSkewMs = 15 * 60 * 1000;
const authorizationForm = new RegExp(
  `^${algorithm} Credential=([^/,]+)/(\\d{8})/([^/,]+)/([^/,]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$`,
);

/**
 * Throws unless the request is signed by the credentials for region and service, and recently.
 *
 * @param payloadHash tells what stands for the body in the canonical request; called when there is a signature
 */
export function verifySignature(
  request: ServiceRequest,
  payloadHash: () => string,
  scope: SignatureScope,
  errors: SignatureErrors,
): void {
  const { headers } = request;
  const match = authorizationForm.exec(headers.authorization ?? "");
  if (!match) throw errors.missing;
  const [, accessKeyId = "", day = "", region = "", service = "", signedHeaders = "", signature = ""] = match;
  if (accessKeyId !== scope.credentials.accessKeyId) throw errors.unknownKey;
  const date = headers["x-amz-date"] ?? "";
  if (region !== scope.region || service !== scope.service || !date.startsWith(day)) throw errors.mismatch;
  if (!(Math.abs(Date.now() - parseDate(date)) <= maxSkewMs)) throw errors.skewed;
  const names = signedHeaders.split(";");
  if (!names.includes("host") || unsignedAmzHeader(headers, names)) throw errors.mismatch;
  const canonical = [
    request.method,
    request.path,
    canonicalQuery(request.query),
    ...names.map((name) => `${name}:${(headers[name] ?? "").trim().replace(/ +/g, " ")}`),
    "",
    signedHeaders,
    payloadHash(),
  ].join("\n");
  const credentialScope = `${day}/${region}/${service}/aws4_request`;
  const toSign = [
    algorithm,
    date,
    credentialScope,
    createHash("sha256").update(canonical).digest("hex"),
  ].join("\n");
  const key = [day, region, service, "aws4_request"].reduce<Buffer>(
    (secret, part) => hmac(secret, part),
    Buffer.from(`AWS4${scope.credentials.secretAccessKey}`),
  );
  if (!timingSafeEqual(hmac(key, toSign), Buffer.from(signature, "hex"))) throw errors.mismatch;
}

/** Encodes as the specification does: all but unreserved characters. */
export function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function canonicalQuery(query: ReadonlyMap<string, string>): string {
  return [...query]
    .map(([name, value]) => `${uriEncode(name)}=${uriEncode(value)}`)
    .sort()
    .join("&");
}

function unsignedAmzHeader(headers: Readonly<Record<string, string>>, signed: readonly string[]): boolean {
  return Object.keys(headers).some((name) => name.startsWith("x-amz-") && !signed.includes(name));
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
