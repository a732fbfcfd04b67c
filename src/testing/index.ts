/** In-process S3 and KMS, for users' own offline tests. */
export type { Fault, HoldOptions } from "./faults.js";
export type { HeldRequests, HoldPlace } from "./hold.js";
export { type LocalAws, type LocalAwsOptions, type LocalClientConfig, startLocalAws } from "./local-aws.js";
export type { RecordedRequest } from "./request-log.js";
export type { Credentials } from "./service.js";
