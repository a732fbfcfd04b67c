/** The routes: which operation a request asks for. */
import type { ServiceRequest } from "../../service.js";
import { s3Fault } from "../wire/s3-fault.js";
import { contentNames } from "./object-headers.js";
import { unsupportedOperation } from "./unsupported.js";

const version = ["versionId"];
const reading = [...version, "partNumber", ...contentNames.map((name) => `response-${name}`)];
const listing = ["prefix", "delimiter", "max-keys", "encoding-type"];
const copy = "x-amz-copy-source";

/** The form of the requests for one operation. */
interface Route {
  readonly operation: string;
  readonly method: string;
  readonly level: "service" | "bucket" | "object";
  /** The query parameter that identifies it. */
  readonly marker?: string;
  /** The other parameters that it accepts. */
  readonly others?: readonly string[];
  /** The header that identifies it. */
  readonly header?: string;
}

/** The first route that matches counts. */
const routes: readonly Route[] = [
  {
    operation: "ListBuckets",
    method: "GET",
    level: "service",
    others: ["max-buckets", "continuation-token", "prefix", "bucket-region"],
  },
  {
    operation: "ListMultipartUploads",
    method: "GET",
    level: "bucket",
    marker: "uploads",
    others: ["prefix", "delimiter", "max-uploads", "key-marker", "upload-id-marker", "encoding-type"],
  },
  {
    operation: "ListObjectsV2",
    method: "GET",
    level: "bucket",
    marker: "list-type",
    others: [...listing, "continuation-token", "start-after", "fetch-owner"],
  },
  {
    operation: "ListObjectVersions",
    method: "GET",
    level: "bucket",
    marker: "versions",
    others: [...listing, "key-marker", "version-id-marker"],
  },
  { operation: "GetBucketVersioning", method: "GET", level: "bucket", marker: "versioning" },
  { operation: "GetBucketLocation", method: "GET", level: "bucket", marker: "location" },
  { operation: "ListObjects", method: "GET", level: "bucket", others: [...listing, "marker"] },
  { operation: "PutBucketVersioning", method: "PUT", level: "bucket", marker: "versioning" },
  { operation: "DeleteObjects", method: "POST", level: "bucket", marker: "delete" },
  { operation: "HeadBucket", method: "HEAD", level: "bucket" },
  { operation: "CreateBucket", method: "PUT", level: "bucket" },
  { operation: "DeleteBucket", method: "DELETE", level: "bucket" },
  { operation: "CreateMultipartUpload", method: "POST", level: "object", marker: "uploads" },
  { operation: "CompleteMultipartUpload", method: "POST", level: "object", marker: "uploadId" },
  {
    operation: "UploadPartCopy",
    method: "PUT",
    level: "object",
    marker: "partNumber",
    others: ["uploadId"],
    header: copy,
  },
  { operation: "UploadPart", method: "PUT", level: "object", marker: "partNumber", others: ["uploadId"] },
  {
    operation: "ListParts",
    method: "GET",
    level: "object",
    marker: "uploadId",
    others: ["max-parts", "part-number-marker", "encoding-type"],
  },
  { operation: "AbortMultipartUpload", method: "DELETE", level: "object", marker: "uploadId" },
  { operation: "PutObjectTagging", method: "PUT", level: "object", marker: "tagging", others: version },
  { operation: "GetObjectTagging", method: "GET", level: "object", marker: "tagging", others: version },
  { operation: "DeleteObjectTagging", method: "DELETE", level: "object", marker: "tagging", others: version },
  { operation: "GetObjectAttributes", method: "GET", level: "object", marker: "attributes", others: version },
  { operation: "CopyObject", method: "PUT", level: "object", header: copy },
  { operation: "PutObject", method: "PUT", level: "object" },
  { operation: "GetObject", method: "GET", level: "object", others: reading },
  { operation: "HeadObject", method: "HEAD", level: "object", others: reading },
  { operation: "DeleteObject", method: "DELETE", level: "object", others: version },
];

/** The operation that a request asks for, supported or not; undefined if S3 has none. */
export function findOperation(request: ServiceRequest): string | undefined {
  const { method, path, query } = request;
  return unsupportedOperation(levelOf(path), method, query) ?? findRoute(request)?.operation;
}

/** The first query parameter that a supported operation does not accept: none is ignored. */
export function unknownParameter(request: ServiceRequest): string | undefined {
  const route = findRoute(request);
  return [...request.query.keys()].find(
    (name) => !/^(x-id$|x-amz-)/i.test(name) && name !== route?.marker && !route?.others?.includes(name),
  );
}

function findRoute({ method, path, query, headers }: ServiceRequest): Route | undefined {
  const level = levelOf(path);
  return routes.find(
    (route) =>
      route.method === method &&
      route.level === level &&
      (route.marker === undefined || query.has(route.marker)) &&
      (route.header === undefined || headers[route.header] !== undefined || query.has(route.header)),
  );
}

function levelOf(path: string): Route["level"] {
  const { bucket, key } = encodedParts(path);
  return bucket === "" ? "service" : key === "" ? "bucket" : "object";
}

/**
 * The bucket and the key of a path.
 *
 * @throws InvalidURI if the path is not well encoded
 */
export function splitPath(path: string): { bucket: string; key: string } {
  const { bucket, key } = encodedParts(path);
  try {
    return { bucket: decodeURIComponent(bucket), key: decodeURIComponent(key) };
  } catch {
    throw s3Fault("InvalidURI", "Couldn't parse the specified URI.");
  }
}

function encodedParts(path: string): { bucket: string; key: string } {
  const [bucket = "", key = ""] = path.slice(1).split(/\/(.*)/s);
  return { bucket, key };
}
