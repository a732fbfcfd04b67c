/**
 * Checks that a server is known to fail, with reasons. Such a check must fail, so that a repaired server is noticed; one
 * that fails only at times is skipped.
 */
export type KnownGap = string | { readonly atTimes: string };

const unverified = "stores checksums as sent, without verification";
const unsigned = "does not verify signatures";
const headersOnly = "reads metadata from headers only";
const notQuiet = "reports each object anyway";
const smallChunks = "accepts them";
const noParts = "does not return the parts";
const customerKey = "ignores the key: everybody who may read the object can";
const usable = "still makes and opens data keys";
const race = { atTimes: "lets several writers win" };

/** The known failures, by server and by check. */
export const knownGaps: Readonly<Record<string, Readonly<Record<string, KnownGap>>>> = {
  versitygw: {
    "PutObject: a stream with its checksum in the trailer":
      "stores aws-chunked, the SDK's framing, as content encoding",
    "PutObject: the storage class is returned": "does not return it",
    "PutObject: the encryption is returned": "does not return it",
    "PutObject: a customer-provided key: readers without it are refused": customerKey,
    "DeleteObjects: quiet mode reports neither deleted nor absent objects": notQuiet,
    "GetObject: If-Modified-Since and If-Unmodified-Since":
      "compares fractions of a second that Last-Modified does not have",
    "GetObjectAttributes: the parts of an object, each with its checksum": noParts,
    "ListObjectsV2: encodes keys that XML cannot contain": "does not encode them",
    "ListMultipartUploads: in pages": "refuses the marker of its own response",
    'PutObject: the key "a//b"': "is stored as a/b (POSIX backend)",
    "GetObjectAttributes: size and checksum":
      "refuses the SDK's header when it names more than one attribute",
    "Signature: an unknown key is refused": "with 404 in place of 403",
    "Signature: the metadata of a presigned PUT, which are in its query": headersOnly,
  },
  seaweedfs: {
    "PutObject: a stream in pieces of less than 8 KiB is refused": smallChunks,
    "GetObjectAttributes: the parts of an object, each with its checksum":
      "returns the parts without checksums",
    "Signature: the metadata of a presigned PUT, which are in its query": headersOnly,
    "PutObject: more than 2 KiB of metadata is refused": "accepts more than S3",
    "CompleteMultipartUpload: a wrong MpuObjectSize is refused": "ignores it",
  },
  moto: {
    "EnvelopeClient: unfinished uploads are found and aborted by their age":
      "reports 2010 as the start of each upload",
    "EnvelopeClient: of 16 racing puts of 50000 bytes with IfNoneMatch one wins, and nothing is left of the others":
      race,
    "EnvelopeClient: of 16 racing puts of 15728717 bytes with IfNoneMatch one wins, and nothing is left of the others":
      race,
    "PutObject: of 16 racing with If-None-Match one wins": race,
    "CompleteMultipartUpload: of 16 racing with If-None-Match one wins": race,
    "PutObject: a stream in pieces of less than 8 KiB is refused": smallChunks,
    "PutObject: a customer-provided key: readers without it are refused": customerKey,
    "DeleteObjects: quiet mode reports neither deleted nor absent objects": notQuiet,
    "GetObjectAttributes: the parts of an object, each with its checksum": noParts,
    "CopyObject: of a multipart object": "returns a checksum that is not that of the bytes",
    "UploadPartCopy: under a condition on its source": "ignores CopySourceIfMatch",
    "CompleteMultipartUpload: If-Match replaces only what it names": "ignores If-Match",
    "CompleteMultipartUpload: SHA256 is that of the parts' checksums": "does not return it",
    "CompleteMultipartUpload: CRC32 of all bytes, if requested": "does not return it",
    "UploadPart: a wrong checksum is refused": unverified,
    "ListMultipartUploads: in pages": "returns all at once",
    "PutObject: CRC32 is verified, stored and returned": unverified,
    "PutObject: CRC32C is verified, stored and returned": unverified,
    "PutObject: CRC64NVME is verified, stored and returned": unverified,
    "PutObject: SHA1 is verified, stored and returned": unverified,
    "PutObject: SHA256 is verified, stored and returned": unverified,
    "PutObject: a wrong Content-MD5 is refused": "does not verify it",
    "PutObject: more than 2 KiB of metadata is refused": "accepts more than S3",
    "GetObject: a part by its number": "returns other bytes than those of the part",
    "CompleteMultipartUpload: a wrong ETag, a wrong order and a small part are refused":
      "accepts a wrong ETag",
    "CompleteMultipartUpload: a wrong MpuObjectSize is refused": "ignores it",
    "CompleteMultipartUpload: CRC64NVME is that of all bytes": "does not return it",
    "AbortMultipartUpload: ends the upload": "returns status 500 for a later part",
    "CopyObject: copies metadata, and replaces it in place under a condition": "ignores CopySourceIfMatch",
    "GetObjectAttributes: size and checksum": "does not return the checksum",
    "Signature: an expired presigned GET is refused": unsigned,
    "Signature: a wrong secret is refused": unsigned,
    "Signature: an unknown key is refused": unsigned,
    "Signature: a clock that is an hour off is refused": unsigned,
    "EnvelopeClient: conditions of a put of 15728717 bytes": "ignores If-Match of a completion",
    "kmsKeyring: a disabled key": usable,
    "kmsKeyring: a key pending deletion": usable,
    "DisableKey: a disabled key makes and opens nothing": usable,
    "ScheduleKeyDeletion: a key pending deletion makes nothing": usable,
    "Decrypt: another key is refused": "with AccessDeniedException in place of IncorrectKeyException",
  },
  "local-kms": {
    "Decrypt: another key is refused": "with InvalidCiphertextException in place of IncorrectKeyException",
    "RotateKeyOnDemand: old ciphertexts are opened after it": "does not have the operation",
  },
};
