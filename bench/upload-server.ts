/** A process with an S3 and a KMS, for bench/upload-memory.ts. */
import { CreateKeyCommand } from "@aws-sdk/client-kms";
import { startLocalAws } from "s3-envelope/testing";

const aws = await startLocalAws({ discardBodies: process.argv[2] === "discard" });
const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({}));
process.send?.({ s3Config: aws.s3Config, kmsConfig: aws.kmsConfig, keyId: KeyMetadata?.Arn });
