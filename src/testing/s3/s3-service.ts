/** The in-process S3 as a service: which request means which operation, and who may send it. */
import type { Credentials, Service, ServiceRequest } from "../service.js";
import { verifySignature } from "../sigv4.js";
import { multipartOperations } from "./multipart.js";
import { ObjectStore } from "./object-store.js";
import { objectOperations } from "./operations.js";
import { payloadHash } from "./payload.js";
import { describeS3Error, s3Fault } from "./s3-fault.js";

/** Settings of {@link s3Service}. */
export interface S3ServiceOptions {
  readonly region: string;
  readonly credentials: Credentials;
  readonly buckets: readonly string[];
  readonly minPartBytes: number;
  readonly discardBodies: boolean;
}

const operations = { ...objectOperations, ...multipartOperations };
const unsupportedHeaders = ["x-amz-copy-source", "x-amz-acl", "x-amz-tagging", "x-amz-object-lock-mode"];
const maxKeyBytes = 1024;
const uploadParameters = ["prefix", "max-uploads", "key-marker", "upload-id-marker"];
const listingParameters = ["prefix", "delimiter", "max-keys", "continuation-token", "start-after"];

/** Method, kind of path and telling query parameter of each operation, and the other parameters that it takes. */
const routes: readonly (readonly [
  operation: string,
  method: string,
  level: "bucket" | "object",
  marker: string | undefined,
  others: readonly string[],
])[] = [
  ["ListMultipartUploads", "GET", "bucket", "uploads", uploadParameters],
  ["ListObjectsV2", "GET", "bucket", "list-type", listingParameters],
  ["HeadBucket", "HEAD", "bucket", undefined, []],
  ["CreateBucket", "PUT", "bucket", undefined, []],
  ["CreateMultipartUpload", "POST", "object", "uploads", []],
  ["CompleteMultipartUpload", "POST", "object", "uploadId", []],
  ["UploadPart", "PUT", "object", "partNumber", ["uploadId"]],
  ["ListParts", "GET", "object", "uploadId", ["max-parts", "part-number-marker"]],
  ["AbortMultipartUpload", "DELETE", "object", "uploadId", []],
  ["PutObject", "PUT", "object", undefined, []],
  ["GetObject", "GET", "object", undefined, []],
  ["HeadObject", "HEAD", "object", undefined, []],
  ["DeleteObject", "DELETE", "object", undefined, []],
];

/** Makes an S3 with these buckets, all empty. */
export function s3Service(options: S3ServiceOptions): Service {
  const { region, credentials, minPartBytes, discardBodies } = options;
  const store = new ObjectStore();
  for (const bucket of options.buckets) store.create(bucket);
  return {
    name: "s3",
    operationOf: (request) => findOperation(request) ?? "Unknown",
    async handle(request, operation) {
      verifySignature(
        request,
        () => payloadHash(request),
        { region, credentials, service: "s3" },
        {
          missing: s3Fault("AccessDenied", "Access Denied"),
          unknownKey: s3Fault(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
          ),
          skewed: s3Fault(
            "RequestTimeTooSkewed",
            "The difference between the request time and the server's time is too large.",
          ),
          mismatch: s3Fault(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
          ),
        },
      );
      const perform = Object.hasOwn(operations, operation) ? operations[operation] : undefined;
      const unsupported = unsupportedHeaders.find((name) => request.headers[name] !== undefined);
      if (!perform || unsupported) {
        throw s3Fault(
          "NotImplemented",
          `${request.method} with ${unsupported ?? [...request.query.keys()].join(", ")}`,
        );
      }
      const { bucket, key } = splitPath(request.path);
      if (Buffer.byteLength(key) > maxKeyBytes) throw s3Fault("KeyTooLongError", "Your key is too long");
      return perform({ store, request, bucket, key, minPartBytes, discardBodies });
    },
    describeError: describeS3Error,
  };
}

/** Unknown query parameters make no operation: none is silently ignored. */
function findOperation({ method, path, query }: ServiceRequest): string | undefined {
  const level = splitPath(path).key === "" ? "bucket" : "object";
  const given = [...query.keys()].filter((name) => name !== "x-id" && !name.startsWith("response-"));
  for (const [operation, verb, at, marker, others] of routes) {
    if (verb !== method || at !== level || (marker !== undefined && !query.has(marker))) continue;
    if (given.every((name) => name === marker || others.includes(name))) return operation;
  }
  return undefined;
}

function splitPath(path: string): { bucket: string; key: string } {
  const [bucket = "", key = ""] = path.slice(1).split(/\/(.*)/s);
  try {
    return { bucket: decodeURIComponent(bucket), key: decodeURIComponent(key) };
  } catch {
    return { bucket, key };
  }
}
