/** The header of an AWS Encryption SDK message: it is parsed strictly and checked against the policy before any key is used. */
import { listed, quoted } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import { canonicalContext, contextOf, type EncryptionContext } from "../keys/encryption-context.js";
import type { ExactReader } from "./reader.js";
import {
  type MessageSuite,
  messageIvBytes,
  messageSuites,
  messageTagBytes,
  publicKeyName,
} from "./suites.js";

/** One wrapped copy of the data key. */
export interface WrappedDataKey {
  readonly providerId: string;
  readonly providerInfo: Buffer;
  readonly ciphertext: Buffer;
}

/** A parsed header. None of it can be trusted before its tag has been verified. */
export interface MessageHeader {
  readonly suite: MessageSuite;
  readonly messageId: Buffer;
  /** All pairs that the data key is bound to, including the one that holds the public key of the signature. */
  readonly encryptionContext: EncryptionContext;
  readonly wrappedDataKeys: readonly WrappedDataKey[];
  /** Plaintext bytes in each frame but the last; undefined when the body is a single block. */
  readonly frameBytes: number | undefined;
  /** The key commitment of a message of version 2. */
  readonly commitment: Buffer | undefined;
  /** The bytes of the header before its IV and tag; a signature covers them. */
  readonly authenticated: Buffer;
  /** The bytes that the tag authenticates after those: pairs that the message does not hold, in canonical form. */
  readonly required: Buffer;
  /** The IV of the tag. */
  readonly iv: Buffer;
  readonly tag: Buffer;
  /** The IV and the tag as the message has them; a signature covers them. */
  readonly authentication: Buffer;
}

/** The limits that a header must keep to. */
export interface HeaderPolicy {
  readonly allowsUncommitted: boolean;
  readonly maxEncryptedDataKeys: number;
}

const customerData = 0x80;
const [unframed, framed] = [1, 2];

/**
 * Reads the header. Each limit of the policy is checked as soon as its field has been read.
 *
 * @throws EnvelopeError `ENVELOPE_INVALID`, `LEGACY_REFUSED`, and the errors of the reader
 */
export async function readHeader(reader: ExactReader, policy: HeaderPolicy): Promise<MessageHeader> {
  const raw: Buffer[] = [];
  const take = async (length: number) => {
    // A copy: these bytes are authenticated later, when the key is known, and must be the ones that were parsed.
    const bytes = Buffer.from(await reader.take(length));
    raw.push(bytes);
    return bytes;
  };
  const u8 = async () => (await take(1)).readUInt8();
  const u16 = async () => (await take(2)).readUInt16BE();
  const field = async () => take(await u16());

  const version = await u8();
  if (version === 0x41) throw invalid("it is no message, or a message in base64: decode it first");
  if (version !== 1 && version !== 2) throw invalid("it is no message, or a message of an unknown version");
  if (version === 1 && (await u8()) !== customerData) throw invalid("its type is unknown");
  const suite = messageSuites.get(await u16());
  if (!suite || suite.commits !== (version === 2)) throw invalid("its algorithm suite is unknown");
  if (!suite.commits && !policy.allowsUncommitted) throw uncommitted(suite);
  const messageId = await take(version === 1 ? 16 : 32);
  const encryptionContext = parseContext(await field(), suite);

  const count = await u16();
  if (count === 0) throw invalid("it has no encrypted data key");
  if (count > policy.maxEncryptedDataKeys) throw tooManyKeys(count, policy.maxEncryptedDataKeys);
  const wrappedDataKeys: WrappedDataKey[] = [];
  while (wrappedDataKeys.length < count) {
    const providerId = decodeText(await field());
    wrappedDataKeys.push({ providerId, providerInfo: await field(), ciphertext: await field() });
  }

  const contentType = await u8();
  if (contentType !== unframed && contentType !== framed) throw invalid("its content type is unknown");
  if (version === 1 && (await take(4)).readUInt32BE() !== 0) throw invalid("its reserved bytes are not 0");
  if (version === 1 && (await u8()) !== messageIvBytes) throw invalid("the length of its IV is wrong");
  const frameBytes = (await take(4)).readUInt32BE();
  if ((contentType === unframed) !== (frameBytes === 0)) throw invalid("the length of its frames is wrong");
  const commitment = suite.commits ? await take(32) : undefined;
  const authenticated = Buffer.concat(raw);
  const iv = version === 1 ? await take(messageIvBytes) : undefined;
  const tag = await take(messageTagBytes);
  return {
    suite,
    messageId,
    encryptionContext,
    wrappedDataKeys,
    frameBytes: contentType === framed ? frameBytes : undefined,
    commitment,
    authenticated,
    required: Buffer.alloc(0),
    iv: iv ?? Buffer.alloc(messageIvBytes),
    tag,
    authentication: iv ? Buffer.concat([iv, tag]) : tag,
  };
}

