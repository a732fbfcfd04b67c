/** The input of `LegacyWriter.put`, and its checks. */
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import type { MetadataFields } from "../../envelope/metadata.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import { sdkFields } from "../../fields/sdk-fields.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { PutFields } from "../../objects/put/write-arguments.js";
import type { RequestTarget } from "../../s3/errors.js";
import { targetArgument } from "../../s3/fields.js";
import { legacyContextArgument, legacyUserMetadata } from "../../s3ec/encode.js";
import { type BodySource, bodyArgument, type PutBody } from "../../transfer/body-source.js";
import { newInstructionLocation } from "./instruction-file.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/** Input of `LegacyWriter.put`: the fields of PutObject, without those that describe the bytes sent, and the following. */
export interface LegacyPutInput extends PutFields {
  /** The plaintext, as for `EnvelopeClient.put`. */
  readonly Body: PutBody;
  ContentLength?: PutObjectCommandInput["ContentLength"];
  /** For KMS keyrings only. The other keyrings, which bind no context, have a `materialsDescription` instead. */
  readonly encryptionContext?: EncryptionContext | undefined;
}

/** {@link LegacyPutInput} after validation. */
export interface LegacyPutRequest {
  /** The PutObject, without body and envelope. */
  readonly put: PutObjectCommandInput;
  readonly target: RequestTarget;
  readonly userMetadata: MetadataFields;
  readonly context: EncryptionContext;
  readonly source: BodySource;
}

/** Checks the input of `put`. */
export function legacyPutArguments(config: LegacyWriterConfig, input: LegacyPutInput): LegacyPutRequest {
  const given = fieldsArgument<LegacyPutInput>(legacyFieldNames.put.input, input) as LegacyPutInput;
  const { Body, ContentLength, Metadata, ...put } = sdkFields(given);
  const target = targetArgument("PutObject", put);
  if (config.instructionFile) newInstructionLocation(put);
  return {
    put,
    target,
    userMetadata: legacyUserMetadata(Metadata),
    context: contextFor(config, given.encryptionContext),
    source: bodyArgument(Body, ContentLength),
  };
}

function contextFor({ keyring }: LegacyWriterConfig, value: unknown): EncryptionContext {
  const context = legacyContextArgument("encryptionContext", value ?? {});
  if (keyring.keyType === "kms" || Object.keys(context).length === 0) return context;
  throw new TypeError(
    "encryptionContext: expected none, as only KMS binds it to the data key; give the keyring a materialsDescription",
  );
}
