/** Messages of the AWS Encryption SDK, read through Amazon's keyrings. docs/guides/legacy-objects.md explains what is checked when. */
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
  /** What unwraps the data key. Which keys it may be is the keyring's business: avoid discovery without a filter. */
  readonly keyring: EncryptionSdkKeyring;
  /**
   * Exactly the pairs that the message must have, without `aws-crypto-public-key`, which signed messages have
   * besides; {} by default. "any" reads whatever the message has, which is then yours to compare.
   */
  readonly encryptionContext?: EncryptionContext | "any" | undefined;
  /**
   * The pairs that the writer required readers to state: the data key and the header are bound to them, and the message
   * does not hold them (the required encryption context of Amazon's materials managers); {} by default.
   */
  readonly requiredEncryptionContext?: EncryptionContext | undefined;
  /** A message with more encrypted data keys is refused: each may cost a KMS call. 10 by default. */
  readonly maxEncryptedDataKeys?: number | undefined;
  /** "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" by default; either of the others reads messages without key commitment. */
  readonly commitmentPolicy?: CommitmentPolicy | undefined;
  /**
   * The most plaintext that is held until it is verified: a signed message, or a frame of an unsigned one, which
   * is all of it when it has no frames. 64 MiB by default.
   */
  readonly maxBufferedMessageBytes?: number | undefined;
  /**
   * Hands out each frame of a signed message once its own tag has verified, all but the last one before the
   * signature has. Who can unwrap the data key could then have made what you have read; false by default.
   */
  readonly releasePlaintextBeforeSignature?: boolean | undefined;
  /** Ends everything, the source included. */
  readonly abortSignal?: AbortSignal | undefined;
}

/** A message whose header has been verified. */
export interface EncryptionSdkMessage {
  /** What the data key is bound to, required pairs included, without `aws-crypto-public-key`. */
  readonly encryptionContext: EncryptionContext;
  /** The name of the algorithm suite in Amazon's clients. */
  readonly algorithmSuite: string;
  /** Whether the message is signed. */
  readonly isSigned: boolean;
  /**
   * The plaintext. It is read from the source as this is read; an error, or `return()`, closes the source. Nothing
   * in it is unverified, but that all of it was there is known at its end alone.
   */
  readonly plaintext: AsyncGenerator<Buffer, undefined>;
}

const defaultMaxKeys = 10;
const defaultMaxBufferedBytes = 64 * 1024 * 1024;
const maxFieldCount = 0xffff;

/**
 * Reads one message of the AWS Encryption SDK, of version 1 or 2. `@aws-crypto/client-node` (^5.0.1) must be
 * installed; it is loaded by the first call. Format, commitment policy, number of keys and encryption context
 * are decided before any key is touched. Nothing may follow the message.
 *
 * @throws TypeError, RangeError when an argument is wrong or the package is not installed; EnvelopeError
 *   `ENVELOPE_INVALID`, `LEGACY_REFUSED`, `CONTEXT_MISMATCH`, `KEY_NOT_FOR_OBJECT`, `KMS_*`, `DECRYPTION_FAILED`,
 *   `BODY_TRUNCATED`, `LEGACY_TOO_LARGE`, `SOURCE_FAILED`, as do reads of the plaintext; or the reason of an
 *   aborted signal
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
    // Once begun, it closes the source also when nobody reads from it.
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

/** Yields an empty piece first. */
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

/** All of it in one buffer: frames may have a byte each. */
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
    `${title}[${JSON.stringify(publicKeyName)}]: expected none, it differs in each message`,
  );
}
