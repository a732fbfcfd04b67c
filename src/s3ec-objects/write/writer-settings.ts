/** The settings of a `LegacyWriter`, checked once: which format it writes, and what it may read to rotate keys. */
import { choiceArgument } from "../../base/arguments.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import {
  type EnvelopeClientOptions,
  type TransferConfig,
  transferConfigArgument,
} from "../../objects/encrypted/config.js";
import type { LegacyKeyring } from "../../s3ec/keyrings/keyring.js";
import { legacyKeyringArgument } from "../../s3ec/keyrings/new-data-key.js";
import { type CommitmentPolicy, type LegacyPolicy, policyArguments } from "../../s3ec/policy.js";
import { type ContentSuite, committingSuite, gcmSuite } from "../../s3ec/suites.js";

/** What a `LegacyWriter` is made of. */
export interface LegacyWriterOptions
  extends Pick<
      EnvelopeClientOptions,
      "s3" | "partSizeBytes" | "maxConcurrentParts" | "maxBufferedBytes" | "idleTimeoutMs"
    >,
    Partial<LegacyPolicy> {
  /** Makes the data keys; for rotations, unwraps those that are to be wrapped anew. */
  readonly keyring: LegacyKeyring;
  /**
   * By the names of Amazon's clients: what is written, and what a rotation reads. "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" by
   * default. "FORBID_ENCRYPT_ALLOW_DECRYPT" goes with the algorithm of V2, the other two with that of V3.
   */
  readonly commitmentPolicy?: CommitmentPolicy;
  /** The algorithm of the content, and so the format: that of V3 by default, whatever the policy. */
  readonly encryptionAlgorithm?:
    | "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY"
    | "ALG_AES_256_GCM_IV12_TAG16_NO_KDF"
    | undefined;
  /** Puts what can be rotated into an instruction file, `<key>.instruction`; false by default. docs/guides/legacy-objects.md weighs it. */
  readonly instructionFile?: boolean | undefined;
}

/** {@link LegacyWriterOptions} once checked. */
export interface LegacyWriterConfig extends TransferConfig {
  readonly keyring: LegacyKeyring;
  readonly policy: LegacyPolicy;
  readonly suite: ContentSuite;
  readonly instructionFile: boolean;
}

/** Checks the settings of a writer. */
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
