/** Seals and opens the content of an object piece by piece. **Opening yields bytes before they have been verified.** */
import { createCipheriv, createDecipheriv, type Decipher } from "node:crypto";
import { bytesArgument, integerArgument } from "../../base/arguments.js";
import { decryptionFailed, EnvelopeError } from "../../base/errors.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { blockBytes } from "../suites.js";
import { type ContentKeys, useToSeal } from "./content-keys.js";
import { Trailer } from "./trailer.js";

/** Encrypted or plain bytes, in pieces of any length. */
export type ContentSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** The blocks of 16 bytes in a range of an object. */
export interface BlockRange {
  /** The index of the first block of plaintext. */
  readonly firstBlock: number;
  /** Whether the range includes the last block of the object, which holds the padding in AES/CBC. */
  readonly holdsLastBlock: boolean;
}

/** Transforms the pieces of a source. */
interface Codec {
  readonly maxBytes: number;
  /** The error for a source of more bytes. */
  tooMany(): EnvelopeError;
  /** Returns the sections of the next piece of the source to transform. Without this, the whole piece is transformed. */
  take?(piece: Uint8Array): Uint8Array[];
  update(slice: Uint8Array): Buffer;
  final(): Buffer;
}

/** The most bytes that are processed before the event loop may run. */
const sliceBytes = 256 * 1024;
/** GCM counts blocks in the last 32 bits of the counter. The blocks of the content begin at 2. */
const counterEnd = 2 ** 32;
const firstCounter = 2;

/**
 * Opens a whole body. **The plaintext IS NOT VERIFIED when it is yielded.** With GCM it is verified once the generator has
 * ended without an error; plaintext that is used before may have been forged. With CBC it is never verified.
 *
 * @param source the body with its tag, in pieces of any length
 * @param bodyBytes the length of the body, if it is known: then pieces are yielded with the lengths that they came in
 * @throws EnvelopeError `DECRYPTION_FAILED` at the end when the tag or the padding is wrong, the one error for all faults of
 *   CBC; `BODY_TRUNCATED` when a GCM body ends before its tag; the errors of the source
 */
export function openContent(
  source: ContentSource,
  keys: ContentKeys,
  bodyBytes?: number,
): AsyncGenerator<Buffer> {
  if (keys.suite.mode === "gcm") return transform(source, gcmOpener(keys, bodyBytes));
  return transform(source, opener(decipherOf(keys, "cbc", keys.iv)));
}

/**
 * Opens consecutive blocks of a body. **NOTHING IS VERIFIED, whatever the suite**: GCM is read as AES-CTR.
 *
 * @param source the encrypted blocks from `firstBlock` on, without the tag; for AES/CBC with the block before, unless
 *   `firstBlock` is 0
 * @returns the plaintext of the blocks, without padding
 * @throws RangeError when no object has that block; EnvelopeError `DECRYPTION_FAILED` when no object has so many blocks, or
 *   when blocks or padding of AES/CBC are wrong
 */
export function openContentRange(
  source: ContentSource,
  keys: ContentKeys,
  { firstBlock, holdsLastBlock }: BlockRange,
): AsyncGenerator<Buffer> {
  const blocks = Math.ceil(keys.suite.maxPlaintextBytes / blockBytes);
  integerArgument("range.firstBlock", firstBlock, 0, blocks - 1);
  if (keys.suite.mode === "gcm") return transform(source, ctrOpener(keys, firstBlock));
  // The block before serves as the IV: it decrypts to garbage, and the blocks after it decrypt correctly.
  const decipher = decipherOf(keys, "cbc", keys.iv).setAutoPadding(holdsLastBlock);
  return transform(source, opener(decipher, firstBlock > 0 ? blockBytes : 0));
}

/**
 * Seals the content of one object. Yields the ciphertext, then the tag. The keys cannot be used again.
 *
 * @throws EnvelopeError `SOURCE_TOO_LARGE` when the source has more bytes than the suite allows
 */
