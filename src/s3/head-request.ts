/** One HeadObject. */
import {
  HeadObjectCommand,
  type HeadObjectCommandInput,
  type HeadObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { s3Request } from "./s3-errors.js";
import type { ClientSettings } from "./settings.js";

/** What S3 says of an object. */
export function headRequest(
  { s3 }: Pick<ClientSettings, "s3">,
  input: HeadObjectCommandInput,
  signal: AbortSignal | undefined,
): Promise<HeadObjectCommandOutput> {
  const { Bucket = "", Key = "" } = input;
  const attempt = { operation: "HeadObject", bucket: Bucket, key: Key };
  return s3Request(attempt, signal, (options) => s3.send(new HeadObjectCommand(input), options));
}
