/** Decrypts messages of the AWS Encryption SDK with Amazon's keyrings. */
import { choiceArgument, integerArgument, wrongType } from "../base/arguments.js";
import type { ByteSource } from "../cobblestone/stream/message.js";
import { requireContext } from "../envelope/envelope.js";
import { fieldsArgument } from "../fields/field-list.js";
import { legacyFieldNames } from "../fields/legacy-field-names.js";
import { type EncryptionContext, wrappingContextArgument } from "../keys/encryption-context.js";
import { type CommitmentPolicy, commitmentPolicies } from "../s3ec/policy.js";
import { readBody, tooLarge } from "./body.js";
import {
  callersContext,
  type HeaderPolicy,
  type MessageHeader,
  readHeader,
  withRequiredContext,
} from "./header.js";
import { loadUnwrapper } from "./materials.js";
import { ExactReader, roomFor } from "./reader.js";
import { publicKeyName } from "./suites.js";

/** A keyring of `@aws-crypto/client-node`: `KmsKeyringNode`, `RawAesKeyringNode`, `MultiKeyringNode`, your own. */
export interface EncryptionSdkKeyring {
  onDecrypt(material: never, encryptedDataKeys: never): Promise<unknown>;
}

/** Settings of {@link decryptEncryptionSdkMessage}. */
export interface EncryptionSdkOptions {
  /** Unwraps the data key. The keyring decides which keys may be used: avoid discovery without a filter. */
  readonly keyring: EncryptionSdkKeyring;
  /**
   * The exact pairs that the message must have, without `aws-crypto-public-key`, which signed messages have in addition;
   * {} by default. "any" accepts every context: compare it yourself.
   */
  readonly encryptionContext?: EncryptionContext | "any" | undefined;
  /**
   * The pairs that the writer required readers to state (the required encryption context of Amazon's materials managers):
   * the data key and the header are bound to them, but the message does not hold them; {} by default.
   */
  readonly requiredEncryptionContext?: EncryptionContext | undefined;
  /** A message with more encrypted data keys is refused, as each may cost a KMS call. 10 by default. */
  readonly maxEncryptedDataKeys?: number | undefined;
  /** "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" by default. The other two also accept messages without key commitment. */
  readonly commitmentPolicy?: CommitmentPolicy | undefined;
  /**
   * The most bytes of plaintext that are held in memory until they have been verified: a signed message, or one frame of
   * an unsigned message, which is the whole message if it has no frames. 64 MiB by default.
   */
  readonly maxBufferedMessageBytes?: number | undefined;
  /**
   * Yields each frame of a signed message after its own tag has verified; all frames but the last before the signature
   * has. Anybody who can unwrap the data key may then have written what you read. False by default.
   */
  readonly releasePlaintextBeforeSignature?: boolean | undefined;
  /** Aborts the call, the reading of the plaintext and the source. */
  readonly abortSignal?: AbortSignal | undefined;
}

/** A message whose header has been verified. */
export interface EncryptionSdkMessage {
  /** The context that the data key is bound to: required pairs included, `aws-crypto-public-key` excluded. */
  readonly encryptionContext: EncryptionContext;
  /** The name of the algorithm suite in the AWS Encryption SDK. */
  readonly algorithmSuite: string;
  /** Whether the message is signed. */
  readonly isSigned: boolean;
  /**
   * The plaintext. Reading it reads the source; an error, or `return()`, closes the source. Every byte has been verified
   * when it is yielded, but only the end of the iterator proves that the message is complete.
   */
  readonly plaintext: AsyncGenerator<Buffer, undefined>;
}

const defaultMaxKeys = 10;
const defaultMaxBufferedBytes = 64 * 1024 * 1024;
const maxFieldCount = 0xffff;

/**
 * Decrypts one message of the AWS Encryption SDK, of version 1 or 2. `@aws-crypto/client-node` (^5.0.1) must be installed;
 * the first call loads it. The format, the commitment policy, the number of keys and the encryption context are checked
 * before any key is used. Bytes after the end of the message are refused.
 *
 * @throws TypeError, RangeError when an argument is wrong or the package is not installed; EnvelopeError
 *   `ENVELOPE_INVALID`, `LEGACY_REFUSED`, `CONTEXT_MISMATCH`, `KEY_NOT_FOR_OBJECT`, `KMS_*`, `DECRYPTION_FAILED`,
 *   `BODY_TRUNCATED`, `LEGACY_TOO_LARGE`, `SOURCE_FAILED`, also while the plaintext is read; the reason of an aborted
 *   signal
 */
