/** Encrypts and decrypts one message as an async iterable. format.md 3 to 5 specify the message. */
import { type KeyObject, randomBytes } from "node:crypto";
import { bytesArgument, wrongType } from "../../base/arguments.js";
import { type FieldList, type Fields, fieldsArgument, type NamesOf } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { isAsyncSource, takeSource } from "../../source/gate.js";
import { bytesOf } from "../../source/shape.js";
import { dataKeyArgument, deriveMessageKeys, type MessageKeys, openHeader } from "../derivation.js";
import { type CryptoEngine, engineArgument, poolOf, sharedEngine } from "../engine/engine.js";
import { type BatchCodec, ParallelPipeline } from "../engine/pipeline.js";
import { saltBytes } from "../layout.js";
import { MessageIterator } from "./message-iterator.js";
import { Opener, type OpenerInput } from "./opener.js";
import { Sealer } from "./sealer.js";

/**
 * What the frame layer reads: bytes whole, or in pieces of any lengths. A Node or web stream is such an iterable,
 * whatever package made it. A stream is taken by the call: it must not have ended, failed or been destroyed before, and
 * nobody else may read it.
 */
export type ByteSource =
  | Uint8Array
  | ArrayBuffer
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>
  | NodeJS.ReadableStream
  | ReadableStream<Uint8Array>;

/** What both ends of a message must agree on. */
export interface MessageOptions {
  /** 32 uniformly random bytes, as bytes or as a secret KeyObject. Copied: zero yours when you like. */
  readonly dataKey: Uint8Array | KeyObject;
  /** Bytes bound into the message, none by default; decryption needs the very same. */
  readonly context?: Uint8Array;
}

/** {@link MessageOptions} of a whole message. */
export interface StreamOptions extends MessageOptions {
  /** Where its chunks are worked on; the shared engine by default. */
  readonly engine?: CryptoEngine | undefined;
}

/** How the chunks of a message are worked on. */
export interface Working {
  /** The shared engine by default. */
  readonly engine?: CryptoEngine;
  /**
   * Whether the memory of a piece may be used again once the next one is asked for; false by default. Faster, but
   * only for a consumer that copies: a piece that was kept has no bytes any more. docs/decisions/0027-worker-threads.md
   */
  readonly reuseBuffers?: boolean;
  /** How many workers the message can make use of; as many as the engine may have by default. */
  readonly wantedWorkers?: number;
}

/** {@link MessageOptions} once checked. */
export interface MessageInput {
  readonly dataKey: KeyObject;
  readonly context: Uint8Array;
}

/**
 * Encrypts a stream of bytes into one Cobblestone-256 message under a fresh random salt.
 *
 * @returns the message in pieces of at most 1,049,600 bytes; their bounds mean nothing. Memory held: one chunk
 *   of 16 KiB and the pieces of at most 256 KiB of plaintext, and for a message that workers take part in up to
 *   6 MiB, as it is then read ahead. When the iteration is ended while the source is being read ahead, a source
 *   other than a stream ends once it has answered.
 * @throws TypeError, RangeError at once when an argument is wrong, or when a piece of the source is not bytes
 * @throws EnvelopeError `WORKER_FAILED`, `SOURCE_FAILED` from the iteration: the latter when the source closes before it
 *   ends. A source that fails by itself rejects the iteration with its own error.
 */
export function encrypt(source: ByteSource, options: StreamOptions): AsyncIterableIterator<Buffer> {
  const given = fieldsArgument<StreamOptions>(fieldNames.encrypt.options, options);
  const { dataKey, context } = messageInput(given);
  const engine = engineArgument("options.engine", given.engine);
  const keys = deriveMessageKeys(dataKey, randomBytes(saltBytes), context);
  return sealSource(sourceArgument(source), keys, { engine });
}

/** A source that has passed the gate, or is the library's own. */
type PieceSource = Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Encrypts a source under keys that are used for nothing else. */
export function sealSource(source: PieceSource, keys: MessageKeys, working: Working = {}): MessageIterator {
  return pieces(source, new Sealer(keys), working);
}

/**
 * Decrypts one Cobblestone-256 message from its first byte to its last.
 *
 * @returns the plaintext in pieces of at most 1,048,576 bytes, each handed out only after all its tags have
 *   verified. When the iteration rejects it goes on rejecting with the same error. Memory held: two chunks and the
 *   plaintext of 256 KiB of the source, and with workers as {@link encrypt} holds.
 * @throws TypeError, RangeError at once when an argument is wrong, or when a piece of the source is not bytes
 * @throws EnvelopeError `DECRYPTION_FAILED`, `BODY_TRUNCATED`, `WORKER_FAILED`, `SOURCE_FAILED` from the iteration
 */
export function decrypt(source: ByteSource, options: StreamOptions): AsyncIterableIterator<Buffer> {
  const given = fieldsArgument<StreamOptions>(fieldNames.decrypt.options, options);
  const { dataKey, context } = messageInput(given);
  const readHeader = (header: Buffer) => openHeader(dataKey, header, context);
  const engine = engineArgument("options.engine", given.engine);
  return openSource(sourceArgument(source), { readHeader, endsMessage: true }, { engine });
}

/** Decrypts a source that is a message or a run of its chunks. */
export function openSource(source: PieceSource, input: OpenerInput, working: Working = {}): MessageIterator {
  return pieces(source, new Opener(input), working);
}

function pieces(source: PieceSource, codec: BatchCodec, working: Working): MessageIterator {
  const { engine = sharedEngine, reuseBuffers = false, wantedWorkers = Number.POSITIVE_INFINITY } = working;
  const iterable = source instanceof Uint8Array ? [source] : source;
  return new MessageIterator(
    iterable,
    codec,
    new ParallelPipeline(codec, poolOf(engine), { reuseBuffers, wantedWorkers }),
  );
}

/** Checks the options of a call that takes those of a message alone. */
export function messageArguments(
  list: FieldList<NamesOf<MessageOptions>>,
  options: MessageOptions,
): MessageInput {
  return messageInput(fieldsArgument<MessageOptions>(list, options));
}

function messageInput({ dataKey, context }: Fields<MessageOptions>): MessageInput {
  return {
    dataKey: dataKeyArgument("options.dataKey", dataKey),
    context:
      context === undefined ? new Uint8Array(0) : Uint8Array.from(bytesArgument("options.context", context)),
  };
}

function sourceArgument(source: unknown): PieceSource {
  const bytes = bytesOf(source);
  if (bytes) return bytes;
  if (isAsyncSource(source) || (typeof source === "object" && source !== null && Symbol.iterator in source))
    return takeSource("source", source) as AsyncIterable<unknown> as AsyncIterable<Uint8Array>;
  throw wrongType("source", "a Uint8Array or an iterable of them", source);
}
