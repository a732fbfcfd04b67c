/** One HeadObject. */
import type { HeadObjectCommandInput, HeadObjectCommandOutput, S3Client } from "@aws-sdk/client-s3";
import { headObject } from "./requests.js";

/** Use `headObject` of requests.ts. */
export function headRequest(
  { s3 }: { readonly s3: S3Client },
  input: HeadObjectCommandInput,
  signal: AbortSignal | undefined,
): Promise<HeadObjectCommandOutput> {
  return headObject(s3, input, { signal });
}
