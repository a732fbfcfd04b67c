/** From what S3 says of an object to its keys, in the order that leaves no oracle. */
import { quoted } from "../../base/bytes.js";
import { documentAt } from "../../base/documents.js";
import { EnvelopeError } from "../../base/errors.js";
import type { MessageKeys } from "../../cobblestone/derivation.js";
import { type Envelope, openEnvelope, requireContext, wrappingContext } from "../../envelope/envelope.js";
import { decodeEnvelope, type MetadataFields, type StoredEnvelope } from "../../envelope/metadata.js";
import { legacyMarkers } from "../../envelope/names.js";
import { contextArgument, type EncryptionContext } from "../../keys/encryption-context.js";
import { type Keyring, unwrapDataKey } from "../../keys/keyring.js";
import type { ClientConfig } from "./config.js";
import { getSidecar, type SidecarOwner, sidecarLocation } from "./sidecar.js";

/** The context that a reader expects, or "any" to take the object's own word for it. */
export type ExpectedContext = EncryptionContext | "any";

/** Checks an expected context; nothing given means that the object must have none. */
export function expectedContextArgument(value: unknown): ExpectedContext {
  return value === "any" ? value : contextArgument("encryptionContext", value === undefined ? {} : value);
}

/**
 * Tells from the metadata of an object where its envelope is.
 *
 * @returns undefined when the object is not encrypted by this package or a client that it knows of
 * @throws EnvelopeError `LEGACY_FORMAT` for an object of Amazon's S3 Encryption Clients, `ENVELOPE_INVALID`,
 *   `ENVELOPE_VERSION_UNSUPPORTED`
 */
export function storedEnvelope(
  { legacy }: Pick<ClientConfig, "legacy">,
  metadata: MetadataFields = {},
): StoredEnvelope | undefined {
  const stored = decodeEnvelope(metadata);
  if (!stored) refuseLegacy(metadata, legacy !== undefined);
  return stored;
}

/**
 * Reads the envelope of an object, if need be from its sidecar.
 *
 * @throws EnvelopeError `ENVELOPE_MISSING` when the sidecar is gone, and what `getSidecar` throws
 */
export async function readEnvelope(
  config: ClientConfig,
  object: SidecarOwner,
  stored: StoredEnvelope,
  signal: AbortSignal | undefined,
): Promise<Envelope> {
  if (stored.storage === "metadata") return stored.envelope;
  return getSidecar(config, sidecarLocation(object, stored.header), stored.header, signal);
}

/** The error for an object that is not encrypted at all. */
export function notEncrypted(key: string): EnvelopeError {
  return new EnvelopeError(
    "ENVELOPE_MISSING",
    `${quoted(key)} has no envelope: it was not written by this package, or its metadata was lost in a copy. ` +
      'To read objects that are not encrypted too, say unencrypted: "allow"',
  );
}

/**
 * Unwraps the data key of an object and derives the keys of its body. The expected context is compared before
 * the keyring is asked; the key commitment is checked before anything is decrypted.
 *
 * @throws EnvelopeError `CONTEXT_MISMATCH`, `KEY_NOT_FOR_OBJECT`, `DECRYPTION_FAILED`, and those of the keyring
 */
export async function unlock(
  keyring: Keyring,
  envelope: Envelope,
  expected: ExpectedContext,
  abortSignal: AbortSignal | undefined,
): Promise<MessageKeys> {
  if (expected !== "any") requireContext(envelope.encryptionContext, expected);
  const encryptionContext = wrappingContext(envelope.encryptionContext);
  const { recipients } = envelope;
  return openEnvelope(envelope, await unwrapDataKey(keyring, { recipients, encryptionContext, abortSignal }));
}

function refuseLegacy(metadata: MetadataFields, isLegacyOn: boolean): void {
  const advice = isLegacyOn
    ? "which only `get` reads"
    : `which is read once legacy reading is switched on, see ${documentAt("legacy.md")}`;
  const present = new Set(
    Object.entries(metadata)
      .filter(([, value]) => value !== "")
      .map(([name]) => name.toLowerCase()),
  );
  for (const [name, version] of legacyMarkers) {
    if (!present.has(name)) continue;
    throw new EnvelopeError(
      "LEGACY_FORMAT",
      `the object was written by an Amazon S3 Encryption Client (format ${version}), ${advice}`,
      { details: { format: version } },
    );
  }
}
