/** The keyring interface, which makes and unwraps data keys. All key management plugs in here. */
import { createSecretKey, type KeyObject } from "node:crypto";
import { bytesArgument, objectArgument, stringArgument, wrongType } from "../base/arguments.js";
import { isIllFormed, listed, printable } from "../base/bytes.js";
import { decryptionFailed, EnvelopeError } from "../base/errors.js";
import { dataKeyBytes } from "../cobblestone/derivation.js";
import { type Fields, fieldsArgument } from "../fields/field-list.js";
import { fieldNames } from "../fields/field-names.js";
import { type EncryptionContext, wrappingContextArgument } from "./encryption-context.js";

/** One wrapped copy of the data key. It is stored in the object's envelope, readable by anybody. */
export interface Recipient {
  /** The kind of keyring that wrote it: 1 to 64 characters of a-z, 0-9 and "-". Choose your own for an adapter. */
  readonly provider: string;
  /** The wrapping key: 1 to 1024 characters, in the provider's own notation. */
  readonly keyId: string;
  /** The wrapped data key, 1 to 8192 bytes, in the provider's own format. */
  readonly ciphertext: Uint8Array;
}

/** The input of a keyring when an object is written. */
export interface GenerateDataKeyInput {
  /** Bind it to each wrapped key, so that the key unwraps only under exactly this context. */
  readonly encryptionContext: EncryptionContext;
  readonly abortSignal?: AbortSignal | undefined;
}

/** A new data key and its wrapped copies. */
export interface GeneratedDataKey {
  /** 32 uniformly random bytes, used for one object. Zeroed by the caller of the keyring after use. */
  readonly plaintext: Uint8Array;
  /** 1 to 16 wrapped copies; any one of them opens the object. */
  readonly recipients: readonly Recipient[];
}

/** The input of a keyring when an object is read. */
export interface UnwrapDataKeyInput {
  /** The wrapped copies in the object's envelope, from any keyrings. Do not trust them. */
  readonly recipients: readonly Recipient[];
  /** The context under which each copy was wrapped. */
  readonly encryptionContext: EncryptionContext;
  readonly abortSignal?: AbortSignal | undefined;
}

/** Makes and unwraps data keys. Implement these two methods to plug in a key service of your own. */
export interface Keyring {
  /** Makes a new data key and wraps it. Rejects when it cannot. */
  generateDataKey(input: GenerateDataKeyInput): Promise<GeneratedDataKey>;
  /**
   * Unwraps the data key from the first recipient whose wrapping key this keyring has. Resolves to null when no recipient is
   * for this keyring; rejects when one is, but cannot be unwrapped.
   */
  unwrapDataKey(input: UnwrapDataKeyInput): Promise<Uint8Array | null>;
  /**
   * Optional: the wrapping keys of this keyring, named as in its recipients. They appear only in the error for an object
   * that none of them opens.
   */
  readonly keys?: readonly Pick<Recipient, "provider" | "keyId">[] | undefined;
}

/** The most recipients that an envelope holds. */
export const maxRecipients = 16;
/** The longest key id, in characters. */
export const maxKeyIdLength = 1024;
/** The longest wrapped data key, in bytes. */
export const maxWrappedKeyBytes = 8192;

/** The fault of a recipient, or undefined. */
export function recipientFault({ provider, keyId, ciphertext }: Recipient): string | undefined {
  if (!/^[a-z0-9-]{1,64}$/.test(provider)) return "provider: expected 1 to 64 characters of a-z, 0-9 and -";
  if (keyId.length < 1 || keyId.length > maxKeyIdLength) {
    return `keyId: expected 1 to ${maxKeyIdLength} characters`;
  }
  if (isIllFormed(keyId)) return "keyId: expected well-formed Unicode";
  if (ciphertext.length >= 1 && ciphertext.length <= maxWrappedKeyBytes) return undefined;
  return `ciphertext: expected 1 to ${maxWrappedKeyBytes} bytes`;
}

/** The fault of a new data key, or undefined. Zeros come from a buffer that was zeroed too early. */
export function dataKeyFault(plaintext: Uint8Array): string | undefined {
  if (plaintext.every((byte) => byte === 0)) return `expected ${dataKeyBytes} random bytes, got zeros`;
  if (plaintext.length === dataKeyBytes) return undefined;
  return `expected ${dataKeyBytes} bytes, got ${plaintext.length}`;
}

/** Checks the input of `Keyring.generateDataKey`. */
export function generateInputArgument(input: unknown): GenerateDataKeyInput {
  return wrappingInput(fieldsArgument<GenerateDataKeyInput>(fieldNames.generateDataKey.input, input));
}

function wrappingInput({
  encryptionContext,
  abortSignal,
}: Fields<GenerateDataKeyInput>): GenerateDataKeyInput {
  return {
    encryptionContext: wrappingContextArgument("input.encryptionContext", encryptionContext),
    abortSignal: abortSignal as AbortSignal | undefined,
  };
}

