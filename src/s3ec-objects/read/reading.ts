/** Legacy reading for an `EnvelopeClient`: `get` and `head` then take objects of Amazon's S3 Encryption Clients. */
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import type { LegacyReading } from "../../objects/encrypted/legacy-reading.js";
import { getLegacy } from "./get.js";
import { locateEnvelope } from "./locate-envelope.js";
import { objectInfoOf, withoutLegacyFields } from "./object-info.js";
import { plainLengthOf } from "./range-plan.js";
import { type LegacyReadingOptions, readingArguments } from "./reading-options.js";
import { requirePossibleSize } from "./verify-then-release.js";

/**
 * Has a client read objects of Amazon's S3 Encryption Clients, of all versions. By default only what their newest
 * versions write, whole, and verified before any of it is handed out; each option for more says what it gives up.
 *
 *     new EnvelopeClient({ s3, keyring, legacy: legacyReading({ keyring: legacyKmsKeyring({ kms, keyId }) }) })
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function legacyReading(options: LegacyReadingOptions): LegacyReading {
  const config = readingArguments(
    fieldsArgument<LegacyReadingOptions>(legacyFieldNames.legacyReading.options, options),
  );
  return Object.freeze<LegacyReading>({
    get: (object) => getLegacy(config, object),
    async head(object, totalBytes) {
      const { envelope, instructionFileKey } = await locateEnvelope(config, object);
      if (!envelope) return undefined;
      const { suite, wrap } = envelope;
      if (totalBytes !== undefined) requirePossibleSize(suite, totalBytes);
      return {
        ContentLength: totalBytes === undefined ? undefined : plainLengthOf(suite, totalBytes),
        legacy: objectInfoOf(envelope, wrap, instructionFileKey),
      };
    },
    userMetadata: withoutLegacyFields,
  });
}
