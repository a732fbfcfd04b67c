/** The in-process S3 as a service: which request means which operation, and who may send it. */
import { join } from "node:path";
import { bucketOfHost } from "../local-requests.js";
import { type Credentials, type Service, ServiceError, type ServiceRequest } from "../service.js";
import { authenticate } from "../sigv4.js";
import { attributeOperations } from "./operations/attributes.js";
import { account, bucketOperations } from "./operations/buckets.js";
import { copyOperations } from "./operations/copy.js";
import { deleteOperations } from "./operations/deletion.js";
import { listingOperations } from "./operations/listing.js";
import { multipartOperations } from "./operations/multipart.js";
import { multipartListingOperations } from "./operations/multipart-listing.js";
import { objectOperations } from "./operations/objects.js";
import { refuseEncryption } from "./request/encryption.js";
import { payloadHash } from "./request/payload.js";
import { unsupportedCondition } from "./request/refused-conditions.js";
import { findOperation, splitPath, unknownParameter } from "./request/routes.js";
import { taggingOperations } from "./request/tagging.js";
import { unsupportedHeader } from "./request/taken-headers.js";
import { type ByteStore, discardedBytes, FileBytes, memoryBytes } from "./storage/byte-store.js";
import { claimFolder } from "./storage/folder.js";
import { isBucketName, ObjectStore } from "./storage/object-store.js";
import { noRecords, RecordFiles } from "./storage/records.js";
import { UploadStore } from "./storage/upload-store.js";
import { describeS3Error, s3Fault } from "./wire/s3-fault.js";

/** Settings of {@link s3Service}. */
export interface S3ServiceOptions {
  readonly region: string;
  readonly credentials: Credentials;
  readonly buckets: readonly string[];
  readonly minPartBytes: number;
  readonly discardBodies: boolean;
  /** Where everything is kept; in memory if nowhere. */
  readonly directory: string | undefined;
}

const operations = {
  ...bucketOperations,
  ...objectOperations,
  ...deleteOperations,
  ...copyOperations,
  ...taggingOperations,
  ...attributeOperations,
  ...listingOperations,
  ...multipartOperations,
  ...multipartListingOperations,
};
const maxKeyBytes = 1024;

/** Makes an S3 with these buckets, empty unless the directory has them already. */
export function s3Service(options: S3ServiceOptions): Service {
  const { region, credentials, minPartBytes } = options;
  const { store, uploads, release } = openStores(options);
  const buckets = options.buckets.filter((bucket) => !store.hasBucket(bucket));
  for (const bucket of buckets) store.createBucket(bucket);
  const errors = signatureErrors(region);
  return {
    name: "s3",
    operationOf: (request) => findOperation(addressed(request)) ?? "Unknown",
    async handle(received, operation) {
      const scope = { region, credentials, service: "s3" } as const;
      try {
        const request = addressed(authenticate(received, payloadHash, scope, errors));
        const perform = Object.hasOwn(operations, operation) ? operations[operation] : undefined;
        if (!perform) throw s3Fault("NotImplemented");
        requireOwner(request);
        refuseEncryption(operation, request.headers);
        refuseUnsupported(operation, request);
        const { bucket, key } = splitPath(request.path);
        if (Buffer.byteLength(key) > maxKeyBytes) throw s3Fault("KeyTooLongError", "Your key is too long");
        return await perform({ store, uploads, request, bucket, key, region, minPartBytes });
      } catch (error) {
        throw notImplemented(error, operation === "Unknown" ? received.method : operation);
      }
    },
    forbidden: (message) => s3Fault("AccessDenied", message),
    describeError: describeS3Error,
    close: release,
  };
}

/** A request with its bucket in its path, as if it had not been virtual-hosted. */
function addressed(request: ServiceRequest): ServiceRequest {
  const bucket = bucketOfHost(request.headers);
  // "s3.localhost" is the service itself.
  if (bucket === undefined || !isBucketName(bucket)) return request;
  return { ...request, path: `/${bucket}${request.path}` };
}

const signatureErrors = (expected: string) => ({
  missing: s3Fault("AccessDenied", "Access Denied"),
  version2: s3Fault(
    "InvalidRequest",
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
  ),
  malformed: s3Fault(
    "AuthorizationQueryParametersError",
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters, the last of at most 604800 seconds.",
  ),
  expired: s3Fault("AccessDenied", "Request has expired"),
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
  region: (claimed: string, presigned: boolean) => {
    const code = presigned ? "AuthorizationQueryParametersError" : "AuthorizationHeaderMalformed";
    const where = presigned
      ? "Error parsing the X-Amz-Credential parameter"
      : "The authorization header is malformed";
    return s3Fault(code, `${where}; the region '${claimed}' is wrong; expecting '${expected}'`, {
      "x-amz-bucket-region": expected,
    });
  },
  unsigned: s3Fault("AccessDenied", "There were headers present in the request which were not signed"),
});

function openStores({ directory, discardBodies }: S3ServiceOptions) {
  if (directory === undefined) {
    return { ...stores(discardBodies ? discardedBytes : memoryBytes, noRecords), release: () => undefined };
  }
  const release = claimFolder(directory);
  try {
    const bytes = new FileBytes(join(directory, "data"));
    const opened = stores(bytes, new RecordFiles(directory));
    bytes.removeOthers(new Set([...opened.store.files(), ...opened.uploads.files()]));
    return { ...opened, release };
  } catch (error) {
    release();
    throw error;
  }
}

function stores(bytes: ByteStore, records: typeof noRecords) {
  const store = new ObjectStore(bytes, records);
  return { store, uploads: new UploadStore(store, records) };
}

/** An error as it is, or what says which operation does not do here what its message names. */
function notImplemented(error: unknown, operation: string): unknown {
  if (!(error instanceof ServiceError) || error.code !== "NotImplemented") return error;
  const feature = error.message === error.code ? "" : ` with ${error.message}`;
  return s3Fault("NotImplemented", `${operation}${feature} is not implemented here.`);
}

/**
 * Throws where a request asks for something that its operation does not do here.
 *
 * @throws NotImplemented, its message being the name of the header or the parameter
 */
function refuseUnsupported(operation: string, request: ServiceRequest): void {
  const parameter = unknownParameter(request);
  if (parameter !== undefined) throw s3Fault("NotImplemented", `the parameter ${parameter}`);
  const header = unsupportedHeader(request) ?? unsupportedCondition(operation, request.headers);
  if (header !== undefined) throw s3Fault("NotImplemented", header);
}

function requireOwner({ headers }: ServiceRequest): void {
  for (const name of ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"]) {
    if ((headers[name] ?? account) !== account) throw s3Fault("AccessDenied", "Access Denied");
  }
}
