/** One HeadObject. */
import {
  HeadObjectCommand,
  type HeadObjectCommandInput,
  type HeadObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { guarded } from "../response-guard.js";
import { evaluatingIfMatch } from "./if-match.js";
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
  return evaluatingIfMatch(s3, input, attempt, signal, (asked) =>
    s3Request(attempt, signal, (options) => s3.send(guarded(new HeadObjectCommand(asked)), options)),
  );
}
