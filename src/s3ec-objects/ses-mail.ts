/** Reads inbound mail that Amazon SES has encrypted. */
import type { GetObjectCommandInput, S3Client } from "@aws-sdk/client-s3";
import { fieldsArgument } from "../fields/field-list.js";
import { legacyFieldNames } from "../fields/legacy-field-names.js";
import type { Keyring } from "../keys/keyring.js";
import { EnvelopeClient } from "../objects/client.js";
import type { LegacyReading } from "../objects/encrypted/format.js";
import { type LegacyKmsKeyringOptions, legacyKmsKeyring } from "../s3ec/keyrings/kms-keyring.js";
import type { CallOptions } from "../transfer/call.js";
import { legacyReading } from "./read/reading.js";

/** Options of {@link sesMailReading}. */
export interface SesMailOptions {
  /** Your KMSClient for the Region of the receipt rule. */
  readonly kms: LegacyKmsKeyringOptions["kms"];
  /** The key that the receipt rule names. "alias/aws/ses" by default, as in SES. */
  readonly keyId?: string | undefined;
}

/** Input of {@link decryptSesMail}: the input of GetObject, without the fields for parts of an object, and the clients. */
export interface SesMailInput
  extends SesMailOptions,
    Omit<GetObjectCommandInput, "PartNumber" | "Range" | `Response${string}`> {
  readonly s3: S3Client;
}

/**
 * Creates the legacy reading for mail that the S3 action of Amazon SES has encrypted, by AES/GCM under a KMS data key. SES
 * writes the format of the oldest clients, so this allows the wrap "kms" and content without key commitment. Unauthenticated
 * content is refused, and mail is verified before any of it is returned.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function sesMailReading(options: SesMailOptions): LegacyReading {
  const given = fieldsArgument<SesMailOptions>(legacyFieldNames.sesMailReading.options, options);
  const { kms, keyId = sesKeyId } = given as SesMailOptions;
  return legacyReading({
    keyring: legacyKmsKeyring({ kms, keyId }),
    commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
    enableLegacyWrappingAlgorithms: true,
    disableInstructionFile: true,
  });
}

/**
 * Reads one mail that Amazon SES has encrypted into S3, in a Lambda function or a script. Resolves to the whole mail, once
 * it has been verified. It is in memory: SES accepts mail of up to 40 MB.
 *
 *     const mail = await decryptSesMail({ s3, kms, keyId, Bucket, Key });
 *
 * Requires `s3:GetObject`, and `kms:Decrypt` for the key.
 *
 * @throws TypeError, RangeError when an argument is wrong; EnvelopeError as `get` does, `ENVELOPE_MISSING` also for mail that
 *   is not encrypted
 */
export async function decryptSesMail(input: SesMailInput, options: CallOptions = {}): Promise<Uint8Array> {
  const names = legacyFieldNames.decryptSesMail;
  const callOptions = fieldsArgument<CallOptions>(names.options, options) as CallOptions;
  const given = fieldsArgument<SesMailInput>(names.input, input) as SesMailInput;
  const { s3, kms, keyId, ...get } = given;
  const client = new EnvelopeClient({ s3, keyring: noKeyring, legacy: sesMailReading({ kms, keyId }) });
  const { Body } = await client.get({ ...get, encryptionContext: undefined }, callOptions);
  return Body.transformToByteArray();
}

/** The alias of the key that AWS manages for SES. */
const sesKeyId = "alias/aws/ses";

/** SES does not write the native format. */
const noKeyring: Keyring = {
  async generateDataKey() {
    throw new TypeError("keyring: this client only reads mail");
  },
  async unwrapDataKey() {
    return null;
  },
};
