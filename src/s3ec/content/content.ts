/** The content of an object, opened and sealed piece by piece; unverified bytes come out, too. */
import { createCipheriv, createDecipheriv, type Decipher } from "node:crypto";
import { bytesArgument, integerArgument } from "../../base/arguments.js";
import { decryptionFailed, EnvelopeError } from "../../base/errors.js";
import { shouldYield, yieldToEventLoop } from "../../base/event-loop.js";
import { blockBytes } from "../suites.js";
import { type ContentKeys, useToSeal } from "./content-keys.js";
import { Trailer } from "./trailer.js";

/** Encrypted or plain bytes, in pieces of any lengths. */
export type ContentSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Which blocks of 16 bytes a range of an object holds. */
export interface BlockRange {
  /** Index of the first block of plaintext that is wanted. */
  readonly firstBlock: number;
  /** Whether the last block of the object is part of it: in AES/CBC that one holds the padding. */
  readonly holdsLastBlock: boolean;
}

/** What turns the pieces of a source into pieces of output. */
interface Codec {
  readonly maxBytes: number;
  /** What is wrong with a source of more bytes. */
  tooMany(): EnvelopeError;
  /** The parts of the next piece of the source that are to be worked on; all of it without this. */
  take?(piece: Uint8Array): Uint8Array[];
  update(slice: Uint8Array): Buffer;
  final(): Buffer;
}

/** At most this much is worked on before the event loop may have its turn. */
const sliceBytes = 256 * 1024;
/** GCM counts blocks in the last 32 bits of the counter, and those of the content from 2 on. */
const counterEnd = 2 ** 32;
const firstCounter = 2;

/**
 * Opens a whole body. **What it yields IS NOT VERIFIED: with GCM not until the generator has ended without a
 * throw, so that whoever hands it on earlier may hand on what somebody has forged; with CBC it never is.**
 *
 * @param source the body with its tag, in pieces of any lengths
 * @param bodyBytes how many bytes that is, when it is known: then pieces come out as long as they came in
 * @throws EnvelopeError `DECRYPTION_FAILED` at the end when the tag or the padding is wrong, the one error
 *   for all faults of CBC; `BODY_TRUNCATED` when a GCM body ends before its tag; whatever the source throws
 */
export function openContent(
  source: ContentSource,
  keys: ContentKeys,
  bodyBytes?: number,
): AsyncGenerator<Buffer> {
  if (keys.suite.mode === "gcm") return run(source, gcmOpener(keys, bodyBytes));
  return run(source, opener(decipherOf(keys, "cbc", keys.iv)));
}

/**
 * Opens whole blocks out of a body. **NOTHING IS VERIFIED, whatever the suite**: GCM is read as AES-CTR.
 *
 * @param source the encrypted blocks from `firstBlock` on, without the tag; for AES/CBC from one block
 *   earlier on, unless `firstBlock` is 0
 * @returns the plaintext of these blocks, without padding
 * @throws RangeError when no object has that block; EnvelopeError `DECRYPTION_FAILED` when none has so
 *   many, or blocks or padding of AES/CBC are wrong
 */
export function openContentRange(
  source: ContentSource,
  keys: ContentKeys,
  { firstBlock, holdsLastBlock }: BlockRange,
): AsyncGenerator<Buffer> {
  const blocks = Math.ceil(keys.suite.maxPlaintextBytes / blockBytes);
  integerArgument("range.firstBlock", firstBlock, 0, blocks - 1);
  if (keys.suite.mode === "gcm") return run(source, ctrOpener(keys, firstBlock));
  // The block before is the IV; under any other IV it is garbage, and what follows it is right.
  const decipher = decipherOf(keys, "cbc", keys.iv).setAutoPadding(holdsLastBlock);
  return run(source, opener(decipher, firstBlock > 0 ? blockBytes : 0));
}

/**
 * Seals the content of one object: ciphertext, then the tag. The keys are used up: they seal nothing else.
 *
 * @throws EnvelopeError `SOURCE_TOO_LARGE` when there is more than the suite can hold
 */
export function sealContent(source: ContentSource, keys: ContentKeys): AsyncGenerator<Buffer> {
  useToSeal(keys);
  const { tagBytes, maxPlaintextBytes } = keys.suite;
  const cipher = createCipheriv(`${aes(keys)}-gcm`, keys.key, keys.iv, { authTagLength: tagBytes });
  if (keys.aad) cipher.setAAD(keys.aad);
  return run(source, {
    maxBytes: maxPlaintextBytes,
    tooMany: tooLarge,
    update: (slice) => cipher.update(slice),
    final() {
      cipher.final();
      return cipher.getAuthTag();
    },
  });
}

async function* run(source: ContentSource, codec: Codec): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const given of source) {
    const piece = bytesArgument("source: each piece", given);
    bytes += piece.length;
    if (bytes > codec.maxBytes) throw codec.tooMany();
    for (const part of codec.take?.(piece) ?? [piece]) {
      for (let start = 0; start < part.length; start += sliceBytes) {
        const output = codec.update(part.subarray(start, start + sliceBytes));
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
  const tail = new Trailer(tagBytes, bodyBytes);
  return {
    maxBytes: bodyBytes ?? maxPlaintextBytes + tagBytes,
    tooMany: decryptionFailed,
    take: (piece) => tail.withhold(piece),
    update: (slice) => decipher.update(slice),
    final() {
      if (tail.held.length < tagBytes) throw truncated();
      decipher.setAuthTag(tail.held);
      return finish(decipher);
    },
  };
}

function ctrOpener(keys: ContentKeys, firstBlock: number): Codec {
  const counter = firstCounter + firstBlock;
  const iv = Buffer.alloc(blockBytes);
  keys.iv.copy(iv);
  iv.writeUInt32BE(counter, keys.iv.length);
  // Past the end OpenSSL would carry into the IV.
  return { ...opener(decipherOf(keys, "ctr", iv)), maxBytes: (counterEnd - counter) * blockBytes };
}

/** Opens what has no tag, and drops the first bytes. */
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

/** AES with keys of this length, as OpenSSL calls it. */
function aes({ key }: ContentKeys): "aes-128" | "aes-192" | "aes-256" {
  const bits = (key.symmetricKeySize ?? 0) * 8;
  if (bits === 128 || bits === 192 || bits === 256) return `aes-${bits}`;
  throw decryptionFailed();
}

function truncated(): EnvelopeError {
  return new EnvelopeError("BODY_TRUNCATED", "the encrypted body ends too early: it was cut off");
}

function tooLarge(): EnvelopeError {
  return new EnvelopeError(
    "SOURCE_TOO_LARGE",
    "the body is larger than 64 GiB, which is all that one AES-GCM message holds",
  );
}
