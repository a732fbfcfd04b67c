/** Decrypts an object of Amazon's clients that is at hand, such as a downloaded file with its metadata: no S3 is asked. */
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { linkedSignal } from "../../base/abort.js";
import { recordArgument, wrongType } from "../../base/arguments.js";
import { quoted } from "../../base/bytes.js";
import { EnvelopeError } from "../../base/errors.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { legacyFieldNames } from "../../fields/legacy-field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import { defaultIdleTimeoutMs } from "../../objects/encrypted/config.js";
import type { LegacyReadInfo } from "../../objects/encrypted/format.js";
import { type ExpectedContext, statedContextArgument } from "../../objects/encrypted/read-arguments.js";
import { type VerifiedBody, verifiedBody } from "../../objects/get/body.js";
import type { LegacyEnvelope } from "../../s3ec/envelope.js";
import {
  decodeInstructionFile,
  decodeOldNetInstructionFile,
  oldNetWrappedKey,
} from "../../s3ec/instruction-file.js";
import { decodeLegacyMetadata } from "../../s3ec/metadata.js";
import { bodyArgument, type PutBody } from "../../transfer/body-source.js";
import { type CallOptions, checkedOptions } from "../../transfer/call.js";
import { objectInfoOf, withoutLegacyFields } from "./object-info.js";
import { plainLengthOf } from "./range-plan.js";
import { type LegacyReadingOptions, readingArguments } from "./reading-options.js";
import { unlockContent } from "./unlock-content.js";
import { authenticatedOf, openWholeContent, requireReadableSize } from "./verify-then-release.js";

/** An object as S3 holds it. The output of a GetObject of the whole object will do. */
export interface LegacyObjectInput {
  /** The encrypted bytes, whole. A stream is read once the body of the result is. */
  readonly Body: Exclude<PutBody, string>;
  /** Their number, of a stream of known length. */
  readonly ContentLength?: number | undefined;
  /** As `head-object` prints it, or as the headers have it, with `x-amz-meta-`; none by default. */
  readonly Metadata?: Readonly<Record<string, string>> | undefined;
  /** What the object's instruction file holds, if it has one. */
  readonly instructionFile?: Uint8Array | string | undefined;
  /** As for `get`. */
  readonly encryptionContext?: ExpectedContext | undefined;
}

/** All that an output of GetObject may have; only what `LegacyObjectInput` names is read. */
type ObjectFields = LegacyObjectInput & Omit<GetObjectCommandOutput, "ContentRange">;

/** Options of `decryptLegacyObject`: those of `legacyReading`, and a signal that also ends the reading of the body. */
export interface DecryptLegacyObjectOptions extends LegacyReadingOptions, CallOptions {}

/** The decrypted object. */
export interface LegacyObjectOutput {
  /** The plaintext: read it once, or destroy it. `legacy.authenticated` says when it has been verified. */
  readonly Body: VerifiedBody;
  /** Bytes of the plaintext, if they are known beforehand. */
  readonly ContentLength: number | undefined;
  /** The metadata without what Amazon's client put there. */
  readonly Metadata: Record<string, string>;
  /** As for `get`. */
  readonly encryptionContext?: EncryptionContext;
  readonly legacy: LegacyReadInfo;
}

/**
 * Decrypts an object of Amazon's S3 Encryption Clients that has been downloaded, under the same policy and with the same
 * verification as `get` with `legacyReading(options)`.
 *
 * @throws TypeError, RangeError when an argument is wrong
 * @throws EnvelopeError `ENVELOPE_MISSING`, `ENVELOPE_INVALID`, `LEGACY_REFUSED`, `LEGACY_TOO_LARGE`, `CONTEXT_MISMATCH`,
 *   `KEY_NOT_FOR_OBJECT`, `DECRYPTION_FAILED`, `BODY_TRUNCATED`, and those of the keyring. The body is destroyed with
 *   `DECRYPTION_FAILED`, `BODY_TRUNCATED`, `LEGACY_TOO_LARGE`, `FILE_FAILED`, `SOURCE_FAILED`, `SOURCE_STALLED` or
 *   `SOURCE_LENGTH_MISMATCH`
 */
