/** All names and constants of the stored envelope. format.md 7 specifies them. */

/** The prefix of all metadata names of the envelope. Names of users must not have it. */
export const metadataPrefix = "s3e-";

/** The metadata names as S3 returns them: without `x-amz-meta-`, in lower case. */
export const names = {
  version: "s3e-version",
  suite: "s3e-suite",
  salt: "s3e-salt",
  commitment: "s3e-commitment",
  context: "s3e-context",
  recipients: "s3e-recipients",
  /** In place of context and recipients, when these are in a sidecar object. */
  storage: "s3e-storage",
} as const;

/** The version of the format. */
export const formatVersion = "1";
/** The one algorithm suite of version 1. */
export const suiteName = "Cobblestone-256";
/** The value of `s3e-storage`. */
export const sidecarStorage = "sidecar";
/** The end of the key of a sidecar, after the object's key and the salt. */
export const sidecarSuffix = ".envelope";
/** S3 allows at most this many bytes of user metadata, names and values together. */
export const maxMetadataBytes = 2048;
/** The most characters of an envelope that a reader accepts, in metadata or in a sidecar. */
export const maxEnvelopeLength = 262_144;

/** The entry that this package adds to the context of every wrapped key. */
export const wrappingContextEntry = ["s3-envelope", `v${formatVersion} ${suiteName}`] as const;
/** Precedes the canonical encryption context in the context of the body. */
export const bodyContextLabel = `s3-envelope/v${formatVersion}\0`;

/** Metadata names by which an object of Amazon's S3 Encryption Clients is recognized, with the version that writes them. */
export const s3ecMarkers: readonly (readonly [name: string, version: string])[] = [
  ["x-amz-3", "V3"],
  ["x-amz-i", "V3"],
  ["x-amz-key-v2", "V2"],
  ["x-amz-key", "V1"],
];