/** Checks the input of `Keyring.unwrapDataKey`. The recipients come from an envelope, whose decoding has checked them. */
export function unwrapInputArgument(input: unknown): UnwrapDataKeyInput {
  const given = fieldsArgument<UnwrapDataKeyInput>(fieldNames.unwrapDataKey.input, input);
  const { recipients } = given;
  if (!Array.isArray(recipients)) throw wrongType("input.recipients", "an array", recipients);
  return { ...wrappingInput(given), recipients };
}

/** Checks that a value has the methods of a keyring. */
export function keyringArgument(title: string, value: unknown): Keyring {
  const { generateDataKey, unwrapDataKey, send } = objectArgument(title, value);
  if (typeof send === "function")
    throw wrongType(title, "a keyring, such as kmsKeyring({ kms, keyId })", value);
  if (typeof generateDataKey !== "function") {
    throw wrongType(`${title}.generateDataKey`, "a function", generateDataKey);
  }
  if (typeof unwrapDataKey !== "function") {
    throw wrongType(`${title}.unwrapDataKey`, "a function", unwrapDataKey);
  }
  return value as Keyring;
}

/** Makes a data key by a keyring, checks the result, and zeroes the plaintext. */
export async function generateDataKey(
  keyring: Keyring,
  input: GenerateDataKeyInput,
): Promise<{ readonly dataKey: KeyObject; readonly recipients: readonly Recipient[] }> {
  const generated = objectArgument(
    "keyring.generateDataKey: its result",
    await keyring.generateDataKey(input),
  );
  const plaintext = bytesArgument("keyring.generateDataKey: plaintext", generated.plaintext);
  try {
    return {
      dataKey: freshDataKey(plaintext),
      recipients: recipientsArgument(generated.recipients),
    };
  } finally {
    plaintext.fill(0);
  }
}

function freshDataKey(plaintext: Uint8Array): KeyObject {
  const fault = dataKeyFault(plaintext);
  if (fault) throw new RangeError(`keyring.generateDataKey: plaintext: ${fault}`);
  return createSecretKey(plaintext);
}

/**
 * Unwraps a data key by a keyring, checks the result, and zeroes the plaintext.
 *
 * @throws EnvelopeError `KEY_NOT_FOR_OBJECT` when no recipient is for the keyring, `DECRYPTION_FAILED` when the unwrapped
 *   bytes are no data key
 */
export async function unwrapDataKey(keyring: Keyring, input: UnwrapDataKeyInput): Promise<KeyObject> {
  const unwrapped = await keyring.unwrapDataKey(input);
  if (unwrapped === null) {
    throw notForObject(keyring, input.recipients);
  }
  const plaintext = bytesArgument("keyring.unwrapDataKey: its result", unwrapped);
  try {
    // Not a mistake of the caller's: anybody who may use the wrapping key can wrap bytes of any length.
    if (plaintext.length !== dataKeyBytes) throw decryptionFailed();
    return createSecretKey(plaintext);
  } finally {
    plaintext.fill(0);
  }
}

function notForObject({ keys }: Keyring, recipients: readonly Recipient[]): EnvelopeError {
  const wrappedFor = recipients.map(nameOf);
  // May be anything: the keyring may be of another author.
  const known = Array.isArray(keys) ? keys.map((key) => nameOf(Object(key))) : [];
  const has = known.length === 0 ? "" : `; it has: ${listed(known)}`;
  return new EnvelopeError(
    "KEY_NOT_FOR_OBJECT",
    `the keyring has none of the keys that this object was written for: ${listed(wrappedFor)}${has}`,
    { details: { recipients: wrappedFor, ...(known.length > 0 && { keyringKeys: known }) } },
  );
}

function nameOf({ provider, keyId }: Pick<Recipient, "provider" | "keyId">): string {
  return printable(`${provider} ${keyId}`);
}

function recipientsArgument(value: unknown): readonly Recipient[] {
  const title = "keyring.generateDataKey: recipients";
  if (!Array.isArray(value)) throw wrongType(title, "an array", value);
  if (value.length < 1 || value.length > maxRecipients) {
    throw new RangeError(`${title}: expected 1 to ${maxRecipients}, got ${value.length}`);
  }
  return value.map((candidate: unknown, index) => {
    const { provider, keyId, ciphertext } = objectArgument(`${title}[${index}]`, candidate);
    const recipient = {
      provider: stringArgument(`${title}[${index}].provider`, provider),
      keyId: stringArgument(`${title}[${index}].keyId`, keyId),
      ciphertext: bytesArgument(`${title}[${index}].ciphertext`, ciphertext),
    };
    const fault = recipientFault(recipient);
    if (fault) throw new RangeError(`${title}[${index}].${fault}`);
    return recipient;
  });
}
