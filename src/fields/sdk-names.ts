/**
 * The names of the fields of requests in the newest release of the AWS SDK. Type checks compare them with the installed
 * release; a program may use an older or a newer one.
 */

const customerKey = ["SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5"] as const;

/** Fields of PutObject that describe the bytes sent, which the caller does not know. */
export const sentBytesNames = [
  "ContentMD5",
  "ChecksumCRC32",
  "ChecksumCRC32C",
  "ChecksumCRC64NVME",
  "ChecksumMD5",
  "ChecksumSHA1",
  "ChecksumSHA256",
  "ChecksumSHA512",
  "ChecksumXXHASH3",
  "ChecksumXXHASH64",
  "ChecksumXXHASH128",
  "WriteOffsetBytes",
] as const;

/** Fields of PutObject. */
export const putObjectNames = [
  ...sentBytesNames,
  ...customerKey,
  "ACL",
  "Body",
  "Bucket",
  "BucketKeyEnabled",
  "CacheControl",
  "ChecksumAlgorithm",
  "ContentDisposition",
  "ContentEncoding",
  "ContentLanguage",
  "ContentLength",
  "ContentType",
  "ExpectedBucketOwner",
  "Expires",
  "GrantFullControl",
  "GrantRead",
  "GrantReadACP",
  "GrantWriteACP",
  "IfMatch",
  "IfNoneMatch",
  "Key",
  "Metadata",
  "ObjectLockEventHold",
  "ObjectLockEventHoldDurationDays",
  "ObjectLockEventHoldDurationYears",
  "ObjectLockLegalHoldStatus",
  "ObjectLockMode",
  "ObjectLockRetainUntilDate",
  "RequestPayer",
  "SSEKMSEncryptionContext",
  "SSEKMSKeyId",
  "ServerSideEncryption",
  "StorageClass",
  "Tagging",
  "WebsiteRedirectLocation",
] as const;

/** Fields of GetObject that override headers of the response. */
export const responseNames = [
  "ResponseCacheControl",
  "ResponseContentDisposition",
  "ResponseContentEncoding",
  "ResponseContentLanguage",
  "ResponseContentType",
  "ResponseExpires",
] as const;

/** Fields of GetObject and of HeadObject. */
export const getObjectNames = [
  ...responseNames,
  ...customerKey,
  "Bucket",
  "ChecksumMode",
  "ExpectedBucketOwner",
  "IfMatch",
  "IfModifiedSince",
  "IfNoneMatch",
  "IfUnmodifiedSince",
  "Key",
  "PartNumber",
  "Range",
  "RequestPayer",
  "VersionId",
] as const;

/** Fields of DeleteObject. */
export const deleteObjectNames = [
  "Bucket",
  "BypassGovernanceRetention",
  "ExpectedBucketOwner",
  "IfMatch",
  "IfMatchLastModifiedTime",
  "IfMatchSize",
  "Key",
  "MFA",
  "RequestPayer",
  "VersionId",
] as const;

/** Fields of the output of GetObject. */
export const getObjectOutputNames = [
  "$metadata",
  "AcceptRanges",
  "Body",
  "BucketKeyEnabled",
  "CacheControl",
  "ChecksumCRC32",
  "ChecksumCRC32C",
  "ChecksumCRC64NVME",
  "ChecksumMD5",
  "ChecksumSHA1",
  "ChecksumSHA256",
  "ChecksumSHA512",
  "ChecksumType",
  "ChecksumXXHASH3",
  "ChecksumXXHASH64",
  "ChecksumXXHASH128",
  "ContentDisposition",
  "ContentEncoding",
  "ContentLanguage",
  "ContentLength",
  "ContentRange",
  "ContentType",
  "DeleteMarker",
  "ETag",
  "Expiration",
  "Expires",
  "ExpiresString",
  "LastModified",
  "Metadata",
  "MissingMeta",
  "ObjectLockEventHold",
  "ObjectLockEventHoldDurationDays",
  "ObjectLockEventHoldDurationYears",
  "ObjectLockLegalHoldStatus",
  "ObjectLockMode",
  "ObjectLockRetainUntilDate",
  "PartsCount",
  "ReplicationStatus",
  "RequestCharged",
  "Restore",
  "SSECustomerAlgorithm",
  "SSECustomerKeyMD5",
  "SSEKMSKeyId",
  "ServerSideEncryption",
  "StorageClass",
  "TagCount",
  "VersionId",
  "WebsiteRedirectLocation",
] as const;

/** Fields of PutObject that control who may read or delete the object, and that bucket policies require. */
export const sidecarFieldNames = [
  "ACL",
  "GrantFullControl",
  "GrantRead",
  "GrantReadACP",
  "GrantWriteACP",
  "ServerSideEncryption",
  "SSEKMSKeyId",
  "SSEKMSEncryptionContext",
  "BucketKeyEnabled",
  "ChecksumAlgorithm",
  "ObjectLockMode",
  "ObjectLockRetainUntilDate",
  "ObjectLockLegalHoldStatus",
  "Tagging",
] as const;
