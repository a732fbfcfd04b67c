/** The options of legacy reading, checked once. docs/guides/legacy-objects.md describes the cost of each. */
import { tmpdir } from "node:os";
import {
  bytesArgument,
  choiceArgument,
  integerArgument,
  stringArgument,
  textArgument,
} from "../../base/arguments.js";
import type { Fields } from "../../fields/field-list.js";
import { refuseFields } from "../../s3/fields.js";
import type { LegacyKeyring } from "../../s3ec/keyrings/keyring.js";
import { legacyKeyringArgument } from "../../s3ec/keyrings/keyring.js";
import { instructionSuffix } from "../../s3ec/names.js";
import { type LegacyPolicy, policyArguments } from "../../s3ec/policy.js";
import { gcmSuite } from "../../s3ec/suites.js";

/** Options of `legacyReading`. By default only objects of the newest clients are read, as a whole, and verified first. */
export interface LegacyReadingOptions extends Partial<LegacyPolicy> {
  /** The keyring that unwraps the data keys; of several, at most one of each type: KMS, AES, RSA. */
  readonly keyring: LegacyKeyring | readonly LegacyKeyring[];
  /**
   * The largest object that is held in memory until all of it has been verified, in bytes of the object in S3; 67,108,864
   * (64 MiB) by default, 16 at least. Each `get` whose body is being read may hold this much, in addition to
   * `maxBufferedBytes`. AES/GCM verifies an object only as a whole.
   */
  readonly maxBufferedObjectBytes?: number | undefined;
  /**
   * How larger objects are read. "refuse" (default) throws `LEGACY_TOO_LARGE` before the body is read. "temporary-file"
   * stores the object, still encrypted, in a file that only this process can open, and decrypts it from there once it has
   * been verified.
   */
  readonly largeObjects?: "refuse" | "temporary-file" | undefined;
  /** The folder of that file; by default the one of the operating system, which may be in memory. */
  readonly temporaryDirectory?: string | undefined;
  /**
   * Returns plaintext while it is received, from an object of any size; false by default. **It is not verified until the
   * body has ended without an error: anyone who can write to the bucket or to the connection can forge earlier bytes.**
   * Only for readers that roll back their work when the body fails. Amazon's clients call this delayed authentication.
   */
  readonly releaseUnverifiedPlaintext?: boolean | undefined;
  /** Never requests instruction files; false by default. */
  readonly disableInstructionFile?: boolean | undefined;
  /** The suffix that makes the key of the instruction file from the key of the object; ".instruction" by default. */
  readonly instructionFileSuffix?: string | undefined;
  /** Additional data that the writer authenticated with AES/GCM content of version 2, as PHP clients can. */
  readonly contentAad?: Uint8Array | undefined;
  /**
   * Also reads AES/CBC objects whose instruction file was rewrapped by Amazon's client for Java, versions 3 and 4, which
   * binds the name of AES/GCM; false by default. **Such an object cannot be distinguished from an AES/GCM object that was
   * relabelled as AES/CBC**, so anyone who can write to the bucket and observes how reads end can test guesses of the
   * plaintext of an AES/GCM object (CVE-2020-8912). Only for a client that reads no other objects.
   */
  readonly enableCbcRewrappedByJava?: boolean | undefined;
}

/** {@link LegacyReadingOptions} after validation. */
export interface ReadingConfig {
  readonly keyrings: readonly LegacyKeyring[];
  readonly policy: LegacyPolicy;
  readonly maxBufferedObjectBytes: number;
  /** The folder for larger objects; undefined when they are refused. */
  readonly temporaryDirectory: string | undefined;
  readonly releaseUnverifiedPlaintext: boolean;
  /** Undefined when instruction files are not requested. */
  readonly instructionFileSuffix: string | undefined;
  readonly contentAad: Uint8Array | undefined;
  readonly enableCbcRewrappedByJava: boolean;
}

const booleans = [true, false] as const;

/** Checks the options of legacy reading. */
export function readingArguments(given: Fields<LegacyReadingOptions>): ReadingConfig {
  const {
    maxBufferedObjectBytes = 64 * 1024 * 1024,
    largeObjects = "refuse",
    temporaryDirectory = tmpdir(),
    releaseUnverifiedPlaintext = false,
    disableInstructionFile = false,
    instructionFileSuffix = instructionSuffix,
    contentAad,
    enableCbcRewrappedByJava = false,
  } = given;
  const holdsNothing = choiceArgument(
    "options.releaseUnverifiedPlaintext",
    releaseUnverifiedPlaintext,
    booleans,
  );
  const held = ["maxBufferedObjectBytes", "largeObjects", "temporaryDirectory"];
  if (holdsNothing) refuse(given, held, "releaseUnverifiedPlaintext holds nothing back: leave it out");
  const toFile =
    choiceArgument("options.largeObjects", largeObjects, ["refuse", "temporary-file"]) === "temporary-file";
  if (!toFile) refuse(given, ["temporaryDirectory"], 'it takes largeObjects: "temporary-file"');
  const requestsNoFile = choiceArgument("options.disableInstructionFile", disableInstructionFile, booleans);
  if (requestsNoFile) refuse(given, ["instructionFileSuffix"], "disableInstructionFile is on: leave it out");
  return {
    keyrings: keyringsArgument(given.keyring),
    policy: policyArguments(given),
    maxBufferedObjectBytes: integerArgument(
      "options.maxBufferedObjectBytes",
      maxBufferedObjectBytes,
      gcmSuite.tagBytes,
      gcmSuite.maxPlaintextBytes + gcmSuite.tagBytes,
    ),
    temporaryDirectory: toFile ? stringArgument("options.temporaryDirectory", temporaryDirectory) : undefined,
    releaseUnverifiedPlaintext: holdsNothing,
    instructionFileSuffix: requestsNoFile
      ? undefined
      : textArgument("options.instructionFileSuffix", instructionFileSuffix),
    contentAad:
      contentAad === undefined ? undefined : Uint8Array.from(bytesArgument("options.contentAad", contentAad)),
    enableCbcRewrappedByJava: choiceArgument(
      "options.enableCbcRewrappedByJava",
      enableCbcRewrappedByJava,
      booleans,
    ),
  };
}

function refuse(options: object, fields: readonly string[], why: string): void {
  const titled = Object.fromEntries(
    Object.entries(options).map(([name, value]) => [`options.${name}`, value]),
  );
  refuseFields(
    titled,
    fields.map((field) => `options.${field}`),
    why,
  );
}

function keyringsArgument(value: unknown): readonly LegacyKeyring[] {
  const keyrings = (Array.isArray(value) ? value : [value]).map((keyring: unknown) =>
    legacyKeyringArgument("options.keyring", keyring),
  );
  const types = new Set(keyrings.map(({ keyType }) => keyType));
  if (keyrings.length === 0 || types.size < keyrings.length) {
    throw new RangeError("options.keyring: expected one keyring, or at most one of each key type");
  }
  return keyrings;
}
