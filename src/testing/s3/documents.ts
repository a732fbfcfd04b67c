/** The XML documents that requests have as their bodies, verified as uploads are. */
import { createHash } from "node:crypto";
import { readSmallBody, type ServiceRequest } from "../service.js";
import { startChecksum } from "./checksums.js";
import { declaredChecksum } from "./payload.js";
import { s3Fault } from "./s3-fault.js";
import { parseXml, type XmlElement } from "./xml.js";

const maxBytes = 4 * 1024 * 1024;

/** Settings of {@link readDocument}. */
export interface DocumentRules {
  /** Whether headers with checksums are about the body; in a completion they are about the object. */
  readonly verifyChecksums?: boolean;
  /** Whether an empty body will do. */
  readonly optional?: boolean;
}

/** Reads and verifies a body that is a document with this root; undefined for an empty one that is optional. */
export async function readDocument(
  request: ServiceRequest,
  root: string,
  rules: DocumentRules & { readonly optional: true },
): Promise<XmlElement | undefined>;
export async function readDocument(
  request: ServiceRequest,
  root: string,
  rules?: DocumentRules,
): Promise<XmlElement>;
export async function readDocument(
  { headers, body }: ServiceRequest,
  root: string,
  { verifyChecksums = true, optional = false }: DocumentRules = {},
): Promise<XmlElement | undefined> {
  const bytes = await readSmallBody(body, maxBytes);
  const hash = headers["x-amz-content-sha256"] ?? "";
  if (/^[0-9a-f]{64}$/.test(hash) && createHash("sha256").update(bytes).digest("hex") !== hash) {
    throw s3Fault("XAmzContentSHA256Mismatch");
  }
  if (verifyChecksums) requireChecksums(headers, bytes);
  if (optional && bytes.length === 0) return undefined;
  const document = parseXml(decoded(bytes));
  if (document?.name !== root) throw malformedXml();
  return document;
}

/** The error for XML that says something else than the operation takes. */
export function malformedXml(): Error {
  return s3Fault(
    "MalformedXML",
    "The XML you provided was not well-formed or did not validate against our published schema",
  );
}

function requireChecksums(headers: ServiceRequest["headers"], bytes: Buffer): void {
  const declared = declaredChecksum(headers);
  const md5 = headers["content-md5"];
  if (md5 !== undefined && createHash("md5").update(bytes).digest("base64") !== md5) {
    throw s3Fault("BadDigest", "The Content-MD5 you specified did not match what we received.");
  }
  if (!declared) return;
  const running = startChecksum(declared.algorithm);
  running.update(bytes);
  if (running.digest().toString("base64") !== headers[declared.header]) {
    const message = `The ${declared.header} you specified did not match the calculated checksum.`;
    throw s3Fault("BadDigest", message);
  }
}

function decoded(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw malformedXml();
  }
}
