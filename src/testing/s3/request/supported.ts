/** What a request may ask for: everything else is refused by its name. */
import type { ServiceRequest } from "../../service.js";
import { s3Fault } from "../wire/s3-fault.js";
import { unknownParameter } from "./routes.js";

/**
 * Throws if a request asks for something that its operation does not support.
 *
 * @throws NotImplemented, with the name of the header or parameter as the message
 */
export function refuseUnsupported(operation: string, request: ServiceRequest): void {
  const parameter = unknownParameter(request);
  if (parameter !== undefined) throw s3Fault("NotImplemented", `the parameter ${parameter}`);
  const header = unsupportedHeader(request) ?? unsupportedCondition(operation, request.headers);
  if (header !== undefined) throw s3Fault("NotImplemented", header);
}

const supported = new RegExp(
  `^x-amz-(?:${[
    "content-sha256|date|security-token|trailer|decoded-content-length|user-agent|request-payer",
    // An offer to accept an MD5 after the body (SDK for Java 2), which a response may ignore.
    "te",
    "meta-.+|tagging|tagging-directive|metadata-directive|storage-class|website-redirect-location",
    "checksum-.+|sdk-checksum-algorithm|mp-object-size|object-attributes|max-parts|part-number-marker",
    "(?:copy-source-)?server-side-encryption(?:-.+)?|expected-bucket-owner|source-expected-bucket-owner",
    "copy-source|copy-source-range|copy-source-if-(?:none-match|match|modified-since|unmodified-since)",
  ].join("|")})$`,
);

/**
 * Header values that ask for the only supported state: one owner, no ACLs, locks, annotations or restored
 * copies.
 */
const harmless: Readonly<Record<string, RegExp>> = {
  "x-amz-acl": /^(private|bucket-owner-full-control)$/,
  "x-amz-bucket-namespace": /^global$/,
  "x-amz-bucket-object-lock-enabled": /^false$/i,
  "x-amz-bypass-governance-retention": /^(true|false)$/i,
  "x-amz-object-annotation-directive": /^(COPY|EXCLUDE)$/,
  "x-amz-object-ownership": /^BucketOwnerEnforced$/,
  "x-amz-optional-object-attributes": /^RestoreStatus$/,
};

/** The first header of a request, with its value, that asks for something unsupported. */
function unsupportedHeader({ headers }: ServiceRequest): string | undefined {
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith("x-amz-") || supported.test(name)) continue;
    const values = Object.hasOwn(harmless, name) ? harmless[name] : undefined;
    if (!values) return name;
    if (!values.test(value)) return `${name}: ${value}`;
  }
  return undefined;
}

const read = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
const write = ["if-match", "if-none-match"];
const copySource = read.map((name) => `x-amz-copy-source-${name}`);

/** The conditions of each operation. Ignoring others would do what the client did not want. */
const conditionsOf: Readonly<Record<string, readonly string[]>> = {
  GetObject: read,
  HeadObject: read,
  PutObject: write,
  CompleteMultipartUpload: write,
  CopyObject: [...write, ...copySource],
  UploadPartCopy: copySource,
  DeleteObject: ["if-match"],
};
const conditions = [...read, "if-range", "content-range", ...copySource];

/** The first condition of a request that its operation does not support. */
export function unsupportedCondition(
  operation: string,
  headers: ServiceRequest["headers"],
): string | undefined {
  const known = Object.hasOwn(conditionsOf, operation) ? conditionsOf[operation] : undefined;
  return conditions.find((name) => headers[name] !== undefined && !known?.includes(name));
}
