/** Begins the message of one new object: generates its data key, and creates its envelope and the encoder of its body. */
import { untilAborted } from "../../base/abort.js";
import { EnvelopeError } from "../../base/errors.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { BodyEncoder } from "../../objects/put/body-encoder.js";
import { sealContent } from "../../s3ec/content/content.js";
import { type ContentKeys, sealContentKeys } from "../../s3ec/content/content-keys.js";
import { type EncodedEnvelope, encodeLegacyEnvelope } from "../../s3ec/encode.js";
import { generateLegacyDataKey } from "../../s3ec/keyrings/keyring.js";
import type { BodySource } from "../../transfer/body-source.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/** A message that has not been encrypted yet. */
export interface NewMessage {
  readonly envelope: EncodedEnvelope;
  readonly encoder: BodyEncoder;
}

/**
 * Generates a data key for one object. A second attempt to write the object needs another message.
 *
 * @throws EnvelopeError `SOURCE_TOO_LARGE` when the source is known to have more bytes than one message holds
 */
export async function newMessage(
  { keyring, suite, instructionFile }: LegacyWriterConfig,
  source: BodySource,
  encryptionContext: EncryptionContext,
  signal: AbortSignal,
): Promise<NewMessage> {
  if ((source.length ?? 0) > suite.maxPlaintextBytes) throw tooLarge(suite.maxPlaintextBytes);
  const contentName = suite.contentNames[0];
  const input = { contentName, encryptionContext, abortSignal: signal };
  const { plaintext, wrappedKey, ...wrapping } = await untilAborted(
    signal,
    generateLegacyDataKey(keyring, input),
  );
  try {
    const { keys, ...content } = sealContentKeys(suite, plaintext);
    const format = suite.commits ? "V3" : "V2";
    const storage = instructionFile ? "instruction-file" : "metadata";
    const wrapped = { ...wrapping, wrappedKey: Buffer.from(wrappedKey), storage } as const;
    const envelope = encodeLegacyEnvelope({ format, suite, contentName, ...content, ...wrapped });
    return { envelope, encoder: contentEncoder(keys, source) };
  } finally {
    plaintext.fill(0);
  }
}

/** Plaintext that is read beyond the part being filled, to know whether there is more. */
const lookaheadBytes = 16 * 1024;

/** The encoder of one GCM message, encrypted from its first byte to its last; parts are sent as they are filled. */
function contentEncoder(keys: ContentKeys, source: BodySource): BodyEncoder {
  const { tagBytes } = keys.suite;
  return {
    ciphertextLength: (plaintextLength) => plaintextLength + tagBytes,
    // The tag comes after the last byte has been read.
    plaintextBytesIn: (ciphertextBytes) => Math.min(ciphertextBytes, source.bytesRead),
    plaintextBytesFor: (ciphertextBytes) => ciphertextBytes + lookaheadBytes,
    readAheadBytes: 0,
    encode: (plaintext) => sealContent(plaintext, keys),
  };
}

function tooLarge(limit: number): EnvelopeError {
  return new EnvelopeError(
    "SOURCE_TOO_LARGE",
    `Body: an object of the S3 Encryption Client holds at most ${limit} bytes (64 GiB)`,
    { details: { limit } },
  );
}
