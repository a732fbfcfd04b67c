/** The S3 operations that are not supported, so that requests for them are refused by name. */

type Operations = Readonly<Record<string, string>>;

/** The operation of a subresource and a method. */
type Subresources = Readonly<Record<string, Operations>>;

/** The operations on a setting that every bucket has. */
const setting = (name: string): Operations => ({ GET: `GetBucket${name}`, PUT: `PutBucket${name}` });

/** The operations on a configuration that a bucket may have. */
const configuration = (name: string): Operations => ({
  ...setting(name),
  DELETE: `DeleteBucket${name}`,
});

/** Configurations of which a bucket may have several; a request names one by `id`. */
const configurations = (name: string): Operations => ({
  ...configuration(`${name}Configuration`),
  LIST: `ListBucket${name}Configurations`,
});

const metadata = (name: string): Operations => ({
  GET: `GetBucket${name}`,
  POST: `CreateBucket${name}`,
  DELETE: `DeleteBucket${name}`,
});

const buckets: Subresources = {
  abac: setting("Abac"),
  accelerate: setting("AccelerateConfiguration"),
  acl: setting("Acl"),
  analytics: configurations("Analytics"),
  cors: configuration("Cors"),
  encryption: configuration("Encryption"),
  "intelligent-tiering": configurations("IntelligentTiering"),
  inventory: configurations("Inventory"),
  lifecycle: { ...configuration("LifecycleConfiguration"), DELETE: "DeleteBucketLifecycle" },
  logging: setting("Logging"),
  metadataAnnotationTable: { PUT: "UpdateBucketMetadataAnnotationTableConfiguration" },
  metadataConfiguration: metadata("MetadataConfiguration"),
  metadataInventoryTable: { PUT: "UpdateBucketMetadataInventoryTableConfiguration" },
  metadataJournalTable: { PUT: "UpdateBucketMetadataJournalTableConfiguration" },
  metadataTable: metadata("MetadataTableConfiguration"),
  metrics: configurations("Metrics"),
  notification: setting("NotificationConfiguration"),
  "object-lock": { GET: "GetObjectLockConfiguration", PUT: "PutObjectLockConfiguration" },
  ownershipControls: configuration("OwnershipControls"),
  policy: configuration("Policy"),
  policyStatus: { GET: "GetBucketPolicyStatus" },
  publicAccessBlock: {
    GET: "GetPublicAccessBlock",
    PUT: "PutPublicAccessBlock",
    DELETE: "DeletePublicAccessBlock",
  },
  replication: configuration("Replication"),
  requestPayment: setting("RequestPayment"),
  session: { GET: "CreateSession" },
  tagging: configuration("Tagging"),
  website: configuration("Website"),
};

const objects: Subresources = {
  acl: { GET: "GetObjectAcl", PUT: "PutObjectAcl" },
  annotation: {
    GET: "GetObjectAnnotation",
    PUT: "PutObjectAnnotation",
    DELETE: "DeleteObjectAnnotation",
    LIST: "ListObjectAnnotations",
  },
  encryption: { PUT: "UpdateObjectEncryption" },
  "legal-hold": { GET: "GetObjectLegalHold", PUT: "PutObjectLegalHold" },
  renameObject: { PUT: "RenameObject" },
  restore: { POST: "RestoreObject" },
  retention: { GET: "GetObjectRetention", PUT: "PutObjectRetention" },
  select: { POST: "SelectObjectContent" },
  torrent: { GET: "GetObjectTorrent" },
};
/** The parameter that distinguishes one configuration from their list. */
const names = ["id", "annotationName"];

/** The unsupported S3 operation that a request asks for by a query parameter, if any. */
export function unsupportedOperation(
  level: "service" | "bucket" | "object",
  method: string,
  query: ReadonlyMap<string, string>,
): string | undefined {
  const table = level === "bucket" ? buckets : level === "object" ? objects : {};
  for (const parameter of query.keys()) {
    const operations = Object.hasOwn(table, parameter) ? table[parameter] : undefined;
    const lists = method === "GET" && !names.some((name) => query.has(name));
    const operation = (lists ? operations?.LIST : undefined) ?? operations?.[method];
    if (operation !== undefined) return operation;
  }
  return level === "bucket" && method === "POST" && !query.has("delete") ? "PostObject" : undefined;
}
