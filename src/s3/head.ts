/** Tells what is known of an object without reading it, with its size in plaintext bytes. */
import {
  HeadObjectCommand,
  type HeadObjectCommandInput,
  type HeadObjectCommandOutput,
} from "@aws-sdk/client-s3";
import { plaintextLength } from "../cobblestone/geometry.js";
import { withoutEnvelope } from "../envelope/user-metadata.js";
import type { EncryptionContext } from "../keys/context.js";
import { attemptArgument, refuseFields, requireSize, withoutChecksums } from "./fields.js";
import { readEnvelope, storedEnvelope } from "./read-envelope.js";
import { s3Request } from "./s3-errors.js";
import type { CallOptions, ClientSettings } from "./settings.js";
import { abortSignalArgument } from "./transfer-signal.js";

/** What `head` takes: the input of HeadObject but for parts and ranges of the ciphertext. */
export type HeadInput = Omit<HeadObjectCommandInput, "PartNumber" | "Range">;

/** A wrapped data key of an object, without the wrapped bytes. */
export interface RecipientName {
  readonly provider: string;
  readonly keyId: string;
}

/** What `head` gives: the output of HeadObject with its size in plaintext bytes, without checksums, and these. */
export interface HeadOutput extends Omit<HeadObjectCommandOutput, `Checksum${string}`> {
  /** Whether the object has an envelope of this package. */
  readonly encrypted: boolean;
  /** The context in the envelope. Not authenticated: only `get` proves it. */
  readonly encryptionContext?: EncryptionContext;
  /** The keys that the object was wrapped for. Not authenticated. */
  readonly recipients?: readonly RecipientName[];
}

/** See `EnvelopeClient.head`. */
export async function head(
  settings: ClientSettings,
  input: HeadInput,
  options: CallOptions,
): Promise<HeadOutput> {
  const { s3 } = settings;
  const signal = abortSignalArgument(options);
  const attempt = attemptArgument("HeadObject", input);
  refuseFields(input, ["PartNumber", "Range"], "parts and ranges are of the ciphertext: leave it out");
  const output = await s3Request(attempt, signal, (sending) =>
    s3.send(new HeadObjectCommand(input), sending),
  );
  requireSize(output.ContentLength, attempt);
  const stored = storedEnvelope(output.Metadata);
  if (!stored) return { ...withoutChecksums(output), encrypted: false };
  const envelope = await readEnvelope(settings, input, stored, signal);
  return {
    ...withoutChecksums(output),
    ContentLength: output.ContentLength === undefined ? undefined : plaintextLength(output.ContentLength),
    Metadata: withoutEnvelope(output.Metadata ?? {}),
    encrypted: true,
    encryptionContext: envelope.encryptionContext,
    recipients: envelope.recipients.map(({ provider, keyId }) => ({ provider, keyId })),
  };
}
