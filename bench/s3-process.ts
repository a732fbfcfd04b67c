/** A process with an S3 and a KMS, for bench/processes.ts: `process.argv` has the options and the bytes a second of a connection. */
import { CreateKeyCommand } from "@aws-sdk/client-kms";
import { startLocalAws } from "s3-envelope/testing";
import type { ServerReady } from "./processes.js";
import { limitConnections } from "./throttle.js";

const [, , options = "{}", connectionRate] = process.argv;
if (connectionRate !== undefined) limitConnections(Number(connectionRate));
const aws = await startLocalAws(JSON.parse(options));
const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({}));
const ready: ServerReady = {
  s3Config: aws.s3Config,
  kmsConfig: aws.kmsConfig,
  keyId: KeyMetadata?.Arn ?? "",
};
process.once("disconnect", () => process.exit());
process.send?.(ready);
