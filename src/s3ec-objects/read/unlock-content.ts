/** Unwraps the data key of an object of Amazon's S3 Encryption Clients, under the options of legacy reading. */
import { untilAborted } from "../../base/abort.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { ContentKeys } from "../../s3ec/content/content-keys.js";
import { type LegacyEnvelope, statedContext } from "../../s3ec/envelope.js";
import { type LegacyUnwrapRequest, unwrapContentKeys, wrapOf } from "../../s3ec/keyrings/unwrap.js";
import type { WrapAlgorithm } from "../../s3ec/suites.js";
import type { ReadingConfig } from "./reading-options.js";

/** The keys of an object's content, and the options that it is read under. */
export interface UnlockedContent {
  readonly config: ReadingConfig;
  readonly keys: ContentKeys;
  readonly wrap: WrapAlgorithm;
  /** The context that the writer stated, where KMS has authenticated it; other keys authenticate none. */
  readonly encryptionContext: EncryptionContext | undefined;
}

/** Unwraps the data key, see {@link unwrapContentKeys}. Rejects as soon as the signal aborts. */
export async function unlockContent(
  config: ReadingConfig,
  envelope: LegacyEnvelope,
  input: Pick<LegacyUnwrapRequest, "expected" | "isRange" | "beforeUnwrap"> & {
    readonly abortSignal: AbortSignal;
  },
): Promise<UnlockedContent> {
  const { keyrings, policy, contentAad, enableCbcRewrappedByJava } = config;
  const options = { keyrings, policy, contentAad, enableCbcRewrappedByJava };
  const keys = await untilAborted(input.abortSignal, unwrapContentKeys(envelope, { ...options, ...input }));
  const wrap = wrapOf(envelope, keyrings);
  const encryptionContext = wrap.keyType === "kms" ? statedContext(envelope) : undefined;
  return { config, keys, wrap, encryptionContext };
}
