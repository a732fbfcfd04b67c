/** The envelope: everything that a reader needs besides the body, and the binding of the encryption context. */
import type { KeyObject } from "node:crypto";
import { listed, quoted } from "../base/bytes.js";
import { EnvelopeError } from "../base/errors.js";
import { type MessageKeys, openHeader } from "../cobblestone/derivation.js";
import { canonicalContext, contextOf, type EncryptionContext } from "../keys/encryption-context.js";
import type { Recipient } from "../keys/keyring.js";
import { bodyContextLabel, wrappingContextEntry } from "./names.js";

/** The envelope of one object, in format version 1. */
export interface Envelope {
  /** Salt and key commitment: a copy of the first 56 bytes of the body, so that a ranged read need not fetch them. */
  readonly header: Buffer;
  /** The context that the writer bound to the data key and to the body, without the entries of this package. */
  readonly encryptionContext: EncryptionContext;
  /** The wrapped data keys; any one opens the object. */
  readonly recipients: readonly Recipient[];
}

/** The context under which the data key is wrapped: the caller's, and an entry that names format and suite. */
export function wrappingContext(context: EncryptionContext): EncryptionContext {
  return contextOf([...Object.entries(context), wrappingContextEntry]);
}

/** The context to which the body is bound: a label, then the canonical encryption context. */
export function bodyContext(context: EncryptionContext): Buffer {
  return Buffer.concat([Buffer.from(bodyContextLabel), canonicalContext(context)]);
}

/**
 * Derives the keys of the body that the envelope belongs to.
 *
 * @throws EnvelopeError `DECRYPTION_FAILED` when the data key or the context is not the committed one
 */
export function openEnvelope(envelope: Envelope, dataKey: KeyObject): MessageKeys {
  return openHeader(dataKey, envelope.header, bodyContext(envelope.encryptionContext));
}

/**
 * Compares the context of an object with the one that the caller expects. To be called before any key is used.
 *
 * @throws EnvelopeError `CONTEXT_MISMATCH`, naming the entries that differ, never their values
 */
export function requireContext(actual: EncryptionContext, expected: EncryptionContext): void {
  const differing = [...new Set([...Object.keys(actual), ...Object.keys(expected)])].filter(
    (name) =>
      !Object.hasOwn(actual, name) || !Object.hasOwn(expected, name) || actual[name] !== expected[name],
  );
  if (differing.length === 0) return;
  const facts = differing.map((name) => {
    const entry = quoted(name);
    if (!Object.hasOwn(actual, name)) return `${entry} is expected but not in the object`;
    if (!Object.hasOwn(expected, name)) return `${entry} is in the object but not expected`;
    return `${entry} has another value`;
  });
  throw new EnvelopeError(
    "CONTEXT_MISMATCH",
    `the object's encryption context is not the expected one: ${listed(facts, "; ")}`,
    { details: { differing } },
  );
}