export async function decryptEncryptionSdkMessage(
  source: ByteSource,
  options: EncryptionSdkOptions,
): Promise<EncryptionSdkMessage> {
  const settings = settingsArgument(options);
  const reader = new ExactReader(source, settings.abortSignal);
  try {
    const unwrapper = await loadUnwrapper(settings.keyring);
    const stored = await readHeader(reader, settings);
    const storedContext = callersContext(stored.encryptionContext);
    if (settings.expectedContext !== "any") requireContext(storedContext, settings.expectedContext);
    const header = withRequiredContext(stored, settings.requiredContext);
    const encryptionContext = callersContext(header.encryptionContext);
    const keys = await unwrapper.unwrap(header, settings.abortSignal);
    const plaintext = releasePlaintext(reader, header, keys, settings);
    // A generator that has been started closes the source on `return()`, even if nobody has read from it.
    await plaintext.next();
    return {
      encryptionContext,
      algorithmSuite: header.suite.name,
      isSigned: header.suite.isSigned,
      plaintext,
    };
  } catch (error) {
    reader.close();
    throw error;
  }
}

interface Settings extends HeaderPolicy {
  readonly keyring: unknown;
  readonly expectedContext: EncryptionContext | "any";
  readonly requiredContext: EncryptionContext;
  readonly maxBufferedBytes: number;
  readonly releasesEarly: boolean;
  readonly abortSignal: AbortSignal | undefined;
}

/** Yields the plaintext, after an empty piece that starts the generator. */
async function* releasePlaintext(
  reader: ExactReader,
  header: MessageHeader,
  keys: Awaited<ReturnType<Awaited<ReturnType<typeof loadUnwrapper>>["unwrap"]>>,
  { maxBufferedBytes, releasesEarly }: Settings,
): AsyncGenerator<Buffer, undefined> {
  try {
    yield Buffer.alloc(0);
    const frames = readBody(reader, header, keys, maxBufferedBytes);
    if (!header.suite.isSigned || releasesEarly) yield* frames;
    else {
      const held = await holdAll(frames, maxBufferedBytes);
      if (held.length > 0) yield held;
    }
    return undefined;
  } finally {
    keys.dispose();
    reader.close();
  }
}

/** Collects all frames in one buffer, as a frame may hold as little as one byte. */
async function holdAll(frames: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  let heldBytes = 0;
  for await (const frame of frames) {
    if (heldBytes + frame.length > maxBytes) throw tooLarge(maxBytes);
    held = roomFor(held, heldBytes, frame.length, maxBytes);
    heldBytes += frame.copy(held, heldBytes);
  }
  return held.subarray(0, heldBytes);
}

function settingsArgument(options: unknown): Settings {
  const given = fieldsArgument<EncryptionSdkOptions>(
    legacyFieldNames.decryptEncryptionSdkMessage.options,
    options,
  );
  const {
    keyring,
    encryptionContext = {},
    requiredEncryptionContext = {},
    maxEncryptedDataKeys = defaultMaxKeys,
    commitmentPolicy = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT",
    maxBufferedMessageBytes = defaultMaxBufferedBytes,
    releasePlaintextBeforeSignature = false,
    abortSignal,
  } = given;
  if (typeof (Object(keyring) as Partial<EncryptionSdkKeyring>).onDecrypt !== "function") {
    throw wrongType("options.keyring", "a keyring of @aws-crypto/client-node", keyring);
  }
  if (abortSignal !== undefined && !(abortSignal instanceof AbortSignal)) {
    throw wrongType("options.abortSignal", "an AbortSignal", abortSignal);
  }
  const policy = choiceArgument("options.commitmentPolicy", commitmentPolicy, commitmentPolicies);
  return {
    keyring,
    expectedContext:
      encryptionContext === "any"
        ? "any"
        : statedContextArgument("options.encryptionContext", encryptionContext),
    requiredContext: statedContextArgument("options.requiredEncryptionContext", requiredEncryptionContext),
    maxEncryptedDataKeys: integerArgument(
      "options.maxEncryptedDataKeys",
      maxEncryptedDataKeys,
      1,
      maxFieldCount,
    ),
    allowsUncommitted: policy !== "REQUIRE_ENCRYPT_REQUIRE_DECRYPT",
    maxBufferedBytes: integerArgument(
      "options.maxBufferedMessageBytes",
      maxBufferedMessageBytes,
      1,
      Number.MAX_SAFE_INTEGER,
    ),
    releasesEarly: choiceArgument(
      "options.releasePlaintextBeforeSignature",
      releasePlaintextBeforeSignature,
      [true, false],
    ),
    abortSignal,
  };
}

function statedContextArgument(title: string, value: unknown): EncryptionContext {
  const context = wrappingContextArgument(title, value);
  if (!Object.hasOwn(context, publicKeyName)) return context;
  throw new RangeError(
    `${title}[${JSON.stringify(publicKeyName)}]: expected none, as it differs in each message`,
  );
}
