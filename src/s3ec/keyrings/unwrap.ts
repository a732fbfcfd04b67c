/** Unwraps the data key of an object, after all checks that could otherwise serve as an oracle. */
import { bytesArgument } from "../../base/arguments.js";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { requireContext } from "../../envelope/envelope.js";
import { wrappingContextEntry } from "../../envelope/names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import { type ContentKeys, openContentKeys } from "../content/content-keys.js";
import { type LegacyEnvelope, statedContext } from "../envelope.js";
import { malformed } from "../fields.js";
import { contentContextName, legacyNames as names } from "../names.js";
import { type LegacyPolicy, requireAllowed } from "../policy.js";
import { cbcSuite, gcmSuite, type KeyType, type WrapAlgorithm, wraps } from "../suites.js";
import type { LegacyKeyring, LegacyUnwrapInput } from "./keyring.js";

/** The keyrings, the policy and the checks that a data key is unwrapped with. */
export interface LegacyUnwrapRequest {
  /** At most one of each key type. */
  readonly keyrings: readonly LegacyKeyring[];
  readonly policy: LegacyPolicy;
  /** The context that the caller expects. Undefined if none was stated, which differs from an empty one for `kms`. */
  readonly expected: EncryptionContext | "any" | undefined;
  /** Whether only a range of the content is read. */
  readonly isRange: boolean;
  readonly contentAad?: Uint8Array | undefined;
  /** Whether AES/CBC is also read if the wrap binds the name of AES/GCM. */
  readonly enableCbcRewrappedByJava?: boolean | undefined;
  /** Called for further checks after policy and context allow the object, before the keyring is called. */
  readonly beforeUnwrap?: (() => void) | undefined;
  readonly abortSignal?: AbortSignal | undefined;
}

/**
 * Unwraps the data key of an object and derives the keys of its content. Everything that can be refused is refused before the
 * keyring is called, and the commitment is compared before anything is decrypted.
 *
 * @throws EnvelopeError `LEGACY_REFUSED`, `KEY_NOT_FOR_OBJECT`, `CONTEXT_MISMATCH`, `ENVELOPE_INVALID`,
 *   `DECRYPTION_FAILED`, and the errors of the keyring
 */
export async function unwrapContentKeys(
  envelope: LegacyEnvelope,
  input: LegacyUnwrapRequest,
): Promise<ContentKeys> {
  return withUnwrappedDataKey(envelope, input, (dataKey) =>
    openContentKeys(envelope, dataKey, input.contentAad),
  );
}

/** Unwraps the data key of an object as {@link unwrapContentKeys} does, for one use. Zeroes it afterwards. */
export async function withUnwrappedDataKey<T>(
  envelope: LegacyEnvelope,
  input: LegacyUnwrapRequest,
  use: (dataKey: Uint8Array) => T | Promise<T>,
): Promise<T> {
  const { keyrings, policy, expected, isRange, abortSignal } = input;
  const wrap = wrapOf(envelope, keyrings);
  requireAllowed(envelope, wrap, policy, isRange);
  const keyring = keyringFor(envelope, wrap, keyrings);
  requireBinding(envelope, wrap);
  requireExpected(envelope, wrap, expected);
  input.beforeUnwrap?.();
  const { wrappedKey, contentName, description } = envelope;
  const asked = { wrap, wrappedKey, contentName, description, abortSignal };
  const mayBindGcm = input.enableCbcRewrappedByJava === true && isRewrappedCbc(envelope, wrap);
  const unwrapped = await (mayBindGcm ? unwrapCbc(keyring, asked) : keyring.unwrapDataKey(asked));
  const dataKey = bytesArgument("keyring.unwrapDataKey: its result", unwrapped);
  try {
    return await use(dataKey);
  } finally {
    dataKey.fill(0);
  }
}

/** Versions 3 and 4 for Java, when they re-encrypt the instruction file of AES/CBC, bind the name of AES/GCM to the key. */
function isRewrappedCbc({ suite, storage }: LegacyEnvelope, wrap: WrapAlgorithm): boolean {
  return suite === cbcSuite && storage === "instruction-file" && !wrap.isLegacy && wrap.keyType !== "kms";
}

