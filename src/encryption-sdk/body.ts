/** The body and the footer of an AWS Encryption SDK message, frame by frame. */
import { EnvelopeError } from "../base/errors.js";
import { shouldYield, yieldToEventLoop } from "../base/event-loop.js";
import type { MessageHeader } from "./header.js";
import type { ExactReader } from "./reader.js";
import { messageIvBytes, messageTagBytes } from "./suites.js";

/** Decrypts the frames of a message and verifies its signature. */
export interface SdkMessageKeys {
  /** Returns the plaintext of a ciphertext under this IV. Throws when the tag does not verify. */
  open(iv: Buffer, authenticated: Buffer, ciphertext: Buffer, tag: Buffer): Buffer;
  /** Adds the next bytes of the message to the signed bytes, in order. Absent when the message is not signed. */
  sign?: ((bytes: Buffer) => void) | undefined;
  /** Whether this is the signature of all bytes that were added. */
  isSignature?: ((signature: Buffer) => boolean) | undefined;
}

/** The header of a frame of the body. */
interface Frame {
  readonly header: Buffer;
  readonly iv: Buffer;
  readonly contentBytes: number;
  readonly isLast: boolean;
  readonly label: "Frame" | "Final Frame" | "Single Block";
}

const lastFrameMark = 0xffffffff;

/**
 * Yields the plaintext of each frame after its tag has verified. The last frame is yielded only after the signature, if
 * there is one, has verified too and the source has ended where the message does.
 *
 * @param maxFrameBytes the largest frame that is read into memory
 * @throws EnvelopeError `DECRYPTION_FAILED`, `ENVELOPE_INVALID`, `LEGACY_TOO_LARGE`, and the errors of the reader
 */
export async function* readBody(
  reader: ExactReader,
  header: MessageHeader,
  keys: SdkMessageKeys,
  maxFrameBytes: number,
): AsyncGenerator<Buffer, undefined> {
  keys.sign?.(header.authenticated);
  keys.sign?.(header.authentication);
  for (let sequence = 1; ; sequence++) {
    if (shouldYield()) await yieldToEventLoop();
    const frame =
      header.frameBytes === undefined
        ? await readBlockHeader(reader)
        : await readFrameHeader(reader, header.frameBytes, sequence);
    if (frame.contentBytes > maxFrameBytes) throw tooLarge(maxFrameBytes);
    const sealed = await reader.take(frame.contentBytes + messageTagBytes);
    keys.sign?.(frame.header);
    keys.sign?.(sealed);
    const plaintext = openFrame(frame, sealed, sequence, header, keys);
    if (frame.isLast) {
      await readEnd(reader, keys);
      if (plaintext.length > 0) yield plaintext;
      return undefined;
    }
    yield plaintext;
  }
}

/** The error for a message, or a frame, that is larger than what may be held in memory until it has been verified. */
export function tooLarge(maxBytes: number): EnvelopeError {
  return new EnvelopeError(
    "LEGACY_TOO_LARGE",
    "the message, or a frame of it, must be held in memory until it has been verified, and is larger than " +
      "maxBufferedMessageBytes",
    { details: { option: "maxBufferedMessageBytes", maxBufferedMessageBytes: maxBytes } },
  );
}

/** The one error for a wrong key, tag, commitment or signature. */
export function notAuthentic(cause?: { cause: unknown }): EnvelopeError {
  return new EnvelopeError(
    "DECRYPTION_FAILED",
    "the message cannot be decrypted: it was modified, or the key is not the one that it was encrypted with",
    cause,
  );
}

async function readFrameHeader(reader: ExactReader, frameBytes: number, sequence: number): Promise<Frame> {
  const mark = await reader.take(4);
  const isLast = mark.readUInt32BE() === lastFrameMark;
  const rest = await reader.take((isLast ? 4 : 0) + messageIvBytes + (isLast ? 4 : 0));
  const found = isLast ? rest.readUInt32BE() : mark.readUInt32BE();
  const contentBytes = isLast ? rest.readUInt32BE(rest.length - 4) : frameBytes;
  if (found !== sequence || contentBytes > frameBytes) throw notAuthentic();
  return {
    header: Buffer.concat([mark, rest]),
    iv: isLast ? rest.subarray(4, 4 + messageIvBytes) : rest,
    contentBytes,
    isLast,
    label: isLast ? "Final Frame" : "Frame",
  };
}

async function readBlockHeader(reader: ExactReader): Promise<Frame> {
  const header = await reader.take(messageIvBytes + 8);
  return {
    header,
    iv: header.subarray(0, messageIvBytes),
    // A number that is not exact is far beyond any limit.
    contentBytes: Number(header.readBigUInt64BE(messageIvBytes)),
    isLast: true,
    label: "Single Block",
  };
}

function openFrame(
  { iv, contentBytes, label }: Frame,
  sealed: Buffer,
  sequence: number,
  { messageId }: MessageHeader,
  keys: SdkMessageKeys,
): Buffer {
  const numbers = Buffer.alloc(12);
  numbers.writeUInt32BE(sequence);
  numbers.writeBigUInt64BE(BigInt(contentBytes), 4);
  const authenticated = Buffer.concat([messageId, Buffer.from(`AWSKMSEncryptionClient ${label}`), numbers]);
  const end = sealed.length - messageTagBytes;
  return verified(() => keys.open(iv, authenticated, sealed.subarray(0, end), sealed.subarray(end)));
}

async function readEnd(reader: ExactReader, keys: SdkMessageKeys): Promise<void> {
  const { isSignature } = keys;
  const signature = isSignature && (await reader.take((await reader.take(2)).readUInt16BE()));
  if (!(await reader.isAtEnd())) {
    throw new EnvelopeError("ENVELOPE_INVALID", "bytes follow the end of the message", {
      details: { messageBytes: reader.takenBytes },
    });
  }
  if (signature && !verified(() => isSignature(signature))) throw notAuthentic();
}

/** Replaces any error of OpenSSL by the one error: its text could reveal which check failed. */
export function verified<T>(open: () => T): T {
  try {
    return open();
  } catch {
    throw notAuthentic();
  }
}
