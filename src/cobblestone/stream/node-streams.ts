/** The frame layer as Node duplex streams and as web transform streams. */
import { randomBytes } from "node:crypto";
import { type Duplex, Transform } from "node:stream";
import { bytesArgument } from "../../base/arguments.js";
import type { FieldList, NamesOf } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import { deriveMessageKeys, openHeader } from "../derivation.js";
import type { Codec } from "../engine/pipeline.js";
import { saltBytes } from "../layout.js";
import { type MessageOptions, messageArguments } from "./message.js";
import { Opener } from "./opener.js";
import { Sealer } from "./sealer.js";

/**
 * A Node stream that takes plaintext and gives one message; made for `stream.pipeline`. As `pipeline` takes
 * async generators too, `(source) => encrypt(source, options)` does the same there with less machinery, and with
 * worker threads; this stream works on the calling thread. Holds what one piece of the input gives, besides what
 * streams hold.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function encryptDuplex(options: MessageOptions): Duplex {
  return transform(sealer(fieldNames.encryptDuplex.options, options));
}

/**
 * A Node stream that takes one message and gives its plaintext. It is destroyed with the errors of `decrypt`.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function decryptDuplex(options: MessageOptions): Duplex {
  return transform(opener(fieldNames.decryptDuplex.options, options));
}

/**
 * A web stream that takes plaintext and gives one message.
 *
 * @throws TypeError, RangeError when an option is wrong
 */
export function encryptTransformStream(options: MessageOptions): TransformStream<Uint8Array, Uint8Array> {
  return webTransform(sealer(fieldNames.encryptTransformStream.options, options));
}

/**
 * A web stream that takes one message and gives its plaintext. It errors with the errors of `decrypt`.
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

/** Not `Duplex.from` of a generator: on Node 20 and 22 that hangs a pipeline whose other end fails. */
function transform(codec: Codec): Transform {
  const run = (stream: Transform, act: () => Buffer[], done: (error?: Error | null) => void) => {
    try {
      for (const piece of act()) stream.push(piece);
    } catch (error) {
      return done(error as Error);
    }
    return done();
  };
  return new Transform({
    transform(bytes, _encoding, done) {
      run(this, () => codec.update(bytes), done);
    },
    flush(done) {
      run(this, () => codec.final(), done);
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
