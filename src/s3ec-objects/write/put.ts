/** Writes one object as Amazon's S3 Encryption Clients do: one GCM message, its envelope in metadata or in an instruction file. */

import { untilAborted } from "../../base/abort.js";
import { EnvelopeError } from "../../base/errors.js";
import type { MetadataFields } from "../../envelope/metadata.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { PutInput } from "../../objects/put/put.js";
import { type BodyEncoder, type PutSubject, putBody, runPut } from "../../objects/put/put-body.js";
import { type PutOutput, putOutput } from "../../objects/put/write.js";
import { ConfirmedWrite } from "../../s3/confirmed-write.js";
import { targetArgument } from "../../s3/fields.js";
import type { MultipartInput } from "../../s3/multipart.js";
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
import { type Call, callOptions, type TransferOptions } from "../../transfer/call.js";
import { type Source, sourceArgument } from "../../transfer/source.js";
import { newInstructionLocation } from "./instruction-file.js";
import { withInstructionFile } from "./instruction-write.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/**
 * What `put` takes: the input of PutObject, except for fields that describe the bytes sent. `encryptionContext` is for
 * keyrings of KMS alone: the others have a `materialsDescription`, as nothing binds a context to what they wrap.
 */
export type LegacyPutInput = Omit<PutInput, "envelopeStorage">;

interface LegacyPutRequest extends PutSubject {
  readonly put: MultipartInput["put"];
  readonly userMetadata: MetadataFields;
  readonly context: EncryptionContext;
}

/** See `LegacyWriter.put`. */
export async function putLegacy(
  config: LegacyWriterConfig,
  input: LegacyPutInput,
  options: TransferOptions,
): Promise<PutOutput> {
  const checked = callOptions(legacyFieldNames.put.options, options);
  const request = putArguments(config, input);
  return runPut(request, config.budget, checked, (call) => write(config, request, call));
}

function putArguments(config: LegacyWriterConfig, input: LegacyPutInput): LegacyPutRequest {
  const { Body, ContentLength, Metadata, encryptionContext, ...put } = fieldsArgument<LegacyPutInput>(
    legacyFieldNames.put.input,
    input,
  ) as LegacyPutInput;
  const target = targetArgument("PutObject", put);
  if (config.instructionFile) newInstructionLocation(put);
  return {
    put,
    target: target,
    userMetadata: legacyUserMetadata(Metadata),
    context: contextFor(config.keyring, encryptionContext),
    source: sourceArgument(Body, ContentLength),
  };
}

function contextFor(keyring: LegacyKeyring, value: unknown): EncryptionContext {
  const context = legacyContextArgument("encryptionContext", value ?? {});
  if (keyring.keyType === "kms" || Object.keys(context).length === 0) return context;
  throw new TypeError(
    "encryptionContext: expected none, as only KMS binds it to the data key; give the keyring a materialsDescription",
  );
}

async function write(config: LegacyWriterConfig, request: LegacyPutRequest, call: Call): Promise<PutOutput> {
  const { target, source, userMetadata } = request;
  const { suite } = config;
  if ((source.length ?? 0) > suite.maxPlaintextBytes) throw tooLarge(suite.maxPlaintextBytes);
  const { envelope, keys } = await newEnvelope(config, request.context, call.signal);
  const encoded = encodeLegacyEnvelope(envelope);
  const put = { ...request.put, Metadata: joinLegacyMetadata(userMetadata, encoded) };
  // With an instruction file V2 has neither, and its object cannot be told.
  const commit = new ConfirmedWrite(suite.commits ? legacyNames.messageId : legacyNames.iv);
  const body = { put, target, source, call, commit };
  const sealing = sealingOf(keys, source);
  const output = await withInstructionFile(config, { ...body, transfer: call }, encoded.instructions, () =>
    putBody(config, body, sealing),
  );
  return putOutput(output, source.bytesRead, sealing.ciphertextLength);
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

/** So much more than the parts hold is read, to know whether there is more. */
const readAheadBytes = 16 * 1024;

/** One message, sealed from its first byte to its last; parts are sent as they come of it. */
function sealingOf(keys: ContentKeys, source: Source): BodyEncoder {
  const { tagBytes } = keys.suite;
  return {
    ciphertextLength: (plaintextLength) => plaintextLength + tagBytes,
    // The tag comes once all has been read.
    plaintextBytesBefore: (ciphertextBytes) => Math.min(ciphertextBytes, source.bytesRead),
    plaintextBytesFor: (ciphertextBytes) => ciphertextBytes + readAheadBytes,
    readAheadBytes: 0,
    seal: (plaintext) => sealContent(plaintext, keys),
  };
}

function tooLarge(limit: number): EnvelopeError {
  return new EnvelopeError(
    "SOURCE_TOO_LARGE",
    `Body: an object of the S3 Encryption Client holds at most ${limit} bytes (64 GiB)`,
    { details: { limit } },
  );
}
