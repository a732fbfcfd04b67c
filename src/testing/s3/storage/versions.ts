/** The data of a version of an object in the in-process S3. */

import type { StoredChecksum } from "../wire/checksums.js";
import type { Extent } from "./byte-store.js";

/** A part of an object that was uploaded in parts. */
export interface ObjectPart {
  readonly size: number;
  /** Base64, of the algorithm of the object's checksum. */
  readonly checksum: string | undefined;
}

/** An object without its position among versions. */
export interface ObjectContent {
  readonly size: number;
  /** One for each part, or one. */
  readonly extents: readonly Extent[];
  /** Includes its quotes. */
  readonly etag: string;
  /** The headers that are returned with the object, user metadata included. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly checksum: StoredChecksum;
  /** Only of an object that was uploaded in parts. */
  readonly parts?: readonly ObjectPart[];
  /** The upload that created it. */
  readonly uploadId?: string;
}

/** The key, ID and position of a version. */
export interface Placed {
  readonly bucket: string;
  readonly key: string;
  /** "null" where the bucket had no versioning; else it begins with the sequence. */
  readonly versionId: string;
  /** Greater than that of all earlier versions. */
  readonly sequence: number;
  readonly modified: Date;
}

/** A version that has bytes. */
export interface StoredObject extends Placed, ObjectContent {
  readonly deleteMarker: false;
}

/** A delete marker. */
export interface DeleteMarker extends Placed {
  readonly deleteMarker: true;
}

/** A version: an object or a delete marker. */
export type Version = StoredObject | DeleteMarker;

/** The versioning state of a bucket; undefined if it was never enabled. */
export type Versioning = "Enabled" | "Suspended" | undefined;