/**
 * Adds pairs of the encryption context that the message is bound to and does not hold.
 *
 * @throws EnvelopeError `CONTEXT_MISMATCH` when the message holds one of these names
 */
export function withRequiredContext(header: MessageHeader, required: EncryptionContext): MessageHeader {
  const names = Object.keys(required);
  if (names.length === 0) return header;
  const held = names.filter((name) => Object.hasOwn(header.encryptionContext, name));
  if (held.length > 0) {
    throw new EnvelopeError(
      "CONTEXT_MISMATCH",
      `the message holds pairs that requiredEncryptionContext states: ${listed(held.map(quoted))}; ` +
        "state them as encryptionContext",
      { details: { differing: held } },
    );
  }
  const pairs = [...Object.entries(header.encryptionContext), ...Object.entries(required)];
  return { ...header, encryptionContext: contextOf(pairs), required: canonicalContext(required) };
}

/** The context as callers state and receive it: without the entry that holds the public key of the signature. */
export function callersContext(context: EncryptionContext): EncryptionContext {
  return contextOf(Object.entries(context).filter(([name]) => name !== publicKeyName));
}

function parseContext(bytes: Buffer, suite: MessageSuite): EncryptionContext {
  const pairs = new Map<string, string>();
  let position = 2;
  const field = () => {
    const end = position + 2 + (position + 2 <= bytes.length ? bytes.readUInt16BE(position) : Infinity);
    if (end > bytes.length) throw invalid("its encryption context is malformed");
    const text = decodeText(bytes.subarray(position + 2, end));
    position = end;
    return text;
  };
  if (bytes.length === 1) throw invalid("its encryption context is malformed");
  for (let left = bytes.length === 0 ? 0 : bytes.readUInt16BE(); left > 0; left--) {
    const [name, value] = [field(), field()];
    if (pairs.has(name) || name === "__proto__") throw invalid("its encryption context is malformed");
    pairs.set(name, value);
  }
  if (position < bytes.length) throw invalid("its encryption context is malformed");
  if (pairs.has(publicKeyName) !== suite.isSigned)
    throw invalid("it has no public key for its signature, or has one and is not signed");
  return contextOf([...pairs]);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeText(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalid("it contains text that is not UTF-8");
  }
}

function invalid(fault: string): EnvelopeError {
  return new EnvelopeError("ENVELOPE_INVALID", `this is not a message of the AWS Encryption SDK: ${fault}`);
}

function uncommitted({ name }: MessageSuite): EnvelopeError {
  return new EnvelopeError(
    "LEGACY_REFUSED",
    "the message does not commit to its data key: to read it, set commitmentPolicy: " +
      '"REQUIRE_ENCRYPT_ALLOW_DECRYPT"',
    { details: { option: "commitmentPolicy", algorithmSuite: name } },
  );
}

function tooManyKeys(count: number, most: number): EnvelopeError {
  return new EnvelopeError(
    "LEGACY_REFUSED",
    `the message has ${count} encrypted data keys, but maxEncryptedDataKeys allows ${most}`,
    { details: { option: "maxEncryptedDataKeys", encryptedDataKeys: count } },
  );
}
