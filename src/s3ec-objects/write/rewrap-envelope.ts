/** Wraps the data key of an envelope with another keyring, after it has been proven that the key belongs to the object. */
import type { HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { EnvelopeError, hasCode } from "../../base/errors.js";
import { openContentKeys } from "../../s3ec/content/content-keys.js";
import { encodeLegacyEnvelope } from "../../s3ec/encode.js";
import type { LegacyEnvelope } from "../../s3ec/envelope.js";
import { type LegacyKeyring, wrapLegacyDataKey } from "../../s3ec/keyrings/keyring.js";
import { sameDescription } from "../../s3ec/keyrings/raw-keyring.js";
import { withUnwrappedDataKey } from "../../s3ec/keyrings/unwrap.js";
import { cbcSuite } from "../../s3ec/suites.js";
import { proveContent, requireProvable } from "./prove-content.js";
import type { ReEncryptRequest } from "./re-encrypt-input.js";
import type { LegacyWriterConfig } from "./writer-settings.js";

/** Returns the text of the new instruction file. */
export async function rewrapEnvelope(
  config: LegacyWriterConfig,
  request: ReEncryptRequest,
  envelope: LegacyEnvelope,
  head: HeadObjectCommandOutput,
  abortSignal: AbortSignal,
): Promise<string> {
  const { keyring, policy } = config;
  const { newKeyring, enforceRotation, expected, verifyContent, contentAad } = request;
  requireSameFormat(config, envelope);
  requireProof(envelope, keyring);
  const contentName = envelope.suite.contentNames[0];
  const beforeUnwrap = () => requireProvable(envelope.suite, verifyContent);
  const input = { keyrings: [keyring], policy, expected, isRange: false, beforeUnwrap, abortSignal };
  const wrapped = await withUnwrappedDataKey(envelope, input, async (dataKey) => {
    // Compares the commitment of V3.
    const keys = openContentKeys(envelope, dataKey, contentAad);
    await proveContent(config, { ...request, head }, keys, verifyContent, abortSignal);
    return wrapLegacyDataKey(newKeyring, dataKey, { contentName });
  });
  const { wrap, wrappedKey, description } = wrapped;
  if (sameDescription(description, envelope.description)) {
    throw notRotated(
      "the description of newKeyring is that of the current key, so no reader could tell the two keys apart",
    );
  }
  if (
    enforceRotation &&
    (await canUnwrap(keyring, { wrap, wrappedKey, contentName, description, abortSignal }))
  ) {
    throw notRotated("the current keyring can unwrap what newKeyring has wrapped: they have the same key");
  }
  const format = envelope.format === "V1" ? "V2" : envelope.format;
  const renewed = { ...envelope, format, wrap, wrappedKey: Buffer.from(wrappedKey), description } as const;
  const { instructions } = encodeLegacyEnvelope({ ...renewed, storage: "instruction-file" });
  return instructions ?? "";
}

/**
 * Refuses an object of another algorithm than the writer's. No writer has AES/CBC: it is accepted when the policy requires
 * no commitment.
 */
function requireSameFormat({ suite, policy }: LegacyWriterConfig, { suite: found }: LegacyEnvelope): void {
  if (found === suite) return;
  const wanted = found === cbcSuite ? "FORBID_ENCRYPT_ALLOW_DECRYPT" : undefined;
  if (wanted && policy.commitmentPolicy === wanted) return;
  const option = wanted ? "commitmentPolicy" : "encryptionAlgorithm";
  throw new EnvelopeError(
    "LEGACY_REFUSED",
    `the content of the object is ${found.name}, but this writer is set to ${suite.name}: use a writer with ` +
      `${option}: "${wanted ?? found.name}"`,
    { details: { option, content: found.contentNames[0] } },
  );
}

/** RSA with PKCS#1 v1.5 returns some data key for every ciphertext and every key. Wrapping a wrong one would lose the object. */
function requireProof({ format }: LegacyEnvelope, { keyType }: LegacyKeyring): void {
  if (format !== "V1" || keyType !== "rsa") return;
  throw notRotated(
    "its data key is wrapped by RSA with PKCS#1 v1.5, which does not prove that it is the right key: put the object again",
  );
}

async function canUnwrap(
  keyring: LegacyKeyring,
  input: Parameters<LegacyKeyring["unwrapDataKey"]>[0],
): Promise<boolean> {
  if (keyring.keyType !== input.wrap.keyType) return false;
  try {
    (await keyring.unwrapDataKey(input)).fill(0);
    return true;
  } catch (error) {
    if (hasCode(error, "DECRYPTION_FAILED") || hasCode(error, "KEY_NOT_FOR_OBJECT")) return false;
    throw error;
  }
}

/** The error for a data key that is not wrapped again. */
export function notRotated(why: string): EnvelopeError {
  return new EnvelopeError("KEY_NOT_ROTATED", `nothing was written: ${why}`);
}
