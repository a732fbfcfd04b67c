/** What S3 says of one part of an upload, and whether that is what is about to be sent as the part. */
import { createHash } from "node:crypto";
import { ListPartsCommand, type Part } from "@aws-sdk/client-s3";
import { encodeBase64 } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";
import { withinTime } from "../../s3/clean-up.js";
import { s3Request, unusableResponse } from "../../s3/errors.js";
import { partFields } from "../../s3/fields.js";
import type { MultipartInput } from "../../s3/multipart.js";
import { conditionOf, listGuard } from "../../s3/responses.js";
import { guarded } from "../../service/response-guard.js";
import { sourceChanged } from "../../transfer/seekable-source.js";

type ListingInput = Pick<MultipartInput, "s3" | "put" | "target">;

/**
 * Asks S3 for a part; undefined when it has none of that number.
 *
 * @throws EnvelopeError of S3, with NoSuchUpload when the upload was completed or aborted; `S3_REQUEST_FAILED` when the list
 *   does not tell, as of a store that passes the marker over
 */
export async function findPart(
  { s3, put, target }: ListingInput,
  UploadId: string,
  partNumber: number,
  signal: AbortSignal,
): Promise<Part | undefined> {
  const { ChecksumAlgorithm: _algorithm, ...fields } = partFields(put);
  const PartNumberMarker = partNumber === 1 ? undefined : String(partNumber - 1);
  const command = guarded(
    new ListPartsCommand({ ...fields, UploadId, PartNumberMarker, MaxParts: 1 }),
    listGuard,
  );
  const asked = { ...target, operation: "ListParts" };
  const { Parts = [], IsTruncated } = await s3Request(asked, signal, (options) => s3.send(command, options));
  const found = Parts.find(({ PartNumber }) => PartNumber === partNumber);
  // Only a list that begins behind the marker, and has come as far as the part, shows that there is none.
  const isAbsent =
    Parts.every(({ PartNumber = 0 }) => PartNumber > partNumber) && !(IsTruncated && Parts.length === 0);
  if (found || isAbsent) return found;
  throw unusableResponse(asked, `its list of parts does not tell whether there is a part ${partNumber}`);
}

/**
 * Whether an upload is surely neither completed nor aborted: S3 says of its abort that it succeeded in either case.
 * Takes bounded time.
 */
export async function isUnfinished(
  input: ListingInput,
  UploadId: string,
  caller?: AbortSignal,
): Promise<boolean> {
  try {
    await withinTime(({ abortSignal }) => findPart(input, UploadId, 1, abortSignal), caller);
    return true;
  } catch {
    caller?.throwIfAborted();
    return false;
  }
}

/**
 * The error of a part whose upload is gone. The call goes by a ticket, so unlike one that would begin another upload it
 * cannot succeed later.
 */
export function uploadGone({ cause, details }: EnvelopeError): EnvelopeError {
  const message =
    "the upload of the ticket is gone: it was completed, or ended by a lifecycle rule or by somebody else (NoSuchUpload)";
  return new EnvelopeError("S3_NOT_FOUND", message, { cause, details });
}

/**
 * Compares a part that is about to be sent as the first of its number with what S3 has there.
 *
 * @throws EnvelopeError `SOURCE_CHANGED`
 */
export function requireSamePart(partNumber: number, listed: Part, bytes: Buffer): void {
  if (isSamePart(listed, bytes)) return;
  throw sourceChanged(
    `S3 has a part ${partNumber} already that is not known here, and nothing shows that it is of the same bytes. ` +
      "With the tagDigest of the attempt that sent it, uploadPart can tell",
    { partNumber },
  );
}

/**
 * Whether a part that S3 lists is surely made of these bytes: by SHA-256 or SHA-1 where S3 states one, else by the ETag,
 * which is an MD5 where S3 does not encrypt under a key of KMS or of the caller's. A CRC shows nothing: of a chunk that lies
 * in two parts the tag is in the second, so who chooses the plaintext can choose other bytes in the first that have the
 * same CRC.
 */
function isSamePart(listed: Part, bytes: Buffer): boolean {
  if (listed.Size !== bytes.length) return false;
  const { ChecksumSHA256, ChecksumSHA1, ETag = "" } = listed;
  const digest = (algorithm: string) => createHash(algorithm).update(bytes).digest();
  if (ChecksumSHA256 !== undefined) return encodeBase64(digest("sha256")) === ChecksumSHA256;
  if (ChecksumSHA1 !== undefined) return encodeBase64(digest("sha1")) === ChecksumSHA1;
  try {
    return digest("md5").toString("hex") === conditionOf(ETag).replace(/"/g, "").toLowerCase();
  } catch {
    // Node in FIPS mode has no MD5: nothing tells.
    return false;
  }
}
