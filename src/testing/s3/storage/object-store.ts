/** The buckets and the versions of objects of the in-process S3. */
import { randomBytes } from "node:crypto";
import { s3Fault } from "../wire/s3-fault.js";
import type { ByteStore, Extent } from "./byte-store.js";
import { byBytes, stamp } from "./order.js";
import type { Records } from "./records.js";
import type { DeleteMarker, ObjectContent, Placed, StoredObject, Version, Versioning } from "./versions.js";

interface Bucket {
  readonly name: string;
  readonly created: Date;
  versioning: Versioning;
  /** By key, the newest version of each first. */
  readonly versions: Map<string, readonly Version[]>;
  /** The sorted keys, until one is added or removed. */
  sortedKeys: readonly string[] | undefined;
}

type BucketRecord = Pick<Bucket, "name" | "created" | "versioning">;

/** Buckets and objects. Changes are synchronous, so conditions checked just before still hold. */
export class ObjectStore {
  readonly #buckets = new Map<string, Bucket>();
  readonly #records: Records;
  readonly bytes: ByteStore;
  #sequence = 0;

  constructor(bytes: ByteStore, records: Records) {
    this.bytes = bytes;
    this.#records = records;
    for (const record of records.load("buckets")) this.#addBucket(revived(record as BucketRecord));
    const found = records.load("versions").map((record) => revived(record as Version));
    for (const version of found.sort((left, right) => left.sequence - right.sequence)) this.#insert(version);
  }

  get buckets(): readonly { readonly name: string; readonly created: Date }[] {
    return [...this.#buckets.values()].sort((left, right) => byBytes(left.name, right.name));
  }

  createBucket(name: string): void {
    if (!isBucketName(name)) throw s3Fault("InvalidBucketName", "The specified bucket is not valid.");
    if (this.#buckets.has(name)) throw s3Fault("BucketAlreadyOwnedByYou");
    const bucket: BucketRecord = { name, created: new Date(), versioning: undefined };
    this.#records.save("buckets", name, bucket);
    this.#addBucket(bucket);
  }

  deleteBucket(name: string): void {
    if (this.#bucket(name).versions.size > 0) {
      throw s3Fault("BucketNotEmpty", "The bucket you tried to delete is not empty");
    }
    this.#records.remove("buckets", name);
    this.#buckets.delete(name);
  }

  /** Whether the bucket exists. */
  hasBucket(name: string): boolean {
    return this.#buckets.has(name);
  }

  requireBucket(name: string): void {
    this.#bucket(name);
  }

  versioning(name: string): Versioning {
    return this.#bucket(name).versioning;
  }

  setVersioning(name: string, versioning: Versioning): void {
    const bucket = this.#bucket(name);
    bucket.versioning = versioning;
    const { created } = bucket;
    this.#records.save("buckets", name, { name, created, versioning } satisfies BucketRecord);
  }

  /** All versions in a bucket: by key in the order of bytes, of each key the newest first. */
  versions(bucket: string): readonly Version[] {
    const found = this.#bucket(bucket);
    found.sortedKeys ??= [...found.versions.keys()].sort(byBytes);
    return found.sortedKeys.flatMap((key) => found.versions.get(key) ?? []);
  }

  /** The newest version of a key, an object or a delete marker. */
  newest(bucket: string, key: string): Version | undefined {
    return this.#bucket(bucket).versions.get(key)?.[0];
  }

  /** The object that a reader without a version ID finds. */
  current(bucket: string, key: string): StoredObject | undefined {
    const newest = this.newest(bucket, key);
    return newest?.deleteMarker === false ? newest : undefined;
  }

  /** A version of a key, an object or a delete marker. */
  version(bucket: string, key: string, versionId: string): Version | undefined {
    requireVersionId(versionId);
    return this.#bucket(bucket)
      .versions.get(key)
      ?.find((one) => one.versionId === versionId);
  }

  /** The object that a request for a key, or for a version of it, reads. */
  object(bucket: string, key: string, versionId?: string): StoredObject {
    const version = versionId === undefined ? this.newest(bucket, key) : this.version(bucket, key, versionId);
    if (version?.deleteMarker === false) return version;
    const headers: Record<string, string> = version
      ? { "x-amz-delete-marker": "true", "x-amz-version-id": version.versionId }
      : {};
    if (versionId === undefined) throw s3Fault("NoSuchKey", "The specified key does not exist.", headers);
    if (!version) throw s3Fault("NoSuchVersion", "The specified version does not exist.");
    const message = "The specified method is not allowed against this resource.";
    throw s3Fault("MethodNotAllowed", message, { ...headers, allow: "DELETE" });
  }

  put(bucket: string, key: string, content: ObjectContent): StoredObject {
    const placed = this.#place(bucket, key);
    const object: StoredObject = { ...content, ...placed, deleteMarker: false };
    this.#save(object);
    return object;
  }

  setTags(object: StoredObject, tags: Readonly<Record<string, string>>): void {
    const tagged = { ...object, tags };
    this.#records.save("versions", recordName(object), tagged);
    const all = this.#bucket(object.bucket).versions.get(object.key) ?? [];
    this.#setVersions(
      object.bucket,
      object.key,
      all.map((version) => (version.sequence === object.sequence ? tagged : version)),
    );
  }

  /**
   * Deletes a version or, without one, the object as its bucket's versioning defines. Returns the removed
   * version or the new marker.
   */
  delete(bucket: string, key: string, versionId?: string): Version | undefined {
    if (versionId !== undefined) {
      requireVersionId(versionId);
      return this.#remove(bucket, key, versionId);
    }
    if (this.versioning(bucket) === undefined) {
      this.#remove(bucket, key, "null");
      return undefined;
    }
    const marker: DeleteMarker = { ...this.#place(bucket, key), deleteMarker: true };
    this.#save(marker);
    return marker;
  }

  /** The files of objects. */
  files(): string[] {
    return [...this.#buckets.values()].flatMap(({ versions }) =>
      [...versions.values()]
        .flat()
        .flatMap((version) => (version.deleteMarker ? [] : filesOf(version.extents))),
    );
  }

  /** Whether this upload has created an object. */
  cameFrom(bucket: string, key: string, uploadId: string): boolean {
    const all = this.#buckets.get(bucket)?.versions.get(key) ?? [];
    return all.some((version) => !version.deleteMarker && version.uploadId === uploadId);
  }

  #bucket(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (!bucket) throw s3Fault("NoSuchBucket", "The specified bucket does not exist");
    return bucket;
  }

  #addBucket(record: BucketRecord): void {
    this.#buckets.set(record.name, { ...record, versions: new Map(), sortedKeys: undefined });
  }