export async function decryptLegacyObject(
  input: LegacyObjectInput,
  options: DecryptLegacyObjectOptions,
): Promise<LegacyObjectOutput> {
  const names = legacyFieldNames.decryptLegacyObject;
  const stated = fieldsArgument<DecryptLegacyObjectOptions>(names.options, options);
  const config = readingArguments(stated);
  const checked = checkedOptions(stated);
  const given = fieldsArgument<ObjectFields>(names.input, input);
  const metadata = metadataArgument(given.Metadata);
  const file = fileArgument(given.instructionFile);
  const expected = statedContextArgument(given.encryptionContext);
  // A file that was read as text has lost bytes for good.
  if (typeof given.Body === "string") throw wrongType("Body", "bytes or a stream of them", given.Body);
  const source = bodyArgument(given.Body, given.ContentLength);
  const { signal, abort, dispose } = linkedSignal(checked.abortSignal);
  const close = () => {
    abort(new Error("the body was closed"));
    dispose();
    source.close();
  };
  try {
    const envelope = envelopeOf(metadata, file);
    const { keys, wrap, encryptionContext } = await unlockContent(config, envelope, {
      expected,
      isRange: false,
      beforeUnwrap: () => requireReadableSize(envelope.suite, config, source.length),
      abortSignal: signal,
    });
    const ciphertext = source.read({ signal, idleTimeoutMs: defaultIdleTimeoutMs });
    const plaintext = openWholeContent(ciphertext, keys, config, source.length);
    return {
      Body: verifiedBody(plaintext, { signal, close: (ended) => (ended ? dispose() : close()) }),
      ContentLength: source.length === undefined ? undefined : plainLengthOf(keys.suite, source.length),
      Metadata: withoutLegacyFields(metadata),
      ...(encryptionContext && { encryptionContext }),
      legacy: { ...objectInfoOf(envelope, wrap), authenticated: authenticatedOf(keys.suite, config) },
    };
  } catch (error) {
    close();
    throw error;
  }
}

function envelopeOf(metadata: Readonly<Record<string, string>>, file: Buffer | undefined): LegacyEnvelope {
  const found = decodeLegacyMetadata(metadata);
  if (!("needsInstructionFile" in found)) return found;
  if (file)
    return isOldNet(file) ? decodeOldNetInstructionFile(file, found) : decodeInstructionFile(file, found);
  throw new EnvelopeError(
    "ENVELOPE_MISSING",
    "Metadata has no envelope of an S3 Encryption Client that can be read: if the object has an instruction file, " +
      "state what is in it as instructionFile",
  );
}

/** Of a file that S3 gives, the suffix of its key tells. */
function isOldNet(file: Buffer): boolean {
  try {
    return Object.hasOwn(Object(JSON.parse(file.toString())), oldNetWrappedKey);
  } catch {
    return false;
  }
}

const headerPrefix = /^x-amz-meta-/i;

function metadataArgument(value: unknown): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (const [given, text] of Object.entries(recordArgument("Metadata", value === undefined ? {} : value))) {
    const title = `Metadata[${quoted(given)}]`;
    if (typeof text !== "string") throw wrongType(title, "a string", text);
    const name = given.replace(headerPrefix, "");
    if (Object.hasOwn(metadata, name)) throw new RangeError(`${title}: it is given twice`);
    metadata[name] = text;
  }
  return metadata;
}

function fileArgument(value: unknown): Buffer | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string") return Buffer.from(value);
  if (value instanceof Uint8Array) return Buffer.from(value);
  throw wrongType("instructionFile", "a Uint8Array or a string", value);
}
