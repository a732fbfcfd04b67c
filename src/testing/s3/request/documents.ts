/** XML documents in request bodies, verified as uploads are. */
import { readSmallBody, type ServiceRequest } from "../../service.js";
import { s3Fault } from "../wire/s3-fault.js";
import { parseXml, type XmlElement } from "../wire/xml.js";
import { pickHeaders } from "./operation.js";
import { declaredChecksum, isSigned, requireDigests, startDigests } from "./payload.js";

const maxBytes = 4 * 1024 * 1024;

/** Settings of {@link readDocument}. */
export interface DocumentRules {
  /** Whether checksum headers describe the body; those of a completion describe the object. */
  readonly verifyChecksums?: boolean;
  /** Whether the body may be empty. */
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
  requireDigestsOf(bytes, verifyChecksums ? headers : pickHeaders(headers, ["x-amz-content-sha256"]));
  if (optional && bytes.length === 0) return undefined;
  const document = parseXml(decoded(bytes));
  if (document?.name !== root) throw malformedXml();
  return document;
}

/** The error for XML that the operation does not accept. */
export function malformedXml(): Error {
  return s3Fault(
    "MalformedXML",
    "The XML you provided was not well-formed or did not validate against our published schema",
  );
}

function requireDigestsOf(bytes: Buffer, headers: ServiceRequest["headers"]): void {
  const declared = declaredChecksum(headers);
  const running = startDigests(declared ? [declared.algorithm] : [], isSigned(headers));
  running.update(bytes);
  requireDigests(headers, running.finish());
}

function decoded(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw malformedXml();
  }
}
