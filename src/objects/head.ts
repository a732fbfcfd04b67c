/** Describes an object without reading it, with its size in plaintext bytes. */
import type { HeadObjectCommandInput, HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { fieldsArgument } from "../fields/field-list.js";
import { fieldNames } from "../fields/field-names.js";
import type { EncryptionContext } from "../keys/encryption-context.js";
import { requireSize } from "../s3/errors.js";
import { targetArgument, withoutChecksums } from "../s3/fields.js";
import { headObject } from "../s3/requests.js";
import { type CallOptions, callOptions, withCall } from "../transfer/call.js";
import type { ClientConfig } from "./encrypted/config.js";
import type { LegacyObjectInfo, RecipientName } from "./encrypted/format.js";
import { readFormats } from "./encrypted/formats.js";
import { describeObject } from "./encrypted/open-object.js";
import { instructionFileSuffixArgument } from "./encrypted/read-arguments.js";

/** The input of `head`: the fields of HeadObject except those for parts and ranges, which are of the ciphertext. */
export interface HeadInput extends Omit<HeadObjectCommandInput, "PartNumber" | "Range"> {
  /** As for `get`. */
  readonly instructionFileSuffix?: string | undefined;
}

/** The output of HeadObject with the size in plaintext bytes, without checksums, and these fields. */
export interface HeadOutput extends Omit<HeadObjectCommandOutput, `Checksum${string}`> {
  /** Whether the object has an envelope of this package or, with legacy reading, of Amazon's clients. */
  readonly encrypted: boolean;
  /** The context in the envelope. Not authenticated: only `get` proves it. */
  readonly encryptionContext?: EncryptionContext;
  /** The keys that wrap the data key of the object. Not authenticated. */
  readonly recipients?: readonly RecipientName[];
  /**
   * How an S3 Encryption Client wrote the object, if one did and legacy reading is on. Not authenticated. ContentLength is
   * undefined for AES/CBC: it depends on the last block, which `head` does not decrypt.
   */
  readonly legacy?: LegacyObjectInfo;
}

/** See `EnvelopeClient.head`. */
export async function head(
  config: ClientConfig,
  input: HeadInput,
  options: CallOptions,
): Promise<HeadOutput> {
  const checked = callOptions(fieldNames.head.options, options);
  const given = fieldsArgument<HeadInput>(fieldNames.head.input, input) as HeadInput;
  const target = targetArgument("HeadObject", given);
  const { instructionFileSuffix: suffix, ...get } = given;
  const instructionFileSuffix = instructionFileSuffixArgument(config, suffix);
  return withCall({ ...target, operation: "head" }, checked, async ({ signal }) => {
    const output = await headObject(config.s3, get, { signal });
    requireSize(output.ContentLength, target);
    const request = { config, get, target, signal, instructionFileSuffix };
    const description = await describeObject(readFormats(config), request, output);
    return { ...withoutChecksums(output), ...description };
  });
}