async function unwrapCbc(keyring: LegacyKeyring, asked: LegacyUnwrapInput): Promise<Uint8Array> {
  try {
    return await keyring.unwrapDataKey(asked);
  } catch (error) {
    if (!hasCode(error, "DECRYPTION_FAILED")) throw error;
    return keyring.unwrapDataKey({ ...asked, contentName: gcmSuite.contentNames[0] });
  }
}

/** The wrap of the data key of an object: the one that the object states or, in V1, the one that fits the reader's keys. */
export function wrapOf(envelope: LegacyEnvelope, keyrings: readonly LegacyKeyring[]): WrapAlgorithm {
  return envelope.wrap ?? wrapOfV1(envelope, keyrings);
}

/** The length of 32 bytes under AES-ECB. The output of RSA is longer, for every key that is safe to use. */
const maxAesEcbBytes = 48;

/** V1 does not state its wrap. The type of the reader's key decides or, if it has keys of both types, the length. */
function wrapOfV1({ wrappedKey }: LegacyEnvelope, keyrings: readonly LegacyKeyring[]): WrapAlgorithm {
  const [hasAes, hasRsa] = (["aes", "rsa"] as const).map((type) => ofType(keyrings, type) !== undefined);
  const isRsa = hasAes === hasRsa ? wrappedKey.length > maxAesEcbBytes : hasRsa;
  return isRsa ? wraps.rsaPkcs1 : wraps.aesEcb;
}

function keyringFor(
  { format }: LegacyEnvelope,
  wrap: WrapAlgorithm,
  keyrings: readonly LegacyKeyring[],
): LegacyKeyring {
  const keyring = ofType(keyrings, wrap.keyType);
  if (keyring) return keyring;
  const configured = keyrings.map(({ keyType }) => keyringNames[keyType]).join(", ");
  throw new EnvelopeError(
    "KEY_NOT_FOR_OBJECT",
    `the object's data key is wrapped by ${wrap.name} (format ${format}), which needs a ` +
      `${keyringNames[wrap.keyType]}, but the reader has: ${configured}`,
    { details: { keyType: wrap.keyType, wrap: wrap.name, format } },
  );
}

const keyringNames: Readonly<Record<KeyType, string>> = {
  kms: "legacyKmsKeyring",
  aes: "legacyAesKeyring",
  rsa: "legacyRsaKeyring",
};

function ofType(keyrings: readonly LegacyKeyring[], type: KeyType): LegacyKeyring | undefined {
  return keyrings.find(({ keyType }) => keyType === type);
}

/**
 * With `kms+context` the encryption context names the content algorithm, which must be the one in the metadata. With `kms` no
 * client ever added that name: if it is there, somebody has changed `kms+context` into `kms`, and KMS would decrypt the key all
 * the same. The same holds for the data key of an object of the native format, whose context has a name of its own.
 */
function requireBinding(
  { format, storage, description, contentName }: LegacyEnvelope,
  wrap: WrapAlgorithm,
): void {
  if (wrap.keyType !== "kms") return;
  const field = format === "V3" ? names.contextV3 : names.description;
  const bound = Object.hasOwn(description, contentContextName) ? description[contentContextName] : undefined;
  if (wrap.isLegacy && bound !== undefined) {
    throw malformed(storage, field, `expected no ${contentContextName} with the wrap "${wrap.name}"`);
  }
  const [own] = wrappingContextEntry;
  if (Object.hasOwn(description, own))
    throw malformed(storage, field, `"${own}" belongs to the native format`);
  if (!wrap.isLegacy && bound !== contentName) {
    throw malformed(storage, field, `expected its ${contentContextName} to be the content algorithm`);
  }
}

/** Compares the context that KMS has bound with the expected one. Raw keys bind none, so none may be expected of them. */
function requireExpected(
  envelope: LegacyEnvelope,
  wrap: WrapAlgorithm,
  expected: LegacyUnwrapRequest["expected"],
): void {
  if (expected === "any") return;
  if (wrap.keyType !== "kms") {
    const differing = Object.keys(expected ?? {});
    if (differing.length === 0) return;
    throw new EnvelopeError(
      "CONTEXT_MISMATCH",
      `an encryption context is expected, but the wrap ${wrap.name} of this object binds none: leave it out, as ` +
        "nothing proves the material description in the metadata",
      { details: { differing } },
    );
  }
  if (expected === undefined && wrap.isLegacy) return;
  requireContext(statedContext(envelope), expected ?? {});
}
