/** The options of a `LegacyWriter`, and their checks. */
import { choiceArgument } from "../../base/arguments.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { type EnvelopeClientOptions, transferConfigArgument } from "../../objects/encrypted/config.js";
import type { TransferConfig } from "../../objects/encrypted/transfer-config.js";
import type { LegacyKeyring } from "../../s3ec/keyrings/keyring.js";
import { legacyKeyringArgument } from "../../s3ec/keyrings/keyring.js";
import { type CommitmentPolicy, type LegacyPolicy, policyArguments } from "../../s3ec/policy.js";
import { type ContentSuite, committingSuite, gcmSuite } from "../../s3ec/suites.js";

/** Options of `LegacyWriter`. */
export interface LegacyWriterOptions
  extends Pick<
      EnvelopeClientOptions,
      "s3" | "partSizeBytes" | "maxConcurrentParts" | "maxBufferedBytes" | "idleTimeoutMs"
    >,
    Partial<LegacyPolicy> {
  /** Generates the data keys. For `reEncryptInstructionFile`, unwraps the current one. */
  readonly keyring: LegacyKeyring;
  /**
   * The policy for writing, and for reading by `reEncryptInstructionFile`, by the names of Amazon's clients.
   * "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" by default. "FORBID_ENCRYPT_ALLOW_DECRYPT" requires the algorithm of V2, the other two
   * that of V3.
   */
  readonly commitmentPolicy?: CommitmentPolicy;
  /** The content algorithm, which determines the format. That of V3 by default, whatever the policy. */
  readonly encryptionAlgorithm?:
    | "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY"
    | "ALG_AES_256_GCM_IV12_TAG16_NO_KDF"
    | undefined;
  /**
   * Whether the wrapped data key is stored in an instruction file, `<key>.instruction`, in which it can be re-encrypted; false
   * by default.
   */
  readonly instructionFile?: boolean | undefined;
}

/** {@link LegacyWriterOptions} after validation. */
export interface LegacyWriterConfig extends TransferConfig {
  readonly keyring: LegacyKeyring;
  readonly policy: LegacyPolicy;
  readonly suite: ContentSuite;
  readonly instructionFile: boolean;
}

/** Checks the options of a writer. */
export function writerConfigArgument(options: unknown): LegacyWriterConfig {
  const given = fieldsArgument<LegacyWriterOptions>(legacyFieldNames.writer.options, options);
  const { encryptionAlgorithm = committingSuite.name, instructionFile = false } = given;
  const policy = policyArguments(given);
  const suites = [committingSuite, gcmSuite];
  const name = choiceArgument(
    "options.encryptionAlgorithm",
    encryptionAlgorithm,
    suites.map((suite) => suite.name),
  );
  const suite = name === gcmSuite.name ? gcmSuite : committingSuite;
  if (suite.commits === (policy.commitmentPolicy === "FORBID_ENCRYPT_ALLOW_DECRYPT")) {
    const expected = suite.commits ? gcmSuite : committingSuite;
    throw new RangeError(
      `options.encryptionAlgorithm: expected "${expected.name}" with the commitment policy ` +
        `"${policy.commitmentPolicy}", got "${name}"`,
    );
  }
  return {
    ...transferConfigArgument(given),
    keyring: legacyKeyringArgument("options.keyring", given.keyring),
    policy,
    suite,
    instructionFile: choiceArgument("options.instructionFile", instructionFile, [true, false]),
  };
}
