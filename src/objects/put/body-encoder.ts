/** How the plaintext of an object becomes its body: the seam at which formats other than this package's plug in. */
import type { MessageKeys } from "../../cobblestone/derivation.js";
import { ciphertextLength, plaintextBytesFor, plaintextBytesIn } from "../../cobblestone/layout.js";
import { Sealer } from "../../cobblestone/stream/codecs.js";
import { sealSource } from "../../cobblestone/stream/message.js";
import type { BodySource } from "../../transfer/body-source.js";
import type { Ciphertext } from "../../transfer/part-assembly.js";
import { type ClientConfig, processingOf, readAheadBytesOf } from "../encrypted/config.js";

/** Encodes the plaintext of one object as its body. */
export interface BodyEncoder {
  /** The length of the body for a plaintext of this length. */
  ciphertextLength(plaintextLength: number): number;
  /** How many of the plaintext bytes read so far the first `ciphertextBytes` of the body hold. */
  plaintextBytesIn(ciphertextBytes: number): number;
  /** How many plaintext bytes yield the first `ciphertextBytes` of the body, and at least one byte more. */
  plaintextBytesFor(ciphertextBytes: number): number;
  /** Memory that {@link encode} uses to read ahead, besides the parts. */
  readonly readAheadBytes: number;
  /** Encodes the body. Called at most once, and not after {@link encodeAtOnce}. */
  encode(plaintext: AsyncIterable<Uint8Array>): Ciphertext;
  /** Encodes a small body in one step, into memory of its own. */
  encodeAtOnce?(plaintext: Uint8Array): Buffer;
}

/** The encoder of this package's format: one Cobblestone-256 message. */
export function messageEncoder(config: ClientConfig, keys: MessageKeys, source: BodySource): BodyEncoder {
  return {
    ciphertextLength,
    plaintextBytesIn: (ciphertextBytes) => plaintextBytesIn(ciphertextBytes, source.bytesRead),
    plaintextBytesFor,
    readAheadBytes: readAheadBytesOf(config, source.length),
    encode: (plaintext) => sealSource(plaintext, keys, { ...processingOf(config), reuseBuffers: true }),
    encodeAtOnce(plaintext) {
      const sealer = new Sealer(keys);
      // Buffer.concat may return memory that is shared with others.
      const message: Buffer = Buffer.allocUnsafeSlow(ciphertextLength(plaintext.length));
      let filled = 0;
      for (const piece of [...sealer.update(plaintext), ...sealer.final()])
        filled += piece.copy(message, filled);
      return message;
    },
  };
}
