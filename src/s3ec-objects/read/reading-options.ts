/** The options of legacy reading, checked once. docs/guides/legacy-objects.md says what each gives up. */
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

/** What `legacyReading` takes. By default only what the newest clients write is read, whole, and verified first. */
export interface LegacyReadingOptions extends Partial<LegacyPolicy> {
  /** The key that the data keys were wrapped with; of several, at most one of each type: KMS, AES, RSA. */
  readonly keyring: LegacyKeyring | readonly LegacyKeyring[];
  /**
   * The largest object that is held in memory until all of it has been verified, in bytes as S3 counts them; 67,108,864
   * (64 MiB) by default, 16 at least. Each `get` whose body is being read may hold so much: it comes on top of
   * `maxBufferedBytes`. AES/GCM verifies an object only as a whole.
   */
  readonly maxBufferedObjectBytes?: number | undefined;
  /**
   * What becomes of larger ones. "refuse" (default) throws `LEGACY_TOO_LARGE` before the body is read. "temporary-file"
   * keeps what comes from S3, still encrypted, in a file that only this process can open, and decrypts it from there
   * once it has been verified.
   */
  readonly largeObjects?: "refuse" | "temporary-file" | undefined;
  /** The folder of that file; that of the system by default, which may be in memory. */
  readonly temporaryDirectory?: string | undefined;
  /**
   * Hands out plaintext while it comes, of an object of any size. **It is not verified until the body has ended without
   * an error: whoever can write to the bucket or to the connection decides what comes before.** Only for readers who
   * undo what they did when the body fails. What Amazon's clients call delayed authentication; false by default.
   */
  readonly releaseUnverifiedPlaintext?: boolean | undefined;
  /** Never asks for instruction files; false by default. */
  readonly disableInstructionFile?: boolean | undefined;
  /** What follows the key of an object in that of its instruction file, ".instruction" by default. */
  readonly instructionFileSuffix?: string | undefined;
  /** What the writer authenticated beside AES/GCM content of version 2, if anything; PHP clients can. */
  readonly contentAad?: Uint8Array | undefined;
  /**
   * Also reads AES/CBC objects whose instruction file Amazon's client for Java, versions 3 and 4, has wrapped anew: that
   * binds the name of AES/GCM. **Nothing tells such an object from one of AES/GCM that was relabelled as AES/CBC**, so
   * whoever can write to the bucket and sees how reading ends can try guesses of an AES/GCM object's plaintext
   * (CVE-2020-8912). Only for a client that reads those objects alone; false by default.
   */
  readonly enableCbcRewrappedByJava?: boolean | undefined;
}

/** {@link LegacyReadingOptions} once checked. */
export interface ReadingConfig {
  readonly keyrings: readonly LegacyKeyring[];
  readonly policy: LegacyPolicy;
  readonly maxBufferedObjectBytes: number;
  /** Where larger objects are kept meanwhile; undefined when they are refused. */
  readonly temporaryDirectory: string | undefined;
  readonly releaseUnverifiedPlaintext: boolean;
  /** Undefined when instruction files are not asked for. */
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
  const asksNoFile = choiceArgument("options.disableInstructionFile", disableInstructionFile, booleans);
  if (asksNoFile) refuse(given, ["instructionFileSuffix"], "disableInstructionFile is on: leave it out");
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
    instructionFileSuffix: asksNoFile
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
