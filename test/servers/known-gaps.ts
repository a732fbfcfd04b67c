/** What a server is known not to do. A check named here must fail there, so that a mended server is noticed. */

const unverified = "checksums are stored as they are sent, and not verified";
const unsigned = "signatures are not verified";
const headersOnly = "takes metadata from headers only";
const handler = "answers an error page in place of KMS's error, unless asked by the SDK of Python";

/** Server, then the name of the check, then what is wrong. */
export const knownGaps: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  versitygw: {
    'PutObject: the key "a//b"': "is stored as a/b (POSIX backend)",
    "GetObjectAttributes: size and checksum":
      "refuses the SDK's header when it names more than one attribute",
    "Signature: an unknown key is refused": "with 404 in place of 403",
    "Signature: the metadata of a presigned PUT, which the SDK writes into the query": headersOnly,
  },
  seaweedfs: {
    "Signature: the metadata of a presigned PUT, which the SDK writes into the query": headersOnly,
    "PutObject: more than 2 KiB of metadata is refused": "takes more than S3",
    "CompleteMultipartUpload: a wrong MpuObjectSize is refused": "does not look at it",
  },
  moto: {
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
    "Decrypt: another key is refused": "with AccessDeniedException in place of IncorrectKeyException",
    "DisableKey: a disabled key makes and opens nothing": handler,
    "ScheduleKeyDeletion: a key that is to be deleted makes nothing": handler,
  },
  "local-kms": {
    "Decrypt: another key is refused": "with InvalidCiphertextException in place of IncorrectKeyException",
    "RotateKeyOnDemand: what was sealed before is opened after": "is not there",
  },
};
