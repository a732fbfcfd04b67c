/** One HeadObject. */
import {
  HeadObjectCommand,
  type HeadObjectCommandInput,
  type HeadObjectCommandOutput,
  type S3Client,
} from "@aws-sdk/client-s3";
import { guarded } from "../service/response-guard.js";
import { s3Request } from "./errors.js";
import { evaluatingIfMatch } from "./if-match.js";

/** What S3 says of an object. */
export function headRequest(
  { s3 }: { readonly s3: S3Client },
  input: HeadObjectCommandInput,
  signal: AbortSignal | undefined,
): Promise<HeadObjectCommandOutput> {
  const { Bucket = "", Key = "" } = input;
  const target = { operation: "HeadObject", bucket: Bucket, key: Key };
  return evaluatingIfMatch(s3, input, target, signal, (asked) =>
    s3Request(target, signal, (options) => s3.send(guarded(new HeadObjectCommand(asked)), options)),
  );
}
