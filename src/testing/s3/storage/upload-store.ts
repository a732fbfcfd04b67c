/** The unfinished uploads of the in-process S3. */
import { randomUUID } from "node:crypto";
import type { ChecksumAlgorithm, ChecksumType } from "../wire/checksums.js";
import { s3Fault } from "../wire/s3-fault.js";
import type { Extent } from "./byte-store.js";
import { filesOf, type ObjectStore, revived } from "./object-store.js";
import { stamp } from "./order.js";
import type { Records } from "./records.js";
import type { ObjectContent, StoredObject } from "./versions.js";

/** What the writer stated when the upload began. */
export interface UploadTerms {
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly algorithm: ChecksumAlgorithm;
  readonly type: ChecksumType;
  /** Whether the writer named the algorithm: each part must then have it. */
  readonly declared: boolean;
}

/** An upload. */
export interface StoredUpload extends UploadTerms {
  /** In the order in which uploads were started. */
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly started: Date;
  readonly parts: Map<number, StoredPart>;
}

/** A part of an upload. */
export interface StoredPart {
  readonly number: number;
  readonly extent: Extent;
  /** Includes its quotes. */
  readonly etag: string;
  /** Base64, of the upload's algorithm. */
  readonly checksum: string;
  /** The checksum of another algorithm that the writer stated, if any. */
  readonly stated: { readonly algorithm: ChecksumAlgorithm; readonly value: string } | undefined;
  readonly modified: Date;
}

/** Uploads. Like the objects, they change synchronously. */
export class UploadStore {
  readonly #uploads = new Map<string, StoredUpload>();
  readonly #objects: ObjectStore;
  readonly #records: Records;
  /** The start of the latest upload. No two start in the same millisecond. */
  #lastStart = 0;

  constructor(objects: ObjectStore, records: Records) {
    this.#objects = objects;
    this.#records = records;
    for (const record of records.load("uploads")) this.#revive(record as Omit<StoredUpload, "parts">);
    for (const record of records.load("parts")) {
      const { id, ...part } = record as StoredPart & { id: string };
      const upload = this.#uploads.get(id);
      if (upload) upload.parts.set(part.number, revived(part));
      else records.remove("parts", partName(id, part.number));
    }
  }

  start(bucket: string, key: string, terms: UploadTerms): StoredUpload {
    this.#objects.requireBucket(bucket);
    this.#lastStart = Math.max(Date.now(), this.#lastStart + 1);
    const id = stamp(this.#lastStart) + randomUUID();
    const record = { ...terms, id, bucket, key, started: new Date(this.#lastStart) };
    this.#records.save("uploads", record.id, record);
    const upload = { ...record, parts: new Map() };
    this.#uploads.set(upload.id, upload);
    return upload;
  }

  find(bucket: string, key: string, id: string | undefined): StoredUpload {
    this.#objects.requireBucket(bucket);
    const upload = this.#uploads.get(id ?? "");
    if (upload?.key !== key || upload.bucket !== bucket) {
      throw s3Fault("NoSuchUpload", "The specified upload does not exist.");
    }
    return upload;
  }

  inBucket(bucket: string): readonly StoredUpload[] {
    this.#objects.requireBucket(bucket);
    return [...this.#uploads.values()].filter((upload) => upload.bucket === bucket);
  }

  /** Adds a part, in place of one of the same number. */
  addPart({ id, parts }: StoredUpload, part: StoredPart): void {
    const replaced = parts.get(part.number);
    this.#records.save("parts", partName(id, part.number), { ...part, id });
    parts.set(part.number, part);
    if (replaced) this.#objects.bytes.remove([replaced.extent]);
  }

  /** Creates the object; other parts are removed. */
  complete(upload: StoredUpload, content: ObjectContent): StoredObject {
    const object = this.#objects.put(upload.bucket, upload.key, { ...content, uploadId: upload.id });
    const unused = [...upload.parts.values()].filter(({ extent }) => !content.extents.includes(extent));
    this.#forget(upload);
    this.#objects.bytes.remove(unused.map(({ extent }) => extent));
    return object;
  }

  abort(upload: StoredUpload): void {
    this.#forget(upload);
    this.#objects.bytes.remove([...upload.parts.values()].map(({ extent }) => extent));
  }

  /** The files of parts. */
  files(): string[] {
    const parts = [...this.#uploads.values()].flatMap((upload) => [...upload.parts.values()]);
    return filesOf(parts.map(({ extent }) => extent));
  }

  /** Removes an upload that had become an object when the process died. */
  #revive(record: Omit<StoredUpload, "parts">): void {
    const { id, bucket, key } = record;
    if (this.#objects.cameFrom(bucket, key, id) || !this.#objects.hasBucket(bucket)) {
      this.#records.remove("uploads", id);
    } else {
      const upload = { ...revived(record), parts: new Map() };
      this.#lastStart = Math.max(this.#lastStart, upload.started.getTime());
      this.#uploads.set(id, upload);
    }
  }

  #forget({ id, parts }: StoredUpload): void {
    this.#uploads.delete(id);
    this.#records.remove("uploads", id);
    for (const number of parts.keys()) this.#records.remove("parts", partName(id, number));
  }
}

function partName(id: string, number: number): string {
  return `${id}.${number}`;
}
