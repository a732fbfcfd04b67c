/** Legacy reading for an `EnvelopeClient`: `get` and `head` then read objects of Amazon's S3 Encryption Clients as well. */
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import type { LegacyReading } from "../../objects/encrypted/format.js";
import { type LegacyReadingOptions, readingArguments } from "./reading-options.js";
import { s3ecFormat } from "./s3ec-format.js";

/**
 * Lets a client read objects of Amazon's S3 Encryption Clients, of all versions. By default it reads what their newest
 * versions write, as whole objects, and verifies them before it returns any plaintext; each option that allows more says
 * what it gives up.
 *
 *     new EnvelopeClient({ s3, keyring, legacy: legacyReading({ keyring: legacyKmsKeyring({ kms, keyId }) }) })
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function legacyReading(options: LegacyReadingOptions): LegacyReading {
  const given = fieldsArgument<LegacyReadingOptions>(legacyFieldNames.legacyReading.options, options);
  const format = s3ecFormat(readingArguments(given));
  return Object.freeze<LegacyReading>({ reads: "objects of Amazon's S3 Encryption Clients", format });
}
