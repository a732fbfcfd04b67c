/** The header of an AWS Encryption SDK message: parsed strictly, and held against policy, before any key is touched. */
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

/** What the header says. Nothing of it is verified before its tag is. */
export interface MessageHeader {
  readonly suite: MessageSuite;
  readonly messageId: Buffer;
  /** All pairs that the data key is bound to, that of the signature's key included. */
  readonly encryptionContext: EncryptionContext;
  readonly wrappedDataKeys: readonly WrappedDataKey[];
  /** Bytes of plaintext in each frame but the last; undefined when all of it is one block. */
  readonly frameBytes: number | undefined;
  /** What a message of version 2 commits to its data key with. */
  readonly commitment: Buffer | undefined;
  /** The header's own bytes before its IV and tag, which a signature covers. */
  readonly authenticated: Buffer;
  /** What the tag authenticates after those: pairs that the message does not hold, in canonical bytes. */
  readonly required: Buffer;
  /** The IV of the tag. */
  readonly iv: Buffer;
  readonly tag: Buffer;
  /** IV and tag as they stand in the message, where a signature covers them. */
  readonly authentication: Buffer;
}

/** What has to be allowed. */
export interface HeaderPolicy {
  readonly allowsUncommitted: boolean;
  readonly maxEncryptedDataKeys: number;
}

const customerData = 0x80;
const [unframed, framed] = [1, 2];

/**
 * Reads the header. Policy is decided as soon as what it is about has been read.
 *
 * @throws EnvelopeError `ENVELOPE_INVALID`, `LEGACY_REFUSED`; those of the reader
 */
export async function readHeader(reader: ExactReader, policy: HeaderPolicy): Promise<MessageHeader> {
  const raw: Buffer[] = [];
  const take = async (length: number) => {
    // A copy: what is parsed here is authenticated only after the key is there.
    const bytes = Buffer.from(await reader.take(length));
    raw.push(bytes);
    return bytes;
  };
  const u8 = async () => (await take(1)).readUInt8();
  const u16 = async () => (await take(2)).readUInt16BE();
  const field = async () => take(await u16());

  const version = await u8();
  if (version === 0x41) throw invalid("it is none, or it is one in base64: decode it first");
  if (version !== 1 && version !== 2) throw invalid("it is none, or of a version that is not known");
  if (version === 1 && (await u8()) !== customerData) throw invalid("its type is not known");
  const suite = messageSuites.get(await u16());
  if (!suite || suite.commits !== (version === 2)) throw invalid("its algorithm suite is not known");
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
  if (contentType !== unframed && contentType !== framed) throw invalid("its content type is not known");
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
 * The header of a message that is also bound to pairs which it does not hold.
 *
 * @throws EnvelopeError `CONTEXT_MISMATCH` when it does hold one of these names
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

/** Without the entry that holds the key of the signature, as callers state it and are told it. */
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
    throw invalid("the key of its signature is missing, or none is due");
  return contextOf([...pairs]);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeText(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalid("text in it is not UTF-8");
  }
}

function invalid(fault: string): EnvelopeError {
  return new EnvelopeError("ENVELOPE_INVALID", `this is no message of the AWS Encryption SDK: ${fault}`);
}

function uncommitted({ name }: MessageSuite): EnvelopeError {
  return new EnvelopeError(
    "LEGACY_REFUSED",
    'the message does not commit to its data key; commitmentPolicy "REQUIRE_ENCRYPT_ALLOW_DECRYPT" reads it',
    { details: { option: "commitmentPolicy", algorithmSuite: name } },
  );
}

function tooManyKeys(count: number, most: number): EnvelopeError {
  return new EnvelopeError(
    "LEGACY_REFUSED",
    `the message has ${count} encrypted data keys, and maxEncryptedDataKeys allows ${most}`,
    { details: { option: "maxEncryptedDataKeys", encryptedDataKeys: count } },
  );
}
