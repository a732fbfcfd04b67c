/** Prepares a write: data key, keys of the body, envelope, and the metadata of the object. */
import { type KeyObject, randomBytes } from "node:crypto";
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { deriveMessageKeys, type MessageKeys } from "../../cobblestone/derivation.js";
import { saltBytes } from "../../cobblestone/layout.js";
import { bodyContext, type Envelope, wrappingContext } from "../../envelope/envelope.js";
import { encodeEnvelope, encodeSidecarReference } from "../../envelope/metadata.js";
import { encodeSidecar } from "../../envelope/sidecar.js";
import { joinMetadata } from "../../envelope/user-metadata.js";
import { generateDataKey } from "../../keys/keyring.js";
import type { ClientConfig } from "../encrypted/config.js";
import { newSidecarLocation, type SidecarLocation } from "../encrypted/sidecar.js";
import type { WriteRequest } from "./write-arguments.js";

/** A write that has its keys. Nothing has been sent to S3. */
export interface PreparedWrite {
  readonly dataKey: KeyObject;
  readonly keys: MessageKeys;
  readonly envelope: Envelope;
  /** The PutObject that the write amounts to: its metadata are complete, its body is missing. */
  readonly put: PutObjectCommandInput;
  /** The sidecar, if the envelope goes into one. */
  readonly sidecar: { readonly location: SidecarLocation; readonly text: string } | undefined;
}

/**
 * Requests a data key from the keyring and derives the keys of this one object from it.
 *
 * @throws EnvelopeError `ENVELOPE_TOO_LARGE`, and those of the keyring
 */
export async function prepareWrite(
  config: ClientConfig,
  { put, context, storage, userMetadata }: WriteRequest,
  signal: AbortSignal,
): Promise<PreparedWrite> {
  const { dataKey, recipients } = await untilAborted(
    signal,
    generateDataKey(config.keyring, { encryptionContext: wrappingContext(context), abortSignal: signal }),
  );
  const keys = deriveMessageKeys(dataKey, randomBytes(saltBytes), bodyContext(context));
  const envelope: Envelope = { header: keys.header, encryptionContext: context, recipients };
  if (storage === "metadata") {
    const Metadata = joinMetadata(userMetadata, encodeEnvelope(envelope));
    return { dataKey, keys, envelope, put: { ...put, Metadata }, sidecar: undefined };
  }
  const Metadata = joinMetadata(userMetadata, encodeSidecarReference(keys.header));
  const sidecar = { location: newSidecarLocation(put, keys.header), text: encodeSidecar(envelope) };
  return { dataKey, keys, envelope, put: { ...put, Metadata }, sidecar };
}
