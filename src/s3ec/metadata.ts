/** Decodes the envelope of S3 Encryption Clients in the metadata of an object. docs/guides/legacy-objects.md has the tables of fields. */
import type { MetadataFields } from "../envelope/metadata.js";
import type { LegacyEnvelope } from "./envelope.js";
import { collectFields, isEnvelopeName, malformed } from "./fields.js";
import { legacyNames as names } from "./names.js";
import {
  allowOnly,
  type CommittedContent,
  committedContentNames,
  decodeCommittedContent,
  decodeV1,
  decodeV2,
  decodeV3,
  formatOf,
  wrappingNamesV3,
} from "./versions.js";

/** The result for metadata without a wrapped data key, which then is in an instruction file, if anywhere. */
export interface InInstructionFile {
  readonly needsInstructionFile: true;
  /** The content fields, which only the metadata may have. With them the file must be of V3, without them of V1 or V2. */
  readonly partial?: CommittedContent;
}

/**
 * Whether the metadata of an object shows that an S3 Encryption Client wrote it. If it does not, an instruction file may:
 * objects of V1 and V2 with such a file have no mark.
 */
export function isLegacyMetadata(metadata: MetadataFields): boolean {
  return Object.entries(metadata).some(([name, value]) => value !== "" && isEnvelopeName(name));
}

/**
 * Decodes the envelope in the metadata of an object, or finds that it must be in an instruction file. An incomplete envelope
 * or a mixture of versions is an error, and never taken for an object that is not encrypted.
 *
 * @param metadata names without `x-amz-meta-` in any case, as the SDK returns them; untrusted
 * @throws EnvelopeError `ENVELOPE_INVALID`, which names the field
 */
export function decodeLegacyMetadata(metadata: MetadataFields): LegacyEnvelope | InInstructionFile {
  const fields = collectFields("metadata", Object.entries(metadata));
  switch (formatOf(fields)) {
    case "V1":
      return decodeV1(fields);
    case "V2":
      return decodeV2(fields);
    case "V3":
      allowOnly(fields, "V3", [...wrappingNamesV3, ...committedContentNames]);
      return decodeV3(fields, decodeCommittedContent(fields));
    case undefined:
  }
  if (committedContentNames.some((name) => fields.values.has(name))) {
    allowOnly(fields, "V3", committedContentNames);
    return { needsInstructionFile: true, partial: decodeCommittedContent(fields) };
  }
  for (const name of fields.values.keys()) {
    if (name === names.contentLength || name === names.contentMd5) continue;
    throw malformed("metadata", name, "it is there without a wrapped data key");
  }
  return { needsInstructionFile: true };
}
