/** How an object of Amazon's clients was written, and its metadata without theirs. */
import type { LegacyObjectInfo } from "../../objects/encrypted/format.js";
import type { LegacyEnvelope } from "../../s3ec/envelope.js";
import { legacyNames } from "../../s3ec/names.js";
import type { WrapAlgorithm } from "../../s3ec/suites.js";

/** Describes how an object was written. `wrap` is the one that the envelope names, or that its key shows. */
export function objectInfoOf(
  envelope: LegacyEnvelope,
  wrap: WrapAlgorithm | undefined,
  instructionFileKey?: string | undefined,
): LegacyObjectInfo {
  return {
    format: envelope.format,
    contentAlgorithm: envelope.suite.name,
    ...(wrap && { wrapAlgorithm: wrap.name }),
    storage: envelope.storage,
    ...(instructionFileKey !== undefined && { instructionFileKey }),
  };
}

const ownNames = new Set<string>(Object.values(legacyNames));

/** The metadata of an object without the fields of Amazon's clients. */
export function withoutLegacyFields(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !ownNames.has(name.toLowerCase())));
}
