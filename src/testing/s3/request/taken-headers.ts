/** The headers of S3's own that a request may have here: those that are heeded, and those that change nothing. */
import type { ServiceRequest } from "../../service.js";

const heeded = new RegExp(
  `^x-amz-(?:${[
    "content-sha256|date|security-token|trailer|decoded-content-length|user-agent|request-payer",
    // An offer to take an MD5 behind the body (SDK for Java 2); a response need not take it up.
    "te",
    "meta-.+|tagging|tagging-directive|metadata-directive|storage-class|website-redirect-location",
    "checksum-.+|sdk-checksum-algorithm|mp-object-size|object-attributes|max-parts|part-number-marker",
    "(?:copy-source-)?server-side-encryption(?:-.+)?|expected-bucket-owner|source-expected-bucket-owner",
    "copy-source|copy-source-range|copy-source-if-(?:none-match|match|modified-since|unmodified-since)",
  ].join("|")})$`,
);

/**
 * The values with which a header asks for what is so anyway: all buckets and objects are of one owner, without
 * ACLs, locks, annotations and restored copies.
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

/** A header of a request, with its value, that asks for something that is not here. */
export function unsupportedHeader({ headers }: ServiceRequest): string | undefined {
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith("x-amz-") || heeded.test(name)) continue;
    const values = Object.hasOwn(harmless, name) ? harmless[name] : undefined;
    if (!values) return name;
    if (!values.test(value)) return `${name}: ${value}`;
  }
  return undefined;
}
