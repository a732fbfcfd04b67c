/** The errors of the in-process S3: codes with their statuses, and their XML. */
import { ServiceError, type ServiceRequest, type ServiceResponse } from "../../service.js";
import { element, xmlDocument } from "./xml.js";

const statuses = {
  AccessDenied: 403,
  AuthorizationHeaderMalformed: 400,
  AuthorizationQueryParametersError: 400,
  BadDigest: 400,
  BadRequest: 400,
  BucketAlreadyOwnedByYou: 409,
  BucketNotEmpty: 409,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  IllegalLocationConstraintException: 400,
  IncompleteBody: 400,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidChunkSizeError: 403,
  InvalidDigest: 400,
  InvalidEncryptionAlgorithmError: 400,
  InvalidLocationConstraint: 400,
  InvalidObjectState: 403,
  InvalidPart: 400,
  InvalidPartNumber: 416,
  InvalidPartOrder: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidStorageClass: 400,
  InvalidTag: 400,
  InvalidURI: 400,
  KeyTooLongError: 400,
  MalformedXML: 400,
  MetadataTooLarge: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  NoSuchVersion: 404,
  NotImplemented: 501,
  PreconditionFailed: 412,
  RequestTimeTooSkewed: 403,
  SignatureDoesNotMatch: 403,
  XAmzContentSHA256Mismatch: 400,
} as const;

/** An error of S3 with its status. */
export function s3Fault(
  code: keyof typeof statuses,
  message?: string,
  headers?: Readonly<Record<string, string>>,
): ServiceError {
  return new ServiceError(statuses[code], code, message, headers);
}

/** The XML response for an error; 304 has no body. */
export function describeS3Error(
  error: ServiceError,
  request: ServiceRequest,
  requestId: string,
): ServiceResponse {
  const { status, code, message, headers } = error;
  if (status === 304) return { status, headers };
  const details = [
    element("Code", code),
    element("Message", message),
    element("Resource", request.path),
    element("RequestId", requestId),
  ];
  return {
    status,
    headers: { "content-type": "application/xml", ...headers },
    body: [xmlDocument("Error", details)],
  };
}
