/** Decrypts an object of Amazon's clients that has been downloaded with its metadata. It sends no request to S3. */
import { linkedSignal } from "../../base/abort.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import { defaultIdleTimeoutMs } from "../../objects/encrypted/config.js";
import type { LegacyReadInfo } from "../../objects/encrypted/format.js";
import { type VerifiedBody, verifiedBody } from "../../objects/get/body.js";
import {
  type DecryptLegacyObjectOptions,
  decryptArguments,
  envelopeOf,
  type LegacyObjectInput,
} from "./decrypt-input.js";
import { objectInfoOf, withoutLegacyFields } from "./object-info.js";
import { plainLengthOf } from "./range-plan.js";
import { unlockContent } from "./unlock-content.js";
import { authenticatedOf, openWholeContent, requireReadableSize } from "./verify-then-release.js";

export type { DecryptLegacyObjectOptions, LegacyObjectInput } from "./decrypt-input.js";

/** The decrypted object. */
export interface LegacyObjectOutput {
  /** The plaintext: read it once, or destroy it. `legacy.authenticated` says when it has been verified. */
  readonly Body: VerifiedBody;
  /** Bytes of the plaintext, if known before it is read. */
  readonly ContentLength: number | undefined;
  /** The metadata without the fields of Amazon's clients. */
  readonly Metadata: Record<string, string>;
  /** As for `get`. */
  readonly encryptionContext?: EncryptionContext;
  readonly legacy: LegacyReadInfo;
}

/**
 * Decrypts an object of Amazon's S3 Encryption Clients that has been downloaded, under the same policy and with the same
 * verification as `get` with `legacyReading(options)`.
 *
 * @throws TypeError, RangeError when an argument is wrong
 * @throws EnvelopeError `ENVELOPE_MISSING`, `ENVELOPE_INVALID`, `LEGACY_REFUSED`, `LEGACY_TOO_LARGE`, `CONTEXT_MISMATCH`,
 *   `KEY_NOT_FOR_OBJECT`, `DECRYPTION_FAILED`, `BODY_TRUNCATED`, and those of the keyring. The body is destroyed with
 *   `DECRYPTION_FAILED`, `BODY_TRUNCATED`, `LEGACY_TOO_LARGE`, `FILE_FAILED`, `SOURCE_FAILED`, `SOURCE_STALLED` or
 *   `SOURCE_LENGTH_MISMATCH`
 */
export async function decryptLegacyObject(
  input: LegacyObjectInput,
  options: DecryptLegacyObjectOptions,
): Promise<LegacyObjectOutput> {
  const { config, abortSignal, metadata, expected, source, instructionFile } = decryptArguments(
    input,
    options,
  );
  const { signal, abort, dispose } = linkedSignal(abortSignal);
  const close = () => {
    abort(new Error("the body was closed"));
    dispose();
    source.close();
  };
  try {
    const envelope = envelopeOf({ metadata, instructionFile });
    const { keys, wrap, encryptionContext } = await unlockContent(config, envelope, {
      expected,
      isRange: false,
      beforeUnwrap: () => requireReadableSize(envelope.suite, config, source.length),
      abortSignal: signal,
    });
    const ciphertext = source.read({ signal, idleTimeoutMs: defaultIdleTimeoutMs });
    const plaintext = openWholeContent(ciphertext, keys, config, source.length);
    return {
      Body: verifiedBody(plaintext, { signal, close: (ended) => (ended ? dispose() : close()) }),
      ContentLength: source.length === undefined ? undefined : plainLengthOf(keys.suite, source.length),
      Metadata: withoutLegacyFields(metadata),
      ...(encryptionContext && { encryptionContext }),
      legacy: { ...objectInfoOf(envelope, wrap), authenticated: authenticatedOf(keys.suite, config) },
    };
  } catch (error) {
    close();
    throw error;
  }
}
