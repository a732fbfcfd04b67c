/** What the in-process S3 holds, in memory: buckets, objects, unfinished uploads. */
import { randomUUID } from "node:crypto";
import type { StoredChecksum } from "./checksums.js";
import { s3Fault } from "./s3-fault.js";

/** The bytes of an object or part, as they came. */
export interface StoredBytes {
  readonly pieces: readonly Buffer[];
  readonly size: number;
}

/** An object. */
export interface StoredObject extends StoredBytes {
  /** With its quotes. */
  readonly etag: string;
  readonly modified: Date;
  /** The headers that come back with the object, user metadata among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly checksum: StoredChecksum | undefined;
}

/** A part of an upload. */
export interface StoredPart extends StoredBytes {
  readonly etag: string;
  readonly md5: Buffer;
  readonly modified: Date;
  readonly checksum: StoredChecksum | undefined;
}

/** An upload that has been neither completed nor aborted. */
export interface StoredUpload {
  readonly id: string;
  readonly key: string;
  readonly started: Date;
  readonly headers: Readonly<Record<string, string>>;
  readonly parts: Map<number, StoredPart>;
}

/** One bucket. */
export interface Bucket {
  readonly created: Date;
  readonly objects: Map<string, StoredObject>;
  readonly uploads: Map<string, StoredUpload>;
}

/** All buckets. */
export class ObjectStore {
  readonly #buckets = new Map<string, Bucket>();

  create(name: string): void {
    if (!isBucketName(name)) throw s3Fault("InvalidBucketName");
    if (this.#buckets.has(name)) throw s3Fault("BucketAlreadyOwnedByYou");
    this.#buckets.set(name, { created: new Date(), objects: new Map(), uploads: new Map() });
  }

  bucket(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (!bucket) throw s3Fault("NoSuchBucket", "The specified bucket does not exist");
    return bucket;
  }

  object(bucket: string, key: string): StoredObject {
    const object = this.bucket(bucket).objects.get(key);
    if (!object) throw s3Fault("NoSuchKey", "The specified key does not exist.");
    return object;
  }

  startUpload(bucket: string, key: string, headers: Readonly<Record<string, string>>): StoredUpload {
    const upload = { id: randomUUID(), key, started: new Date(), headers, parts: new Map() };
    this.bucket(bucket).uploads.set(upload.id, upload);
    return upload;
  }

  upload(bucket: string, key: string, id: string | undefined): StoredUpload {
    const upload = this.bucket(bucket).uploads.get(id ?? "");
    if (upload?.key !== key) throw s3Fault("NoSuchUpload", "The specified upload does not exist.");
    return upload;
  }
}

/** The bytes from `start` (included) to `end` (excluded), without copying. */
export function slicePieces({ pieces }: StoredBytes, start: number, end: number): Buffer[] {
  const sliced: Buffer[] = [];
  let offset = 0;
  for (const piece of pieces) {
    const part = piece.subarray(Math.max(0, start - offset), Math.max(0, end - offset));
    if (part.length > 0) sliced.push(part);
    offset += piece.length;
    if (offset >= end) break;
  }
  return sliced;
}

/** Whether S3 would allow this name for a bucket. */
export function isBucketName(name: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name);
}
