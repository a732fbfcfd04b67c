/** Writes one object as Amazon's S3 Encryption Clients do: one GCM message, its envelope in metadata or in an instruction file. */

import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { EnvelopeError } from "../../base/errors.js";
import type { MetadataFields } from "../../envelope/metadata.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { sdkFields } from "../../fields/sdk-fields.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { BodyEncoder } from "../../objects/put/body-encoder.js";
import { sendBody } from "../../objects/put/send-body.js";
import type { PutFields, PutOutput } from "../../objects/put/write-arguments.js";
import { ConfirmedWrite } from "../../s3/confirmed-write.js";
import type { RequestTarget } from "../../s3/errors.js";
import { targetArgument } from "../../s3/fields.js";
import { sealContent } from "../../s3ec/content/content.js";
import { type ContentKeys, sealContentKeys } from "../../s3ec/content/content-keys.js";
import {
  encodeLegacyEnvelope,
  joinLegacyMetadata,
  legacyContextArgument,
  legacyUserMetadata,
} from "../../s3ec/encode.js";
import type { LegacyEnvelope } from "../../s3ec/envelope.js";
import type { LegacyKeyring } from "../../s3ec/keyrings/keyring.js";
import { generateLegacyDataKey } from "../../s3ec/keyrings/keyring.js";
import { legacyNames } from "../../s3ec/names.js";
import { type BodySource, bodyArgument, closingOnFailure, type PutBody } from "../../transfer/body-source.js";
import { callOptions, type TransferOptions, withCall } from "../../transfer/call.js";
import { newInstructionLocation } from "./instruction-file.js";
import { withInstructionFile } from "./instruction-write.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/** The input of `put`: that of PutObject, except for fields that describe the bytes sent, and these. */
export interface LegacyPutInput extends PutFields {
  /** The plaintext, as for `EnvelopeClient.put`. */
  readonly Body: PutBody;
  ContentLength?: PutObjectCommandInput["ContentLength"];
  /** For keyrings of KMS alone: the others have a `materialsDescription`, as nothing binds a context to the key they wrap. */
  readonly encryptionContext?: EncryptionContext | undefined;
}

interface LegacyPutRequest {
  readonly put: PutObjectCommandInput;
  readonly target: RequestTarget;
  readonly userMetadata: MetadataFields;
  readonly context: EncryptionContext;
  readonly source: BodySource;
}

/** See `LegacyWriter.put`. */
export async function putLegacy(
  config: LegacyWriterConfig,
  input: LegacyPutInput,
  options: TransferOptions,
): Promise<PutOutput> {
  const { suite, budget } = config;
  const checked = callOptions(legacyFieldNames.put.options, options);
  const { put, target, userMetadata, context, source } = putArguments(config, input);
  return closingOnFailure(source, () =>
    withCall({ ...target, operation: "put", budget }, checked, async (call) => {
      if ((source.length ?? 0) > suite.maxPlaintextBytes) throw tooLarge(suite.maxPlaintextBytes);
      const { envelope, keys } = await newEnvelope(config, context, call.signal);
      const encoded = encodeLegacyEnvelope(envelope);
      const Metadata = joinLegacyMetadata(userMetadata, encoded);
      // With an instruction file V2 has neither, and its object cannot be told.
      const commit = new ConfirmedWrite(suite.commits ? legacyNames.messageId : legacyNames.iv);
      const write = { put: { ...put, Metadata }, target, call, commit };
      return withInstructionFile(config, { ...write, transfer: call }, encoded.instructions, () =>
        sendBody(config, write, source, contentEncoder(keys, source)),
      );
    }),
  );
}

function putArguments(config: LegacyWriterConfig, input: LegacyPutInput): LegacyPutRequest {
  const given = fieldsArgument<LegacyPutInput>(legacyFieldNames.put.input, input) as LegacyPutInput;
  const { Body, ContentLength, Metadata, ...put } = sdkFields(given);
  const target = targetArgument("PutObject", put);
  if (config.instructionFile) newInstructionLocation(put);
  return {
    put,
    target,
    userMetadata: legacyUserMetadata(Metadata),
    context: contextFor(config.keyring, given.encryptionContext),
    source: bodyArgument(Body, ContentLength),
  };
}

function contextFor(keyring: LegacyKeyring, value: unknown): EncryptionContext {
  const context = legacyContextArgument("encryptionContext", value ?? {});
  if (keyring.keyType === "kms" || Object.keys(context).length === 0) return context;
  throw new TypeError(
    "encryptionContext: expected none, as only KMS binds it to the data key; give the keyring a materialsDescription",
  );
}

/** A data key for one object, and what is sealed and said with it. Another try takes another one. */
async function newEnvelope(
  { keyring, suite, instructionFile }: LegacyWriterConfig,
  encryptionContext: EncryptionContext,
  signal: AbortSignal,
): Promise<{ readonly envelope: LegacyEnvelope; readonly keys: ContentKeys }> {
  const contentName = suite.contentNames[0];
  const input = { contentName, encryptionContext, abortSignal: signal };
  const { plaintext, wrappedKey, ...wrapping } = await untilAborted(
    signal,
    generateLegacyDataKey(keyring, input),
  );
  try {
    const { keys, ...content } = sealContentKeys(suite, plaintext);
    const format = suite.commits ? "V3" : "V2";
    const storage = instructionFile ? "instruction-file" : "metadata";
    const wrapped = { ...wrapping, wrappedKey: Buffer.from(wrappedKey), storage } as const;
    return { keys, envelope: { format, suite, contentName, ...content, ...wrapped } };
  } finally {
    plaintext.fill(0);
  }
}

/** Plaintext that is read beyond the part being filled, to know whether there is more. */
const lookaheadBytes = 16 * 1024;

/** The encoder of one GCM message, encrypted from its first byte to its last; parts are sent as they are filled. */
function contentEncoder(keys: ContentKeys, source: BodySource): BodyEncoder {
  const { tagBytes } = keys.suite;
  return {
    ciphertextLength: (plaintextLength) => plaintextLength + tagBytes,
    // The tag comes after the last byte has been read.
    plaintextBytesIn: (ciphertextBytes) => Math.min(ciphertextBytes, source.bytesRead),
    plaintextBytesFor: (ciphertextBytes) => ciphertextBytes + lookaheadBytes,
    readAheadBytes: 0,
    encode: (plaintext) => sealContent(plaintext, keys),
  };
}

function tooLarge(limit: number): EnvelopeError {
  return new EnvelopeError(
    "SOURCE_TOO_LARGE",
    `Body: an object of the S3 Encryption Client holds at most ${limit} bytes (64 GiB)`,
    { details: { limit } },
  );
}
