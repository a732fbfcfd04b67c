/** What the in-process S3 knows of a version of an object. */

import type { StoredChecksum } from "../wire/checksums.js";
import type { Extent } from "./byte-store.js";

/** A part of an object that was uploaded in parts. */
export interface ObjectPart {
  readonly size: number;
  /** Base64, of the algorithm of the object's checksum. */
  readonly checksum: string | undefined;
}

/** All of an object but its place. */
export interface ObjectContent {
  readonly size: number;
  /** One for each part, or one. */
  readonly extents: readonly Extent[];
  /** With its quotes. */
  readonly etag: string;
  /** The headers that come back with the object, user metadata among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly checksum: StoredChecksum;
  /** Only of an object that was uploaded in parts. */
  readonly parts?: readonly ObjectPart[];
  /** The upload that it was made from. */
  readonly uploadId?: string;
}

/** Where a version is, and which it is. */
export interface Placed {
  readonly bucket: string;
  readonly key: string;
  /** "null" where the bucket had no versioning; else it begins with the sequence. */
  readonly versionId: string;
  /** Greater than that of all versions that are there when it is made. */
  readonly sequence: number;
  readonly modified: Date;
}

/** A version that has bytes. */
export interface StoredObject extends Placed, ObjectContent {
  readonly deleteMarker: false;
}

/** A version that says that the object was deleted. */
export interface DeleteMarker extends Placed {
  readonly deleteMarker: true;
}

/** A version of an object. */
export type Version = StoredObject | DeleteMarker;

/** Whether a bucket keeps versions; undefined when it never did. */
export type Versioning = "Enabled" | "Suspended" | undefined;
