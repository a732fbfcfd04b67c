/** Every name and constant of the envelope on the wire, once. format.md 7 specifies them. */

/** All metadata names of the envelope start so; users' own must not. */
export const metadataPrefix = "s3e-";

/** The metadata names, as S3 gives them back: without `x-amz-meta-`, in lower case. */
export const names = {
  version: "s3e-version",
  suite: "s3e-suite",
  salt: "s3e-salt",
  commitment: "s3e-commitment",
  context: "s3e-context",
  recipients: "s3e-recipients",
  /** Stands in place of context and recipients when these are in a sidecar object. */
  storage: "s3e-storage",
} as const;

/** The version of the format, and what the context of the body starts with. */
export const formatVersion = "1";
/** The one algorithm suite of version 1. */
export const suiteName = "Cobblestone-256";
/** The value of `s3e-storage`. */
export const sidecarStorage = "sidecar";
/** What follows the object's key and the salt in the key of its sidecar. */
export const sidecarSuffix = ".envelope";
/** S3 allows this many bytes of user metadata, names and values together. */
export const maxMetadataBytes = 2048;
/** A reader takes no envelope of more characters than this, wherever it stands. */
export const maxEnvelopeLength = 262_144;

/** The name that this package adds to the context of every wrapped key, and its value. */
export const wrappingContextEntry = ["s3-envelope", `v${formatVersion} ${suiteName}`] as const;
/** The bytes before the canonical encryption context in the context of the body. */
export const bodyContextLabel = `s3-envelope/v${formatVersion}\0`;

/** Metadata that tells an object of Amazon's S3 Encryption Clients, by the version that wrote it. */
export const legacyMarkers: readonly (readonly [name: string, version: string])[] = [
  ["x-amz-3", "V3"],
  ["x-amz-i", "V3"],
  ["x-amz-key-v2", "V2"],
  ["x-amz-key", "V1"],
];
