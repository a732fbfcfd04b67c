/** The input and the output that all writes have in common. */
import type { PutObjectCommandInput, PutObjectCommandOutput } from "@aws-sdk/client-s3";
import { choiceArgument } from "../../base/arguments.js";
import { ciphertextLength, headerBytes } from "../../cobblestone/layout.js";
import type { MetadataFields } from "../../envelope/metadata.js";
import { newSidecarKey } from "../../envelope/sidecar.js";
import { userMetadataArgument } from "../../envelope/user-metadata.js";
import { sdkFields } from "../../fields/sdk-fields.js";
import { contextArgument, type EncryptionContext } from "../../keys/encryption-context.js";
import type { ConfirmedWriteOutput } from "../../s3/confirmed-write.js";
import type { RequestTarget } from "../../s3/errors.js";
import { type RefusedPutField, targetArgument, withoutChecksums } from "../../s3/fields.js";
import { type ClientConfig, type EnvelopeStorage, envelopeStorages } from "../encrypted/config.js";

/** The input of PutObject without the body and the fields that describe the bytes sent, which are ciphertext. */
export type PutFields = Omit<PutObjectCommandInput, "Body" | "ContentLength" | RefusedPutField>;

/** The input that every write takes: that of PutObject, except for fields that describe the bytes sent, and these. */
export interface WriteInput extends PutFields {
  /** Bound to the data key and to the body; readable in the metadata. Empty by default. */
  readonly encryptionContext?: EncryptionContext | undefined;
  /** Overrides the setting of the client. */
  readonly envelopeStorage?: EnvelopeStorage | undefined;
}

/** The output of a write: that of PutObject without checksums, and the sizes. */
export interface PutOutput extends Omit<PutObjectCommandOutput, `Checksum${string}`> {
  /** Bytes of the plaintext. */
  readonly plaintextLength: number;
  /** Bytes of the object in S3. */
  readonly ciphertextLength: number;
}

/** A {@link WriteInput} that has been checked. */
export interface WriteRequest {
  /** The fields of the SDK, and no others. */
  readonly put: PutObjectCommandInput;
  readonly target: RequestTarget;
  readonly userMetadata: MetadataFields;
  readonly context: EncryptionContext;
  readonly storage: EnvelopeStorage;
}

/** Checks the values that every write takes. */
export function writeArguments(config: ClientConfig, input: WriteInput, operation: string): WriteRequest {
  const target = targetArgument(operation, input);
  const { encryptionContext = {}, envelopeStorage = config.envelopeStorage } = input;
  const { Metadata, ...put } = sdkFields(input);
  const storage = choiceArgument("envelopeStorage", envelopeStorage, envelopeStorages);
  // All headers yield keys of one length: a key that is too long is refused before a data key is requested.
  if (storage === "sidecar") newSidecarKey(target.key, Buffer.alloc(headerBytes));
  return {
    put,
    target,
    userMetadata: userMetadataArgument(Metadata),
    context: contextArgument("encryptionContext", encryptionContext),
    storage,
  };
}

/** The output for an object that has been written. */
export function putOutput(
  output: ConfirmedWriteOutput,
  plaintextLength: number,
  lengthOf: (plaintextLength: number) => number = ciphertextLength,
): PutOutput {
  return { ...withoutChecksums(output), plaintextLength, ciphertextLength: lengthOf(plaintextLength) };
}
