/** The parsed envelope of an object of an S3 Encryption Client. */
import { contextOf, type EncryptionContext } from "../keys/encryption-context.js";
import { reservedContextNames } from "./names.js";
import type { ContentSuite, LegacyFormat, WrapAlgorithm } from "./suites.js";

/** The envelope of one object, from its metadata or its instruction file. */
export interface LegacyEnvelope {
  readonly format: LegacyFormat;
  readonly suite: ContentSuite;
  /** Undefined in V1, which does not state it: the type of the key decides between "AES" and "RSA". */
  readonly wrap: WrapAlgorithm | undefined;
  readonly wrappedKey: Buffer;
  /** The IV of the content. In V3, the message id. */
  readonly iv: Buffer;
  /** The key commitment. V3 only. */
  readonly commitment: Buffer | undefined;
  /** The encryption context of KMS as stored, reserved entries included, or the material description. */
  readonly description: EncryptionContext;
  /** The name of the content algorithm in the metadata, which the data key is bound to. "" in V1. */
  readonly contentName: string;
  /** The place where the envelope was found. */
  readonly storage: "metadata" | "instruction-file";
}

/** The encryption context that the writer stated, for an object whose data key KMS has wrapped. */
export function statedContext({ description }: Pick<LegacyEnvelope, "description">): EncryptionContext {
  return contextOf(Object.entries(description).filter(([name]) => !reservedContextNames.includes(name)));
}
