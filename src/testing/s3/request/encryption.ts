/** Server-side encryption: under keys of S3, of KMS, or under one that the customer sends. */
import { createHash, randomBytes } from "node:crypto";
import type { ServiceError, ServiceRequest } from "../../service.js";
import { s3Fault } from "../wire/s3-fault.js";
import { pickHeaders } from "./operation.js";

type Headers = ServiceRequest["headers"];

const method = "x-amz-server-side-encryption";
const kmsKeyId = `${method}-aws-kms-key-id`;
const context = `${method}-context`;
const bucketKey = `${method}-bucket-key-enabled`;
const kmsMethods = ["aws:kms", "aws:kms:dsse"];
const customerAlgorithm = `${method}-customer-algorithm`;
const customerKeyMd5 = `${method}-customer-key-md5`;
const customerKeyBytes = 32;
const encryptedBefore = ["GetObject", "HeadObject", "GetObjectAttributes", "UploadPart", "UploadPartCopy"];
/** The stored encryption settings of an object; of the customer's key only its MD5. */
const keptNames = [method, kmsKeyId, bucketKey, customerAlgorithm, customerKeyMd5];

/** All headers that select the encryption of an object, except for the customer's key. */
export const encryptionNames = [...keptNames, context];

/** The encryption settings to store for a write. */
export function requestedEncryption(headers: Headers): Record<string, string> {
  const kept = pickHeaders(headers, keptNames);
  const stated = kept[method];
  if (stated !== undefined && stated !== "AES256" && !kmsMethods.includes(stated)) {
    throw s3Fault("InvalidArgument", "The encryption method specified is not supported");
  }
  if (kept[kmsKeyId] !== undefined && !kmsMethods.includes(stated ?? "")) {
    throw s3Fault(
      "InvalidArgument",
      "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms",
    );
  }
  const customers = customerKey(headers) !== undefined;
  if (customers && stated !== undefined) {
    throw s3Fault(
      "InvalidArgument",
      "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
    );
  }
  // S3 encrypts every object, under its own keys by default.
  return customers || stated !== undefined ? kept : { ...kept, [method]: "AES256" };
}

/**
 * Throws if a request selects an encryption for an object that it only reads, or that its upload has already
 * selected. The customer's key is named with each request.
 */
export function refuseEncryption(operation: string, headers: Headers): void {
  if (!encryptedBefore.includes(operation)) return;
  const stated = [method, kmsKeyId, context, bucketKey].find((name) => headers[name] !== undefined);
  if (stated === undefined) return;
  throw s3Fault("InvalidArgument", `${stated} header is not supported for this operation.`);
}

/** The response headers for the encryption of an object. */
export function encryptionHeaders(stored: Headers): Record<string, string> {
  return pickHeaders(stored, keptNames);
}

/** The response headers for a writer, which alone include the encryption context. */
export function writerEncryptionHeaders(
  stored: Headers,
  { headers }: ServiceRequest,
): Record<string, string> {
  return { ...encryptionHeaders(stored), ...pickHeaders(headers, [context]) };
}

/**
 * Throws unless the reader of an object under a customer's key names that key.
 *
 * @param prefix the beginning of the names of the headers with the key
 */
export function requireCustomerKey(stored: Headers, headers: Headers, prefix?: string): void {
  const given = customerKey(headers, prefix);
  const needed = stored[customerKeyMd5];
  if (given === needed) return;
  if (needed === undefined) {
    throw s3Fault("InvalidRequest", "The encryption parameters are not applicable to this object.");
  }
  if (given !== undefined) throw s3Fault("AccessDenied", "Access Denied");
  throw s3Fault(
    "InvalidRequest",
    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.",
  );
}

/** Throws unless a part names the key that its upload began with. */
export function requireUploadKey(stored: Headers, headers: Headers): void {
  const given = customerKey(headers);
  const needed = stored[customerKeyMd5];
  if (given === needed) return;
  if (needed === undefined) {
    throw s3Fault(
      "InvalidRequest",
      "The multipart upload initiate did not request encryption. Please resend the request without sending encryption parameters.",
    );
  }
  throw s3Fault(
    "InvalidRequest",
    given === undefined
      ? "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters."
      : "The provided encryption parameters did not match the ones used originally.",
  );
}

/** The ETag of bytes that arrived at once: their MD5 only if S3 encrypts under its own keys. */
export function etagOf(md5: string, stored: Headers): string {
  return `"${stored[method] === "AES256" ? md5 : randomBytes(16).toString("hex")}"`;
}

/** The MD5 of the customer's key in a request; undefined if there is none. */
function customerKey(headers: Headers, prefix = "x-amz-"): string | undefined {
  const named = (what: string) => headers[`${prefix}server-side-encryption-customer-${what}`];
  const [algorithm, key, md5] = [named("algorithm"), named("key"), named("key-md5")];
  if (algorithm === undefined && key === undefined && md5 === undefined) return undefined;
  if (algorithm === undefined) throw incomplete("provide a valid encryption algorithm");
  if (key === undefined) throw incomplete("provide an appropriate secret key");
  if (md5 === undefined) throw incomplete("provide the client calculated MD5 of the secret key");
  if (algorithm !== "AES256") {
    const message = "The Encryption request you specified is not valid. Supported value: AES256.";
    throw s3Fault("InvalidEncryptionAlgorithmError", message);
  }
  const bytes = Buffer.from(key, "base64");
  if (bytes.length !== customerKeyBytes || bytes.toString("base64") !== key) {
    throw s3Fault("InvalidArgument", "The secret key was invalid for the specified algorithm.");
  }
  if (createHash("md5").update(bytes).digest("base64") !== md5) {
    const message = "The calculated MD5 hash of the key did not match the hash that was provided.";
    throw s3Fault("InvalidArgument", message);
  }
  return md5;
}

function incomplete(what: string): ServiceError {
  return s3Fault(
    "InvalidArgument",
    `Requests specifying Server Side Encryption with Customer provided keys must ${what}.`,
  );
}
