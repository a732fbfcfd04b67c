/** What befalls one request of several, or the clock of a client. */
import { always, type FaultRow, unavailable } from "./fault-row.js";

const part = { service: "s3", operation: "UploadPart" } as const;
const abort = { service: "s3", operation: "AbortMultipartUpload", status: 500, times: always } as const;

export const transferFaults: readonly FaultRow[] = [
  {
    name: "multipart: the upload is gone when its second part comes",
    act: "multipart",
    fault: { ...part, status: 404, code: "NoSuchUpload", skip: 1 },
    ...unavailable,
  },
  {
    name: "put sidecar: the body is refused once",
    act: "put sidecar",
    fault: { service: "s3", operation: "PutObject", skip: 1, status: 503, code: "SlowDown" },
    requests: ["PutObject", 3],
  },
  {
    name: "put sidecar: the body is refused for good by a service that is down",
    act: "put sidecar",
    fault: { service: "s3", operation: "PutObject", skip: 1, status: 503, code: "SlowDown", times: always },
    spareSidecar: true,
    ...unavailable,
  },
  {
    name: "put sidecar: the body is refused for good",
    act: "put sidecar",
    fault: { service: "s3", operation: "PutObject", skip: 1, status: 403, code: "AccessDenied" },
    code: "S3_ACCESS_DENIED",
    retryable: false,
  },
  {
    name: "multipart: one part refused once",
    act: "multipart",
    fault: { ...part, status: 503, code: "SlowDown", skip: 1 },
    requests: ["UploadPart", 4],
  },
  {
    name: "multipart: second part refused for good",
    act: "multipart",
    fault: { ...part, status: 503, code: "SlowDown", skip: 1, times: always },
    maxAttempts: 1,
    ...unavailable,
  },
  {
    name: "multipart: completion answered 200 with an error, once",
    act: "multipart",
    fault: { service: "s3", operation: "CompleteMultipartUpload", status: 200, code: "InternalError" },
    requests: ["CompleteMultipartUpload", 2],
  },
  {
    name: "multipart: completion answered 200 with an error, always",
    act: "multipart",
    fault: {
      service: "s3",
      operation: "CompleteMultipartUpload",
      status: 200,
      code: "InternalError",
      times: always,
    },
    maxAttempts: 1,
    ...unavailable,
  },
  {
    name: "multipart: refused, and the abort, too",
    act: "multipart",
    fault: { ...part, status: 500, times: always },
    also: [abort],
    maxAttempts: 1,
    orphan: true,
    ...unavailable,
  },
  {
    name: "put: clock off by an hour, one attempt",
    act: "put",
    fault: { operation: "none" },
    clockOffsetMs: 3_600_000,
    maxAttempts: 1,
    code: "S3_ACCESS_DENIED",
    retryable: false,
    details: { serviceError: "RequestTimeTooSkewed" },
  },
  {
    name: "get: clock off by an hour, one attempt",
    act: "get",
    fault: { operation: "none" },
    clockOffsetMs: -3_600_000,
    maxAttempts: 1,
    code: "S3_ACCESS_DENIED",
    retryable: false,
    details: { serviceError: "RequestTimeTooSkewed" },
  },
];
