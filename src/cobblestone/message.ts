/** Encrypts and decrypts one message as an async iterable. format.md 3 to 5 specify the message. */
import { type KeyObject, randomBytes } from "node:crypto";
import { bytesArgument, objectArgument, wrongType } from "../arguments.js";
import { dataKeyArgument, deriveMessageKeys, type MessageKeys, openHeader } from "./derivation.js";
import { saltBytes } from "./geometry.js";
import { Opener, type OpenerInput } from "./opener.js";
import { Pieces } from "./pieces.js";
import { Sealer } from "./sealer.js";

/** What the frame layer reads: bytes whole, or in pieces of any lengths. A Node or web stream is such an iterable. */
export type ByteSource = Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** What both ends of a message must agree on. */
export interface MessageOptions {
  /** 32 uniformly random bytes, as bytes or as a secret KeyObject. Copied: zero yours when you like. */
  readonly dataKey: Uint8Array | KeyObject;
  /** Bytes bound into the message, none by default; decryption needs the very same. */
  readonly context?: Uint8Array;
}

/** {@link MessageOptions} once checked. */
export interface MessageInput {
  readonly dataKey: KeyObject;
  readonly context: Uint8Array;
}

/**
 * Encrypts a stream of bytes into one Cobblestone-256 message under a fresh random salt.
 *
 * @returns the message in pieces of at most 16,384 bytes; their bounds mean nothing. Memory held: one chunk
 *   of 16 KiB and the pieces of at most 256 KiB of plaintext.
 * @throws TypeError, RangeError at once when an argument is wrong, or when a piece of the source is not bytes
 */
export function encrypt(source: ByteSource, options: MessageOptions): AsyncIterableIterator<Buffer> {
  const { dataKey, context } = messageArguments(options);
  return sealSource(sourceArgument(source), deriveMessageKeys(dataKey, randomBytes(saltBytes), context));
}

/** Encrypts a source under keys that are used for nothing else. */
export function sealSource(source: ByteSource, keys: MessageKeys): Pieces {
  return new Pieces(iterable(source), new Sealer(keys));
}

/**
 * Decrypts one Cobblestone-256 message from its first byte to its last.
 *
 * @returns the plaintext in pieces of at most 16,384 bytes, each handed out only after its tag has verified.
 *   When the iteration rejects it goes on rejecting with the same error. Memory held: two chunks and the
 *   plaintext of one piece of the source.
 * @throws TypeError, RangeError at once when an argument is wrong
 * @throws EnvelopeError `DECRYPTION_FAILED`, `BODY_TRUNCATED` from the iteration
 */
export function decrypt(source: ByteSource, options: MessageOptions): AsyncIterableIterator<Buffer> {
  const { dataKey, context } = messageArguments(options);
  return openSource(sourceArgument(source), {
    readHeader: (header) => openHeader(dataKey, header, context),
    endsMessage: true,
  });
}

/** Decrypts a source that is a message or a run of its chunks. */
export function openSource(source: ByteSource, input: OpenerInput): Pieces {
  return new Pieces(iterable(source), new Opener(input));
}

/** Checks the options of a message. */
export function messageArguments(options: MessageOptions): MessageInput {
  const { dataKey, context } = objectArgument("options", options);
  return {
    dataKey: dataKeyArgument("options.dataKey", dataKey),
    context:
      context === undefined ? new Uint8Array(0) : Uint8Array.from(bytesArgument("options.context", context)),
  };
}

function sourceArgument(source: ByteSource): ByteSource {
  const iterable =
    typeof source === "object" &&
    source !== null &&
    (Symbol.asyncIterator in source || Symbol.iterator in source);
  if (!iterable) throw wrongType("source", "a Uint8Array or an iterable of them", source);
  return source;
}

function iterable(source: ByteSource): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  return source instanceof Uint8Array ? [source] : source;
}
