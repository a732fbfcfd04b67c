/** A native object whose key has been unwrapped: its content, whole or a range of it. */
import { type MessageKeys, requireHeader } from "../../cobblestone/derivation.js";
import { chunkCount, plaintextLength } from "../../cobblestone/layout.js";
import { openSource } from "../../cobblestone/stream/message.js";
import type { Envelope } from "../../envelope/envelope.js";
import { withoutEnvelope } from "../../envelope/user-metadata.js";
import { withoutChecksums } from "../../s3/fields.js";
import { slice } from "../../transfer/slice.js";
import { type ClientConfig, processingOf } from "./config.js";
import type {
  ContentOutput,
  FirstResponse,
  ObjectDescription,
  OpenedContent,
  ReadableObject,
  RequestedObject,
  UnlockedObject,
} from "./format.js";
import { refetchPinned, requireTotalBytes } from "./pinned-object.js";
import { type ByteRange, ciphertextRange, contentRange, planRange } from "./range.js";
import { responseFromTail, type Tail } from "./tail.js";

type Response = FirstResponse["response"];

/** Describes an object for `head`. */
export function describeNative(
  { encryptionContext, recipients }: Pick<Envelope, "encryptionContext" | "recipients">,
  { ContentLength, Metadata = {} }: Pick<ContentOutput, "ContentLength" | "Metadata">,
): ObjectDescription {
  return {
    ContentLength: ContentLength === undefined ? undefined : plaintextLength(ContentLength),
    Metadata: withoutEnvelope(Metadata),
    encrypted: true,
    encryptionContext,
    recipients: recipients.map(({ provider, keyId }) => ({ provider, keyId })),
  };
}

/** A native object whose key has been unwrapped. */
export class NativeObject implements UnlockedObject {
  readonly object: RequestedObject;
  readonly keys: MessageKeys;
  /** Authenticated. */
  readonly encryptionContext: Envelope["encryptionContext"];
  /** The verified end of the object, if it was requested first. */
  readonly tail: Tail | undefined;
  readonly #config: ClientConfig;

  constructor(
    config: ClientConfig,
    object: RequestedObject,
    parts: Pick<NativeObject, "keys" | "encryptionContext" | "tail">,
  ) {
    this.object = object;
    this.keys = parts.keys;
    this.encryptionContext = parts.encryptionContext;
    this.tail = parts.tail;
    this.#config = config;
  }

  /**
   * The object with its keys, for further requests.
   *
   * @throws EnvelopeError `S3_REQUEST_FAILED` when no response has stated the size of the object
   */
  readable(ciphertextLength = requireTotalBytes(this.object)): ReadableObject {
    const { target, get, signal, state } = this.object;
    const pinned = { target, get, signal, state, totalBytes: ciphertextLength };
    return { ...pinned, config: this.#config, keys: this.keys, ciphertextLength };
  }

  /** The first response if its body can still be read, else a new one. */
  async response(Range: string | undefined): Promise<Response> {
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
  async #responseFor(range: ByteRange | undefined): Promise<Response> {
    const { first, target } = this.object;
    const Range = range && ciphertextRange(range);
    if (!this.tail) return this.response(Range);
    return (
      responseFromTail(first.response, this.tail, range, target) ?? (await refetchPinned(this.object, Range))
    );
  }

  /** The output of a call that returns the content in a response. */
  outputOf(
    { output }: Response,
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
