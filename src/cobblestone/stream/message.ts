/** Encrypts and decrypts one message as an async iterable. format.md 3 to 5 specify the message. */
import { type KeyObject, randomBytes } from "node:crypto";
import { bytesArgument, wrongType } from "../../base/arguments.js";
import { type FieldList, type Fields, fieldsArgument, type NamesOf } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { isAsyncSource, lockSource } from "../../source/locked-source.js";
import { bytesOf } from "../../source/shape.js";
import { dataKeyArgument, deriveMessageKeys, type MessageKeys, openHeader } from "../derivation.js";
import { type CryptoEngine, engineArgument, poolOf, sharedEngine } from "../engine/engine.js";
import { type BatchCodec, ParallelPipeline } from "../engine/pipeline.js";
import { saltBytes } from "../layout.js";
import { Opener, type OpenerInput, Sealer } from "./codecs.js";
import { MessageIterator } from "./message-iterator.js";

/**
 * A source of bytes: one value, or pieces of any lengths. Node and web streams are iterables of pieces, whatever package
 * created them. The call locks a stream: the stream must not have ended, failed or been destroyed, and no other code may
 * read it.
 */
export type ByteSource =
  | Uint8Array
  | ArrayBuffer
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>
  | NodeJS.ReadableStream
  | ReadableStream<Uint8Array>;

/** The options that the writer and the reader of a message must agree on. */
export interface MessageOptions {
  /** 32 uniformly random bytes, as bytes or as a secret KeyObject. They are copied, so you may overwrite yours. */
  readonly dataKey: Uint8Array | KeyObject;
  /** Bytes that are bound into the message, none by default. Decryption needs the same bytes. */
  readonly context?: Uint8Array;
}

/** The options of {@link encrypt} and {@link decrypt}. */
export interface StreamOptions extends MessageOptions {
  /** The engine that processes the chunks; the shared engine by default. */
  readonly engine?: CryptoEngine | undefined;
}

/** How the chunks of a message are processed. */
export interface ProcessingOptions {
  /** The shared engine by default. */
  readonly engine?: CryptoEngine;
  /**
   * Whether the memory of a piece may be reused once the next piece is requested; false by default. This is faster, but
   * only safe for a consumer that copies: a piece that it keeps loses its bytes. See docs/decisions/0027-worker-threads.md.
   */
  readonly reuseBuffers?: boolean;
  /** The number of workers that are worth starting for the message; by default as many as the engine may have. */
  readonly wantedWorkers?: number;
}

/** {@link MessageOptions} after validation. */
export interface MessageInput {
  readonly dataKey: KeyObject;
  readonly context: Uint8Array;
}

/**
 * Encrypts a stream of bytes into one Cobblestone-256 message under a fresh random salt.
 *
 * @returns the message in pieces of at most 1,049,600 bytes, whose boundaries have no meaning. It holds one chunk of 16 KiB
 *   and the pieces for at most 256 KiB of plaintext in memory; with workers it reads ahead and holds up to 6 MiB. If you
 *   end the iteration while it reads ahead, a source other than a stream is closed once its pending read settles.
 * @throws TypeError, RangeError at once when an argument is wrong, or when a piece of the source is not bytes
 * @throws EnvelopeError `WORKER_FAILED` from the iteration, and `SOURCE_FAILED` when the source closes before it ends. If
 *   the source itself fails, the iteration rejects with its error.
 */
export function encrypt(source: ByteSource, options: StreamOptions): AsyncIterableIterator<Buffer> {
  const given = fieldsArgument<StreamOptions>(fieldNames.encrypt.options, options);
  const { dataKey, context } = messageInput(given);
  const engine = engineArgument("options.engine", given.engine);
  const keys = deriveMessageKeys(dataKey, randomBytes(saltBytes), context);
  return sealSource(sourceArgument(source), keys, { engine });
}

/** A source that was checked, or that belongs to the library. */
type PieceSource = Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Encrypts a source under keys that are used for no other message. */
export function sealSource(
  source: PieceSource,
  keys: MessageKeys,
  processing: ProcessingOptions = {},
): MessageIterator {
  return pieces(source, new Sealer(keys), processing);
}

/**
 * Decrypts one Cobblestone-256 message from its first byte to its last.
 *
 * @returns the plaintext in pieces of at most 1,048,576 bytes. A piece is returned only after all its tags have verified.
 *   After the iteration has rejected, it keeps rejecting with the same error. It holds two chunks and the plaintext of
 *   256 KiB of the source in memory, and with workers as much as {@link encrypt}.
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

/** Decrypts a source that is a message or consecutive chunks of one. */
export function openSource(
  source: PieceSource,
  input: OpenerInput,
  processing: ProcessingOptions = {},
): MessageIterator {
  return pieces(source, new Opener(input), processing);
}

function pieces(source: PieceSource, codec: BatchCodec, processing: ProcessingOptions): MessageIterator {
  const {
    engine = sharedEngine,
    reuseBuffers = false,
    wantedWorkers = Number.POSITIVE_INFINITY,
  } = processing;
  const iterable = source instanceof Uint8Array ? [source] : source;
  return new MessageIterator(
    iterable,
    codec,
    new ParallelPipeline(codec, poolOf(engine), { reuseBuffers, wantedWorkers }),
  );
}

/** Checks options that are those of a message and no others. */
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
    return lockSource("source", source) as AsyncIterable<unknown> as AsyncIterable<Uint8Array>;
  throw wrongType("source", "a Uint8Array or an iterable of them", source);
}
