/** Conditions that an operation does not have: to pass them over would do what the client did not want. */
import type { ServiceRequest } from "../../service.js";

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

/** A condition of a request that its operation does not take. */
export function unsupportedCondition(
  operation: string,
  headers: ServiceRequest["headers"],
): string | undefined {
  const known = Object.hasOwn(taken, operation) ? taken[operation] : undefined;
  return conditions.find((name) => headers[name] !== undefined && !known?.includes(name));
}
