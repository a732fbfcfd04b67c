/** The frame layer as Node duplex streams and as web transform streams. */
import { randomBytes } from "node:crypto";
import { Duplex } from "node:stream";
import { bytesArgument } from "../arguments.js";
import { deriveMessageKeys, openHeader } from "./derivation.js";
import { saltBytes } from "./geometry.js";
import { decrypt, encrypt, type MessageOptions, messageArguments } from "./message.js";
import { Opener } from "./opener.js";
import { Sealer } from "./sealer.js";

/**
 * A Node stream that takes plaintext and gives one message; made for `stream.pipeline`. As `pipeline` takes
 * async generators too, `(source) => encrypt(source, options)` does the same there with less machinery.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function encryptDuplex(options: MessageOptions): Duplex {
  const checked = messageArguments(options);
  return Duplex.from((source: AsyncIterable<Uint8Array>) => encrypt(source, checked));
}

/**
 * A Node stream that takes one message and gives its plaintext. It is destroyed with the errors of
 * {@link decrypt}.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function decryptDuplex(options: MessageOptions): Duplex {
  const checked = messageArguments(options);
  return Duplex.from((source: AsyncIterable<Uint8Array>) => decrypt(source, checked));
}

/**
 * A web stream that takes plaintext and gives one message.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function encryptTransformStream(options: MessageOptions): TransformStream<Uint8Array, Uint8Array> {
  const { dataKey, context } = messageArguments(options);
  return pushThrough(new Sealer(deriveMessageKeys(dataKey, randomBytes(saltBytes), context)));
}

/**
 * A web stream that takes one message and gives its plaintext. It errors with the errors of {@link decrypt}.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function decryptTransformStream(options: MessageOptions): TransformStream<Uint8Array, Uint8Array> {
  const { dataKey, context } = messageArguments(options);
  return pushThrough(
    new Opener({ readHeader: (header) => openHeader(dataKey, header, context), endsMessage: true }),
  );
}

function pushThrough(codec: Sealer | Opener): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform(bytes, controller) {
      for (const piece of codec.update(bytesArgument("chunk", bytes))) controller.enqueue(piece);
    },
    flush(controller) {
      for (const piece of codec.final()) controller.enqueue(piece);
    },
  });
}
