/** What the metadata, or the instruction file, of an object of an S3 Encryption Client says, once parsed. */
import { contextOf, type EncryptionContext } from "../keys/encryption-context.js";
import { reservedContextNames } from "./names.js";
import type { ContentSuite, LegacyFormat, WrapAlgorithm } from "./suites.js";

/** The envelope of one object. */
export interface LegacyEnvelope {
  readonly format: LegacyFormat;
  readonly suite: ContentSuite;
  /** Undefined in V1, which does not say: it is "AES" or "RSA", by the type of the key. */
  readonly wrap: WrapAlgorithm | undefined;
  readonly wrappedKey: Buffer;
  /** The IV of the content; the message id in V3. */
  readonly iv: Buffer;
  /** What the object commits to its data key with; V3 alone. */
  readonly commitment: Buffer | undefined;
  /** The encryption context of KMS as it was stored, reserved entries included, or the material description. */
  readonly description: EncryptionContext;
  /** The content algorithm by the name that stands in the metadata, which the data key is bound to; "" in V1. */
  readonly contentName: string;
  /** Where it was found. */
  readonly storage: "metadata" | "instruction-file";
}

/** The context of an object under KMS as its writer stated it. */
export function statedContext({ description }: Pick<LegacyEnvelope, "description">): EncryptionContext {
  return contextOf(Object.entries(description).filter(([name]) => !reservedContextNames.includes(name)));
}