  #place(bucket: string, key: string): Placed {
    const sequence = this.#sequence + 1;
    const enabled = this.versioning(bucket) === "Enabled";
    const versionId = enabled ? stamp(sequence) + randomBytes(17).toString("base64url") : "null";
    return { bucket, key, versionId, sequence, modified: new Date() };
  }

  #save(version: Version): void {
    this.#records.save("versions", recordName(version), version);
    this.#insert(version);
  }

  /** Adds the newest version of a key; there is at most one of each ID. */
  #insert(version: Version): void {
    const { bucket, key, versionId, sequence } = version;
    const all = this.#bucket(bucket).versions.get(key) ?? [];
    const replaced = all.find((one) => one.versionId === versionId);
    this.#setVersions(bucket, key, [version, ...all.filter((one) => one !== replaced)]);
    this.#sequence = sequence;
    if (replaced) this.#discard(replaced);
  }

  #remove(bucket: string, key: string, versionId: string): Version | undefined {
    const all = this.#bucket(bucket).versions.get(key) ?? [];
    const removed = all.find((version) => version.versionId === versionId);
    if (!removed) return undefined;
    this.#setVersions(
      bucket,
      key,
      all.filter((version) => version !== removed),
    );
    this.#discard(removed);
    return removed;
  }

  #setVersions(name: string, key: string, all: readonly Version[]): void {
    const bucket = this.#bucket(name);
    if (all.length > 0 !== bucket.versions.has(key)) bucket.sortedKeys = undefined;
    if (all.length > 0) bucket.versions.set(key, all);
    else bucket.versions.delete(key);
  }

  /** Removes record and bytes of a version that is in no list. */
  #discard(version: Version): void {
    this.#records.remove("versions", recordName(version));
    if (!version.deleteMarker) this.bytes.remove(version.extents);
  }
}

/** The names of the files of extents. */
export function filesOf(extents: readonly Extent[]): string[] {
  return extents.flatMap(({ file }) => file ?? []);
}

/** Whether S3 allows this name for a bucket. */
export function isBucketName(name: string): boolean {
  return (
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) &&
    !/\.\.|\.-|-\.|^\d+\.\d+\.\d+\.\d+$/.test(name) &&
    !/^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$/.test(name)
  );
}

/** A record with its dates. */
export function revived<T extends object>(record: T): T {
  const dates = ["created", "modified", "started"].filter((field) => field in record);
  return Object.assign(
    { ...record },
    ...dates.map((field) => ({ [field]: new Date(Reflect.get(record, field) as string) })),
  ) as T;
}

function recordName({ sequence }: Version): string {
  return String(sequence).padStart(12, "0");
}

function requireVersionId(versionId: string): void {
  if (versionId !== "null" && !/^[\w.-]{32}$/.test(versionId)) {
    throw s3Fault("InvalidArgument", "Invalid version id specified");
  }
}
