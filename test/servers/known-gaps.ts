/**
 * What a server is known not to do. A check named here must fail there, so that a mended server is noticed; one
 * that fails only at times is left out.
 */
export type KnownGap = string | { readonly atTimes: string };

const unverified = "checksums are stored as they are sent, and not verified";
const unsigned = "signatures are not verified";
const headersOnly = "takes metadata from headers only";
const notQuiet = "tells of each object all the same";
const smallChunks = "takes them";
const noParts = "does not tell of the parts";
const customerKey = "passes the key over: whoever may read the object can";
const usable = "goes on making and opening data keys";
const race = { atTimes: "lets several win" };

/** Server, then the name of the check, then what is wrong. */
export const knownGaps: Readonly<Record<string, Readonly<Record<string, KnownGap>>>> = {
  versitygw: {
    "PutObject: a stream, whose checksum comes behind it":
      "keeps aws-chunked, which is the SDK's framing, as the object's content encoding",
    "PutObject: the storage class is told again": "does not tell it",
    "PutObject: the encryption is told again": "does not tell it",
    "PutObject: a key of the customer's: who does not name it reads nothing": customerKey,
    "DeleteObjects: quietly: tells nothing of what it deleted, or of what was not there": notQuiet,
    "GetObject: If-Modified-Since and If-Unmodified-Since":
      "takes an object for newer than its own Last-Modified by fractions of a second",
    "GetObjectAttributes: the parts of an object, each with its checksum": noParts,
    "ListObjectsV2: encoded, keys that XML could not carry": "does not encode them",
    "ListMultipartUploads: in pages": "refuses the marker of its own answer",
    'PutObject: the key "a//b"': "is stored as a/b (POSIX backend)",
    "GetObjectAttributes: size and checksum":
      "refuses the SDK's header when it names more than one attribute",
    "Signature: an unknown key is refused": "with 404 in place of 403",
    "Signature: the metadata of a presigned PUT, which the SDK writes into the query": headersOnly,
  },
  seaweedfs: {
    "PutObject: a stream in pieces of less than 8 KiB is refused": smallChunks,
    "GetObjectAttributes: the parts of an object, each with its checksum":
      "tells the parts without checksums",
    "Signature: the metadata of a presigned PUT, which the SDK writes into the query": headersOnly,
    "PutObject: more than 2 KiB of metadata is refused": "takes more than S3",
    "CompleteMultipartUpload: a wrong MpuObjectSize is refused": "does not look at it",
  },
  moto: {
    "EnvelopeClient: uploads that were left behind are found and removed by their age":
      "tells of each upload that it began in 2010",
    "EnvelopeClient: of 16 racing puts of 50000 bytes with IfNoneMatch one wins, and nothing stays of the others":
      race,
    "EnvelopeClient: of 16 racing puts of 15728717 bytes with IfNoneMatch one wins, and nothing stays of the others":
      race,
    "PutObject: of 16 racing with If-None-Match one wins": race,
    "CompleteMultipartUpload: of 16 racing with If-None-Match one wins": race,
    "PutObject: a stream in pieces of less than 8 KiB is refused": smallChunks,
    "PutObject: a key of the customer's: who does not name it reads nothing": customerKey,
    "DeleteObjects: quietly: tells nothing of what it deleted, or of what was not there": notQuiet,
    "GetObjectAttributes: the parts of an object, each with its checksum": noParts,
    "CopyObject: of an object of parts, whole": "tells a checksum that is not that of the bytes",
    "UploadPartCopy: under a condition on its source": "does not look at CopySourceIfMatch",
    "CompleteMultipartUpload: If-Match replaces only what it names": "does not look at If-Match",
    "CompleteMultipartUpload: SHA256 is that of the parts' checksums": "does not tell it",
    "CompleteMultipartUpload: CRC32 of all bytes, when that was asked for": "does not tell it",
    "UploadPart: a wrong checksum is refused": unverified,
    "ListMultipartUploads: in pages": "answers all at once",
    "PutObject: CRC32 is verified, kept and told": unverified,
    "PutObject: CRC32C is verified, kept and told": unverified,
    "PutObject: CRC64NVME is verified, kept and told": unverified,
    "PutObject: SHA1 is verified, kept and told": unverified,
    "PutObject: SHA256 is verified, kept and told": unverified,
    "PutObject: a wrong Content-MD5 is refused": "is not verified",
    "PutObject: more than 2 KiB of metadata is refused": "takes more than S3",
    "GetObject: a part by its number": "gives other bytes than those of the part",
    "CompleteMultipartUpload: a wrong ETag, a wrong order and a small part are refused": "takes a wrong ETag",
    "CompleteMultipartUpload: a wrong MpuObjectSize is refused": "does not look at it",
    "CompleteMultipartUpload: CRC64NVME is that of all bytes": "does not tell it",
    "AbortMultipartUpload: ends the upload": "a part after it is answered with status 500",
    "CopyObject: takes metadata along, and replaces it onto itself under a condition":
      "does not look at CopySourceIfMatch",
    "GetObjectAttributes: size and checksum": "does not tell the checksum",
    "Signature: a presigned GET whose time is over is refused": unsigned,
    "Signature: a wrong secret is refused": unsigned,
    "Signature: an unknown key is refused": unsigned,
    "Signature: a clock that is an hour off is refused": unsigned,
    "EnvelopeClient: conditions of a put of 15728717 bytes": "does not look at If-Match of a completion",
    "kmsKeyring: a disabled key": usable,
    "kmsKeyring: a key that is to be deleted": usable,
    "DisableKey: a disabled key makes and opens nothing": usable,
    "ScheduleKeyDeletion: a key that is to be deleted makes nothing": usable,
    "Decrypt: another key is refused": "with AccessDeniedException in place of IncorrectKeyException",
  },
  "local-kms": {
    "Decrypt: another key is refused": "with InvalidCiphertextException in place of IncorrectKeyException",
    "RotateKeyOnDemand: what was sealed before is opened after": "is not there",
  },
};
