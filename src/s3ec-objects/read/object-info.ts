/** What is told of an object of Amazon's clients beside its content. */
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { LegacyObjectInfo } from "../../objects/encrypted/legacy-reading.js";
import { type LegacyEnvelope, statedContext } from "../../s3ec/envelope.js";
import { legacyNames } from "../../s3ec/names.js";
import type { WrapAlgorithm } from "../../s3ec/suites.js";

/** How the object was written; `wrap` is what the envelope says, or what its key has told. */
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

/** The context that KMS has proved, as the writer stated it; undefined for other keys, which prove none. */
export function provenContext(envelope: LegacyEnvelope, wrap: WrapAlgorithm): EncryptionContext | undefined {
  return wrap.keyType === "kms" ? statedContext(envelope) : undefined;
}

const ownNames = new Set<string>(Object.values(legacyNames));

/** The metadata of an object without what Amazon's clients put there. */
export function withoutLegacyFields(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !ownNames.has(name.toLowerCase())));
}
