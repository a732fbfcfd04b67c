/** Tells what is known of an object without reading it, with its size in plaintext bytes. */
import type { HeadObjectCommandInput, HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { textArgument } from "../base/arguments.js";
import { plaintextLength } from "../cobblestone/layout.js";
import { decodeEnvelope } from "../envelope/metadata.js";
import { withoutEnvelope } from "../envelope/user-metadata.js";
import { fieldsArgument } from "../fields/field-list.js";
import { fieldNames } from "../fields/field-names.js";
import type { EncryptionContext } from "../keys/encryption-context.js";
import { requireSize } from "../s3/errors.js";
import { refuseFields, targetArgument, withoutChecksums } from "../s3/fields.js";
import { headRequest } from "../s3/head-request.js";
import { type CallOptions, callOptions, withCall } from "../transfer/call.js";
import type { ClientConfig } from "./encrypted/config.js";
import type { LegacyLookup, LegacyObjectInfo } from "./encrypted/legacy-reading.js";
import { fetchSibling } from "./encrypted/object-request.js";
import { readEnvelope, storedEnvelope } from "./encrypted/read-envelope.js";

/** What `head` takes: the input of HeadObject but for parts and ranges of the ciphertext. */
export interface HeadInput extends Omit<HeadObjectCommandInput, "PartNumber" | "Range"> {
  /** As for `get`. */
  readonly instructionFileSuffix?: string | undefined;
}

/** A wrapped data key of an object, without the wrapped bytes. */
export interface RecipientName {
  readonly provider: string;
  readonly keyId: string;
}

/** What `head` gives: the output of HeadObject with its size in plaintext bytes, without checksums, and these. */
export interface HeadOutput extends Omit<HeadObjectCommandOutput, `Checksum${string}`> {
  /** Whether the object has an envelope of this package, or, with legacy reading, of Amazon's clients. */
  readonly encrypted: boolean;
  /** The context in the envelope. Not authenticated: only `get` proves it. */
  readonly encryptionContext?: EncryptionContext;
  /** The keys that the object was wrapped for. Not authenticated. */
  readonly recipients?: readonly RecipientName[];
  /**
   * How Amazon's client wrote the object, if one did and legacy reading is on. Not authenticated. ContentLength is then
   * undefined for AES/CBC, whose last block would have to be decrypted to tell.
   */
  readonly legacy?: LegacyObjectInfo;
}

/** See `EnvelopeClient.head`. */
export async function head(
  config: ClientConfig,
  input: HeadInput,
  options: CallOptions,
): Promise<HeadOutput> {
  const { legacy } = config;
  const checked = callOptions(fieldNames.head.options, options);
  const given = fieldsArgument<HeadInput>(fieldNames.head.input, input) as HeadInput;
  const target = targetArgument("HeadObject", given);
  if (!legacy) refuseFields(given, ["instructionFileSuffix"], "legacy reading is off: leave it out");
  const { instructionFileSuffix: suffix, ...asked } = given;
  const instructionFileSuffix =
    suffix === undefined ? undefined : textArgument("instructionFileSuffix", suffix);
  return withCall({ ...target, operation: "head" }, checked, ({ signal }) =>
    describe(config, asked, { target, instructionFileSuffix, signal }),
  );
}

async function describe(
  config: ClientConfig,
  input: HeadObjectCommandInput,
  {
    target,
    instructionFileSuffix,
    signal,
  }: Pick<LegacyLookup, "target" | "instructionFileSuffix" | "signal">,
): Promise<HeadOutput> {
  const { legacy } = config;
  const output = await headRequest(config, input, signal);
  requireSize(output.ContentLength, target);
  const { Metadata: metadata = {}, ContentLength } = output;
  const stored = legacy ? decodeEnvelope(metadata) : storedEnvelope(config, metadata);
  if (!stored) {
    const found = await legacy?.head(
      {
        target: target,
        metadata,
        instructionFileSuffix,
        signal,
        askFor: (key) => fetchSibling(config, input, key, signal),
      },
      ContentLength,
    );
    if (!legacy || !found) return { ...withoutChecksums(output), encrypted: false };
    const Metadata = legacy.userMetadata(metadata);
    return { ...withoutChecksums(output), ...found, Metadata, encrypted: true };
  }
  const envelope = await readEnvelope(config, input, stored, signal);
  return {
    ...withoutChecksums(output),
    ContentLength: output.ContentLength === undefined ? undefined : plaintextLength(output.ContentLength),
    Metadata: withoutEnvelope(output.Metadata ?? {}),
    encrypted: true,
    encryptionContext: envelope.encryptionContext,
    recipients: envelope.recipients.map(({ provider, keyId }) => ({ provider, keyId })),
  };
}
