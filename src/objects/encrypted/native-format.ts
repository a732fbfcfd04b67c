/** The native format: an envelope in the metadata or in a sidecar, and a Cobblestone-256 message as the body. */
import { untilAborted } from "../../base/abort.js";
import { hasCode } from "../../base/errors.js";
import { plaintextLength } from "../../cobblestone/layout.js";
import { type Envelope, openEnvelope, requireContext, wrappingContext } from "../../envelope/envelope.js";
import { decodeEnvelope, type StoredEnvelope } from "../../envelope/metadata.js";
import { unwrapDataKey } from "../../keys/keyring.js";
import type { ClientConfig } from "./config.js";
import type { FoundObject, ObjectFormat, RequestedObject } from "./format.js";
import { describeNative, NativeObject } from "./native-object.js";
import { type ObjectRequest, refetchPinned } from "./pinned-object.js";
import { getSidecar, sidecarLocation } from "./sidecar.js";
import { readTail, verifyTail } from "./tail.js";

/** The row of the native format. */
export function nativeFormat(config: ClientConfig): ObjectFormat<NativeObject> {
  return {
    async find(object) {
      const stored = decodeEnvelope(object.metadata);
      return stored && foundNative(config, object, stored);
    },
  };
}

function foundNative(
  config: ClientConfig,
  request: ObjectRequest,
  stored: StoredEnvelope,
): FoundObject<NativeObject> {
  return {
    describe: async (output) => describeNative(await readEnvelope(request, stored), output),
    unlock: (object) => unlockNative(config, object, stored),
  };
}

/** @throws EnvelopeError `ENVELOPE_MISSING` when the envelope is in a sidecar that does not exist */
async function readEnvelope(
  { config, get, target, signal }: ObjectRequest,
  stored: StoredEnvelope,
): Promise<Envelope> {
  if (stored.storage === "metadata") return stored.envelope;
  return getSidecar(
    config,
    sidecarLocation({ ...get, Key: target.key }, stored.header),
    stored.header,
    signal,
  );
}

/**
 * Reads the envelope and unwraps the data key. The size of the object is checked before a sidecar or a key is requested,
 * the expected context before the keyring is called, and the key commitment before anything is decrypted.
 *
 * @throws EnvelopeError `BODY_TRUNCATED`, `ENVELOPE_MISSING`, `CONTEXT_MISMATCH`, `KEY_NOT_FOR_OBJECT`,
 *   `DECRYPTION_FAILED`, and those of the keyring
 */
async function unlockNative(
  config: ClientConfig,
  object: RequestedObject,
  stored: StoredEnvelope,
): Promise<NativeObject> {
  const { first, target, signal, expected = {}, totalBytes } = object;
  // Read at once: an open body would hold a connection that later requests may be waiting for.
  const tail =
    first.tailBytes === undefined ? undefined : await readTail(first.response, first.tailBytes, target);
  if (totalBytes !== undefined) plaintextLength(totalBytes);
  if (stored.storage === "sidecar") first.close();
  const envelope = await readEnvelope(object, stored).catch(async (error: unknown) => {
    // The sidecar is deleted with its object: report an object that is gone or was overwritten as such.
    if (hasCode(error, "ENVELOPE_MISSING")) (await refetchPinned(object, "bytes=0-0")).close();
    throw error;
  });
  const { encryptionContext, recipients } = envelope;
  if (expected !== "any") requireContext(encryptionContext, expected);
  const dataKey = unwrapDataKey(config.keyring, {
    recipients,
    encryptionContext: wrappingContext(encryptionContext),
    abortSignal: signal,
  });
  const keys = openEnvelope(envelope, await untilAborted(signal, dataKey));
  if (tail) verifyTail(tail, keys);
  return new NativeObject(config, object, { keys, encryptionContext, tail });
}
