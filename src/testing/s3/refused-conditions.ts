/** Conditions that an operation does not have: to pass them over would do what the client did not want. */
import type { ServiceRequest } from "../service.js";
import { headerNotImplemented } from "./s3-fault.js";

const read = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
const write = ["if-match", "if-none-match"];
const copySource = read.map((name) => `x-amz-copy-source-${name}`);

/** Which conditions each operation has; the others have none. */
const taken: Readonly<Record<string, readonly string[]>> = {
  GetObject: read,
  HeadObject: read,
  PutObject: write,
  CompleteMultipartUpload: write,
  CopyObject: [...write, ...copySource],
  UploadPartCopy: copySource,
  DeleteObject: ["if-match"],
};
const conditions = [...read, "if-range", "content-range", ...copySource];

/**
 * Throws where a request has a condition that its operation does not take.
 *
 * @throws NotImplemented
 */
export function refuseUnknownConditions(operation: string, headers: ServiceRequest["headers"]): void {
  const known = Object.hasOwn(taken, operation) ? taken[operation] : undefined;
  if (conditions.some((name) => headers[name] !== undefined && !known?.includes(name))) {
    throw headerNotImplemented();
  }
}
