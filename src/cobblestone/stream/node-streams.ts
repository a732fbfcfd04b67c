/** The frame layer as Node duplex streams and as web transform streams. */
import { randomBytes } from "node:crypto";
import { type Duplex, Transform } from "node:stream";
import { bytesArgument } from "../../base/arguments.js";
import type { FieldList, NamesOf } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { deriveMessageKeys, openHeader } from "../derivation.js";
import type { Codec } from "../engine/pipeline.js";
import { saltBytes } from "../layout.js";
import { Opener, Sealer } from "./codecs.js";
import { type MessageOptions, messageArguments } from "./message.js";

/**
 * Creates a Node stream that encrypts plaintext into one message, for `stream.pipeline`. `pipeline` accepts async
 * generators too: `(source) => encrypt(source, options)` does the same and uses worker threads, while this stream works on
 * the calling thread. Besides the buffers of every stream, it holds the output for one piece of input.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function encryptDuplex(options: MessageOptions): Duplex {
  return transform(sealer(fieldNames.encryptDuplex.options, options));
}

/**
 * Creates a Node stream that decrypts one message. It is destroyed with the errors of `decrypt`.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function decryptDuplex(options: MessageOptions): Duplex {
  return transform(opener(fieldNames.decryptDuplex.options, options));
}

/**
 * Creates a web stream that encrypts plaintext into one message.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function encryptTransformStream(options: MessageOptions): TransformStream<Uint8Array, Uint8Array> {
  return webTransform(sealer(fieldNames.encryptTransformStream.options, options));
}

/**
 * Creates a web stream that decrypts one message. It errors with the errors of `decrypt`.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function decryptTransformStream(options: MessageOptions): TransformStream<Uint8Array, Uint8Array> {
  return webTransform(opener(fieldNames.decryptTransformStream.options, options));
}

type OptionNames = FieldList<NamesOf<MessageOptions>>;

function sealer(names: OptionNames, options: MessageOptions): Sealer {
  const { dataKey, context } = messageArguments(names, options);
  return new Sealer(deriveMessageKeys(dataKey, randomBytes(saltBytes), context));
}

function opener(names: OptionNames, options: MessageOptions): Opener {
  const { dataKey, context } = messageArguments(names, options);
  return new Opener({ readHeader: (header) => openHeader(dataKey, header, context), endsMessage: true });
}

/** Not `Duplex.from` of a generator, which on Node 20 and 22 hangs a pipeline whose other end fails. */
function transform(codec: Codec): Transform {
  const push = (stream: Transform, act: () => Buffer[], done: (error?: Error | null) => void) => {
    try {
      for (const piece of act()) stream.push(piece);
    } catch (error) {
      return done(error as Error);
    }
    return done();
  };
  return new Transform({
    transform(bytes, _encoding, done) {
      push(this, () => codec.update(bytes), done);
    },
    flush(done) {
      push(this, () => codec.final(), done);
    },
  });
}

function webTransform(codec: Codec): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform(bytes, controller) {
      for (const piece of codec.update(bytesArgument("chunk", bytes))) controller.enqueue(piece);
    },
    flush(controller) {
      for (const piece of codec.final()) controller.enqueue(piece);
    },
  });
}
