/** The native format: an envelope in the metadata or in a sidecar, and a Cobblestone-256 message as the body. */
import { untilAborted } from "../../base/abort.js";
import { hasCode } from "../../base/errors.js";
import { type MessageKeys, requireHeader } from "../../cobblestone/derivation.js";
import { chunkCount, plaintextLength } from "../../cobblestone/layout.js";
import { openSource } from "../../cobblestone/stream/message.js";
import { type Envelope, openEnvelope, requireContext, wrappingContext } from "../../envelope/envelope.js";
import { decodeEnvelope, type StoredEnvelope } from "../../envelope/metadata.js";
import { withoutEnvelope } from "../../envelope/user-metadata.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import { unwrapDataKey } from "../../keys/keyring.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import { unusableResponse } from "../../s3/errors.js";
import { withoutChecksums } from "../../s3/fields.js";
import { slice } from "../../transfer/slice.js";
import { type ClientConfig, processingOf } from "./config.js";
import type {
  ContentOutput,
  FoundObject,
  ObjectFormat,
  OpenedContent,
  ReadableObject,
  RequestedObject,
  UnlockedObject,
} from "./format.js";
import { type ObjectRequest, refetchPinned } from "./pinned-object.js";
import { type ByteRange, ciphertextRange, contentRange, planRange } from "./range.js";
import { getSidecar, sidecarLocation } from "./sidecar.js";
import { readTail, responseFromTail, type Tail, verifyTail } from "./tail.js";

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
    async describe({ ContentLength, Metadata = {} }) {
      const { encryptionContext, recipients } = await readEnvelope(request, stored);
      return {
        ContentLength: ContentLength === undefined ? undefined : plaintextLength(ContentLength),
        Metadata: withoutEnvelope(Metadata),
        encrypted: true,
        encryptionContext,
        recipients: recipients.map(({ provider, keyId }) => ({ provider, keyId })),
      };
    },
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
  // Read at once: an open body would hold a connection that the requests to come may be waiting for.
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

interface NativeParts {
  readonly keys: MessageKeys;
  /** Authenticated. */
  readonly encryptionContext: EncryptionContext;
  /** The verified end of the object, if it was requested first. */
  readonly tail: Tail | undefined;
}

/** A native object whose key has been unwrapped. */
export class NativeObject implements UnlockedObject {
  readonly object: RequestedObject;
  readonly keys: MessageKeys;
  readonly encryptionContext: EncryptionContext;
  readonly tail: Tail | undefined;
  readonly #config: ClientConfig;

  constructor(config: ClientConfig, object: RequestedObject, { keys, encryptionContext, tail }: NativeParts) {
    this.object = object;
    this.keys = keys;
    this.encryptionContext = encryptionContext;
    this.tail = tail;
    this.#config = config;
  }

  /**
   * The object with its keys, for further requests.
   *
   * @throws EnvelopeError `S3_REQUEST_FAILED` when no response has included the size of the object
   */
  readable(ciphertextLength = this.object.totalBytes): ReadableObject {
    const { target, get, signal, state, totalBytes } = this.object;
    if (ciphertextLength === undefined)
      throw unusableResponse(target, "the response does not include the size of the object");
    const pinned = { target, get, signal, state, totalBytes };
    return { ...pinned, config: this.#config, keys: this.keys, ciphertextLength };
  }

  /** The first response if its body can still be read, else a new one. */
  async response(Range: string | undefined): Promise<ObjectResponse> {
    const { first } = this.object;
    return first.isUsable() ? first.response : refetchPinned(this.object, Range);
  }

  async openWhole(): Promise<OpenedContent> {
    const { readChunks } = this.object;
    const response = await this.#responseFor(undefined);
    const { ContentLength } = response.output;
    const length = ContentLength === undefined ? undefined : plaintextLength(ContentLength);
    const readHeader = (header: Buffer) => {
      requireHeader(this.keys, header);
      return this.keys;
    };
    const body = response.read(0, ContentLength);
    const plaintext =
      readChunks && length !== undefined && ContentLength !== undefined
        ? readChunks(this.readable(ContentLength), body, {
            firstChunk: 0,
            endChunk: chunkCount(length),
            startsWithHeader: true,
          })
        : openSource(body, { readHeader, endsMessage: true }, processingOf(this.#config));
    return { output: this.outputOf(response, { ContentLength: length }), plaintext };
  }

  async openRange(range: ByteRange): Promise<OpenedContent> {
    const { readChunks, target } = this.object;
    const response = await this.#responseFor(range);
    const plan = planRange(range, response.output.ContentRange, target);
    const { firstChunk, chunks, endsMessage, ciphertextStart, ciphertextEnd, ciphertextBytes } =
      plan.chunkRange;
    const body = response.read(plan.skipCiphertext, ciphertextBytes);
    const plaintext = readChunks
      ? readChunks(this.readable(plan.totalBytes), body, {
          firstChunk,
          endChunk: firstChunk + chunks,
          startsWithHeader: false,
        })
      : openSource(body, { keys: this.keys, firstChunk, endsMessage }, processingOf(this.#config));
    return {
      output: this.outputOf(response, { ContentLength: plan.length, ContentRange: contentRange(plan) }),
      plaintext: slice(plaintext, plan.skipPlaintext, plan.length),
      ciphertextRange: `bytes=${ciphertextStart}-${ciphertextEnd - 1}`,
    };
  }

  /** The response with the body. */
  async #responseFor(range: ByteRange | undefined): Promise<ObjectResponse> {
    const { first, target } = this.object;
    const Range = range && ciphertextRange(range);
    if (!this.tail) return this.response(Range);
    return (
      responseFromTail(first.response, this.tail, range, target) ?? (await refetchPinned(this.object, Range))
    );
  }

  /** The output of a call that returns the content in a response. */
  outputOf(
    { output }: ObjectResponse,
    sizes: Pick<ContentOutput, "ContentLength" | "ContentRange">,
  ): ContentOutput {
    return {
      ...withoutChecksums(output),
      ...sizes,
      Metadata: withoutEnvelope(output.Metadata ?? {}),
      encrypted: true,
      encryptionContext: this.encryptionContext,
    };
  }
}
