/** S3 and KMS in the process, for users' own offline tests. */
export type { Fault } from "./faults.js";
export type { RecordedRequest } from "./http-server.js";
export { type LocalAws, type LocalAwsOptions, type LocalClientConfig, startLocalAws } from "./local-aws.js";
export type { Credentials } from "./service.js";
