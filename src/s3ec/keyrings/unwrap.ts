/** From the envelope of an S3 Encryption Client to the keys of its content, in the order that leaves no oracle. */
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

/** What an object is unlocked with. */
export interface LegacyUnwrapRequest {
  /** One of each key type at most. */
  readonly keyrings: readonly LegacyKeyring[];
  readonly policy: LegacyPolicy;
  /** The context that the caller states; undefined when none was stated, which differs from an empty one for `kms`. */
  readonly expected: EncryptionContext | "any" | undefined;
  /** Whether only a range of the content is read. */
  readonly isRange: boolean;
  readonly contentAad?: Uint8Array | undefined;
  /** Whether AES/CBC is also read when the wrap binds the name of AES/GCM. */
  readonly enableCbcRewrappedByJava?: boolean | undefined;
  /** Called when policy and context allow the object, before the keyring is asked: whatever else speaks against it. */
  readonly beforeUnwrap?: (() => void) | undefined;
  readonly abortSignal?: AbortSignal | undefined;
}

/**
 * Unwraps the data key of an object and makes the keys of its content of it. All that can be refused is refused
 * before the keyring is asked, and the commitment is checked before anything is decrypted.
 *
 * @throws EnvelopeError `LEGACY_REFUSED`, `KEY_NOT_FOR_OBJECT`, `CONTEXT_MISMATCH`, `ENVELOPE_INVALID`,
 *   `DECRYPTION_FAILED`, and those of the keyring
 */
export async function unwrapContentKeys(
  envelope: LegacyEnvelope,
  input: LegacyUnwrapRequest,
): Promise<ContentKeys> {
  return withUnwrappedDataKey(envelope, input, (dataKey) =>
    openContentKeys(envelope, dataKey, input.contentAad),
  );
}

/** Unwraps the data key of an object as {@link unwrapContentKeys} does, for one use; then it is zeroed. */
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

/** Versions 3 and 4 for Java wrap the key of AES/CBC anew in its instruction file, and bind the name of AES/GCM to it. */
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

/** How the data key of an object is wrapped: what the object says, or, of V1, what the keys of the reader tell. */
export function wrapOf(envelope: LegacyEnvelope, keyrings: readonly LegacyKeyring[]): WrapAlgorithm {
  return envelope.wrap ?? wrapOfV1(envelope, keyrings);
}

/** What 32 bytes take under AES-ECB; RSA takes more, of any size of key that is safe to use. */
const maxAesEcbBytes = 48;

/** V1 does not say how its key is wrapped. The reader's key tells; with keys of both types, the length, once. */
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
    `the object's data key is wrapped by ${wrap.name} (format ${format}), which takes a ` +
      `${keyringNames[wrap.keyType]}, and the reader has: ${configured}`,
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
 * With `kms+context` the context of KMS names the content's algorithm, which must be the one in the metadata. With
 * `kms` no client ever put that name there: where it stands, `kms+context` was changed into `kms`, for which KMS would
 * decrypt the key all the same; as it would the data key of an object of the native format, which has a name of its own.
 */
function requireBinding(
  { format, storage, description, contentName }: LegacyEnvelope,
  wrap: WrapAlgorithm,
): void {
  if (wrap.keyType !== "kms") return;
  const field = format === "V3" ? names.contextV3 : names.description;
  const bound = Object.hasOwn(description, contentContextName) ? description[contentContextName] : undefined;
  if (wrap.isLegacy && bound !== undefined) {
    throw malformed(storage, field, `${contentContextName} has no place beside the wrap "${wrap.name}"`);
  }
  const [own] = wrappingContextEntry;
  if (Object.hasOwn(description, own)) throw malformed(storage, field, `"${own}" is of the native format`);
  if (!wrap.isLegacy && bound !== contentName) {
    throw malformed(storage, field, `expected its ${contentContextName} to be the content's algorithm`);
  }
}

/** Compares what KMS has bound with what the caller states. Raw keys bind nothing, so there they may state nothing. */
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
      `an encryption context is expected, and the wrap ${wrap.name} of this object binds none: leave it out, as ` +
        "nothing proves the material description in its metadata",
      { details: { differing } },
    );
  }
  if (expected === undefined && wrap.isLegacy) return;
  requireContext(statedContext(envelope), expected ?? {});
}
