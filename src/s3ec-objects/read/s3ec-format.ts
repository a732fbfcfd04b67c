/** The formats of Amazon's S3 Encryption Clients, as a row of the table of formats that `get` and `head` use. */
import { EnvelopeError } from "../../base/errors.js";
import type {
  FoundObject,
  ObjectFormat,
  ObjectLookup,
  RequestedObject,
  UnlockedObject,
} from "../../objects/encrypted/format.js";
import { refetchPinned } from "../../objects/encrypted/pinned-object.js";
import { type LocatedEnvelope, locateEnvelope, noEnvelope } from "./locate-envelope.js";
import { objectInfoOf, withoutLegacyFields } from "./object-info.js";
import { plainLengthOf } from "./range-plan.js";
import type { ReadingConfig } from "./reading-options.js";
import { S3ecObject } from "./s3ec-object.js";
import { unlockContent } from "./unlock-content.js";
import { authenticatedOf, requirePossibleSize, requireReadableSize } from "./verify-then-release.js";

/** The row, under these options of legacy reading. */
export function s3ecFormat(config: ReadingConfig): ObjectFormat {
  return {
    fallbackRange: () => undefined,
    async find(object) {
      const located = await locateEnvelope(config, object);
      if (located.envelope) return foundObject(config, located, located.envelope);
      object.closeBody();
      if (object.refusesUnencrypted) await refuse(object, located.instructionFile?.key);
      return undefined;
    },
  };
}

/** Refuses an object without an envelope, unless it is not the object any longer that was looked at. */
async function refuse(object: ObjectLookup, instructionFileKey: string | undefined): Promise<never> {
  if (instructionFileKey !== undefined)
    (await refetchPinned(object, object.totalBytes === 0 ? undefined : "bytes=0-0")).close();
  throw noEnvelope(object.target.key, instructionFileKey);
}

function foundObject(
  config: ReadingConfig,
  { instructionFile }: LocatedEnvelope,
  envelope: NonNullable<LocatedEnvelope["envelope"]>,
): FoundObject {
  const fileKey = instructionFile?.key;
  return {
    instructionFile,
    async describe({ ContentLength: totalBytes, Metadata = {} }) {
      const { suite, wrap } = envelope;
      if (totalBytes !== undefined) requirePossibleSize(suite, totalBytes);
      return {
        ContentLength: totalBytes === undefined ? undefined : plainLengthOf(suite, totalBytes),
        Metadata: withoutLegacyFields(Metadata),
        encrypted: true,
        legacy: objectInfoOf(envelope, wrap, fileKey),
      };
    },
    unlock: (object) => unlockObject(config, envelope, fileKey, object),
  };
}

async function unlockObject(
  config: ReadingConfig,
  envelope: NonNullable<LocatedEnvelope["envelope"]>,
  fileKey: string | undefined,
  object: RequestedObject,
): Promise<UnlockedObject> {
  const { first, range, verifyLength, totalBytes, expected, signal } = object;
  const { suite, format } = envelope;
  const isRange = range !== undefined;
  // A range of ciphertext, and the last bytes that prove the length of a native object, are of no use here.
  if (isRange || verifyLength) first.close();
  const authenticated = isRange ? "never" : authenticatedOf(suite, config);
  if (verifyLength && authenticated !== "before-release") {
    throw new EnvelopeError(
      "LEGACY_REFUSED",
      "nothing in the object proves its length before it has been read as a whole: leave verifyLength out",
      { details: { option: "verifyLength", format } },
    );
  }
  const unlocked = await unlockContent(config, envelope, {
    expected,
    isRange,
    abortSignal: signal,
    beforeUnwrap() {
      if (!isRange) requireReadableSize(suite, config, totalBytes);
      else if (totalBytes !== undefined) requirePossibleSize(suite, totalBytes);
    },
  });
  return new S3ecObject(object, unlocked, {
    ...objectInfoOf(envelope, unlocked.wrap, fileKey),
    authenticated,
  });
}
