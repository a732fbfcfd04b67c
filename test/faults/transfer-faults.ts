/** Faults of one request among several, and of the clock of a client. */
import { always, type FaultRow, unavailable } from "./fault-row.js";

const part = { service: "s3", operation: "UploadPart" } as const;
const abort = { service: "s3", operation: "AbortMultipartUpload", status: 500, times: always } as const;

export const transferFaults: readonly FaultRow[] = [
  {
    name: "the upload does not exist any more when UploadPart sends part 2",
    act: "multipart",
    fault: { ...part, status: 404, code: "NoSuchUpload", skip: 1 },
    ...unavailable,
  },
  {
    name: "PutObject of the object responds 503 once",
    act: "put sidecar",
    fault: { service: "s3", operation: "PutObject", skip: 1, status: 503, code: "SlowDown" },
    requests: ["PutObject", 3],
  },
  {
    name: "PutObject of the object always responds 503",
    act: "put sidecar",
    fault: { service: "s3", operation: "PutObject", skip: 1, status: 503, code: "SlowDown", times: always },
    spareSidecar: true,
    ...unavailable,
  },
  {
    name: "PutObject of the object is refused with 403",
    act: "put sidecar",
    fault: { service: "s3", operation: "PutObject", skip: 1, status: 403, code: "AccessDenied" },
    code: "S3_ACCESS_DENIED",
    retryable: false,
  },
  {
    name: "UploadPart of part 2 responds 503 once",
    act: "multipart",
    fault: { ...part, status: 503, code: "SlowDown", skip: 1 },
    requests: ["UploadPart", 4],
  },
  {
    name: "UploadPart of part 2 always responds 503",
    act: "multipart",
    fault: { ...part, status: 503, code: "SlowDown", skip: 1, times: always },
    maxAttempts: 1,
    ...unavailable,
  },
  {
    name: "CompleteMultipartUpload responds 200 with an error once",
    act: "multipart",
    fault: { service: "s3", operation: "CompleteMultipartUpload", status: 200, code: "InternalError" },
    requests: ["CompleteMultipartUpload", 2],
  },
  {
    name: "CompleteMultipartUpload always responds 200 with an error",
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
    name: "UploadPart and AbortMultipartUpload always respond 500",
    act: "multipart",
    fault: { ...part, status: 500, times: always },
    also: [abort],
    maxAttempts: 1,
    orphan: true,
    ...unavailable,
  },
  {
    name: "the clock is an hour ahead",
    act: "put",
    fault: { operation: "none" },
    clockOffsetMs: 3_600_000,
    maxAttempts: 1,
    code: "S3_ACCESS_DENIED",
    retryable: false,
    details: { serviceError: "RequestTimeTooSkewed" },
  },
  {
    name: "the clock is an hour behind",
    act: "get",
    fault: { operation: "none" },
    clockOffsetMs: -3_600_000,
    maxAttempts: 1,
    code: "S3_ACCESS_DENIED",
    retryable: false,
    details: { serviceError: "RequestTimeTooSkewed" },
  },
];
