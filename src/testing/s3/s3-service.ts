/** The in-process S3 as a service: its operations, its errors, its signatures. */
import { bucketOfHost } from "../local-requests.js";
import { type Credentials, type Service, ServiceError, type ServiceRequest } from "../service.js";
import { authenticate } from "../sigv4.js";
import { account } from "./operations/buckets.js";
import { operations } from "./operations/operations.js";
import { refuseEncryption } from "./request/encryption.js";
import { payloadHash } from "./request/payload.js";
import { findOperation, splitPath } from "./request/routes.js";
import { refuseUnsupported } from "./request/supported.js";
import { isBucketName } from "./storage/object-store.js";
import { openStores } from "./storage/stores.js";
import { describeS3Error, s3Fault } from "./wire/s3-fault.js";

/** Settings of {@link s3Service}. */
export interface S3ServiceOptions {
  readonly region: string;
  readonly credentials: Credentials;
  readonly buckets: readonly string[];
  readonly minPartBytes: number;
  readonly discardBodies: boolean;
  /** The folder of all data; undefined keeps it in memory. */
  readonly directory: string | undefined;
}

const maxKeyBytes = 1024;

/** Creates an S3 with these buckets, empty unless the directory has them already. */
export function s3Service(options: S3ServiceOptions): Service {
  const { region, credentials, minPartBytes } = options;
  const { store, uploads, release } = openStores(options.directory, options.discardBodies);
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

/** Moves the bucket of a virtual-hosted request into its path. */
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

/** Adds the name of the operation to an error about something unsupported. */
function notImplemented(error: unknown, operation: string): unknown {
  if (!(error instanceof ServiceError) || error.code !== "NotImplemented") return error;
  const feature = error.message === error.code ? "" : ` with ${error.message}`;
  return s3Fault("NotImplemented", `${operation}${feature} is not implemented here.`);
}

function requireOwner({ headers }: ServiceRequest): void {
  for (const name of ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"]) {
    if ((headers[name] ?? account) !== account) throw s3Fault("AccessDenied", "Access Denied");
  }
}