export function sealContent(source: ContentSource, keys: ContentKeys): AsyncGenerator<Buffer> {
  useToSeal(keys);
  const { tagBytes, maxPlaintextBytes } = keys.suite;
  const cipher = createCipheriv(`${aes(keys)}-gcm`, keys.key, keys.iv, { authTagLength: tagBytes });
  if (keys.aad) cipher.setAAD(keys.aad);
  return transform(source, {
    maxBytes: maxPlaintextBytes,
    tooMany: tooLarge,
    update: (slice) => cipher.update(slice),
    final() {
      cipher.final();
      return cipher.getAuthTag();
    },
  });
}

async function* transform(source: ContentSource, codec: Codec): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const given of source) {
    const piece = bytesArgument("source: each piece", given);
    bytes += piece.length;
    if (bytes > codec.maxBytes) throw codec.tooMany();
    for (const section of codec.take?.(piece) ?? [piece]) {
      for (let start = 0; start < section.length; start += sliceBytes) {
        const output = codec.update(section.subarray(start, start + sliceBytes));
        if (output.length > 0) yield output;
        if (shouldYield()) await yieldToEventLoop();
      }
    }
  }
  const last = codec.final();
  if (last.length > 0) yield last;
}

function gcmOpener(keys: ContentKeys, bodyBytes: number | undefined): Codec {
  const { tagBytes, maxPlaintextBytes } = keys.suite;
  const decipher = createDecipheriv(`${aes(keys)}-gcm`, keys.key, keys.iv, { authTagLength: tagBytes });
  if (keys.aad) decipher.setAAD(keys.aad);
  const trailer = new Trailer(tagBytes, bodyBytes);
  return {
    maxBytes: bodyBytes ?? maxPlaintextBytes + tagBytes,
    tooMany: decryptionFailed,
    take: (piece) => trailer.withhold(piece),
    update: (slice) => decipher.update(slice),
    final() {
      if (trailer.held.length < tagBytes) throw truncated();
      decipher.setAuthTag(trailer.held);
      return finish(decipher);
    },
  };
}

function ctrOpener(keys: ContentKeys, firstBlock: number): Codec {
  const counter = firstCounter + firstBlock;
  const iv = Buffer.alloc(blockBytes);
  keys.iv.copy(iv);
  iv.writeUInt32BE(counter, keys.iv.length);
  // Beyond the last block OpenSSL would carry into the IV.
  return { ...opener(decipherOf(keys, "ctr", iv)), maxBytes: (counterEnd - counter) * blockBytes };
}

/** Opens content without a tag, and drops the first bytes. */
function opener(decipher: Decipher, dropBytes = 0): Codec {
  let toDrop = dropBytes;
  const kept = (output: Buffer) => {
    const rest = output.subarray(toDrop);
    toDrop -= output.length - rest.length;
    return rest;
  };
  return {
    maxBytes: Number.MAX_SAFE_INTEGER,
    tooMany: decryptionFailed,
    update: (slice) => kept(decipher.update(slice)),
    final: () => kept(finish(decipher)),
  };
}

function finish(decipher: Decipher): Buffer {
  try {
    return decipher.final();
  } catch {
    throw decryptionFailed();
  }
}

function decipherOf(keys: ContentKeys, mode: "cbc" | "ctr", iv: Uint8Array): Decipher {
  return createDecipheriv(`${aes(keys)}-${mode}`, keys.key, iv);
}

/** The name of AES with a key of this length in OpenSSL. */
function aes({ key }: ContentKeys): "aes-128" | "aes-192" | "aes-256" {
  const bits = (key.symmetricKeySize ?? 0) * 8;
  if (bits === 128 || bits === 192 || bits === 256) return `aes-${bits}`;
  throw decryptionFailed();
}

function truncated(): EnvelopeError {
  return new EnvelopeError("BODY_TRUNCATED", "the encrypted body ends too early: it was truncated");
}

function tooLarge(): EnvelopeError {
  return new EnvelopeError(
    "SOURCE_TOO_LARGE",
    "the body is larger than 64 GiB, the most that one AES-GCM message can hold",
  );
}
