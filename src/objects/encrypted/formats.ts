/** The table of stored formats: native, those of Amazon's S3 Encryption Clients, and none. A call looks for them in this order. */
import { quoted } from "../../base/bytes.js";
import { documentAt } from "../../base/documents.js";
import { EnvelopeError } from "../../base/errors.js";
import { decodeEnvelope } from "../../envelope/metadata.js";
import { s3ecMarkers } from "../../envelope/names.js";
import { withoutChecksums } from "../../s3/fields.js";
import type { ClientConfig } from "./config.js";
import type { FirstResponse, ObjectFormat, OpenedContent, ReadRequest, RequestedObject } from "./format.js";
import { nativeFormat } from "./native-format.js";
import type { NativeObject } from "./native-object.js";
import { refetchPinned } from "./pinned-object.js";
import { plainRange } from "./range.js";

/** The formats that `get` and `head` look for. */
export function readFormats(config: ClientConfig): readonly ObjectFormat[] {
  const legacy = config.legacy ?? refusedLegacyFormat(legacyIsOff);
  return [nativeFormat(config), legacy, unencryptedFormat];
}

/** The formats that `open` and `download` look for: of objects in another format they say what it is. */
export function nativeFormats(config: ClientConfig): readonly ObjectFormat<NativeObject>[] {
  const advice = config.legacy ? "which only `get` reads" : legacyIsOff;
  return [nativeFormat(config), refusedLegacyFormat(advice), refusedUnencryptedFormat];
}

/**
 * Fetches the metadata of an object that is too short for the range that a native object would have, because it may be in
 * another format.
 *
 * @param refusal thrown when the call reads no other format, or when the object is native
 */
export async function fetchOtherFormat(
  { legacy }: ClientConfig,
  { range, allowUnencrypted }: Pick<ReadRequest, "range" | "allowUnencrypted">,
  fetch: (Range: string | undefined) => Promise<FirstResponse["response"]>,
  refusal: unknown,
): Promise<FirstResponse["response"]> {
  const format = legacy ?? (allowUnencrypted ? unencryptedFormat : undefined);
  if (!format?.fallbackRange) throw refusal;
  const response = await fetch(format.fallbackRange(range));
  if (decodeEnvelope(response.output.Metadata ?? {})) throw refusal;
  return response;
}

const legacyIsOff = `which is read once legacy reading is switched on, see ${documentAt("guides/legacy-objects.md")}`;

/** Objects of Amazon's S3 Encryption Clients where they are not read. */
function refusedLegacyFormat(advice: string): ObjectFormat<never> {
  return {
    async find({ metadata }) {
      const present = new Set(
        Object.entries(metadata)
          .filter(([, value]) => value !== "")
          .map(([name]) => name.toLowerCase()),
      );
      const [, version] = s3ecMarkers.find(([name]) => present.has(name)) ?? [];
      if (version === undefined) return undefined;
      throw new EnvelopeError(
        "LEGACY_FORMAT",
        `the object was written by an Amazon S3 Encryption Client (format ${version}), ${advice}`,
        { details: { format: version } },
      );
    },
  };
}

/** Objects that are not encrypted. */
const unencryptedFormat: ObjectFormat = {
  fallbackRange: (range) => range && plainRange(range),
  async find() {
    return {
      describe: async () => ({ encrypted: false }),
      async unlock(object) {
        if (!object.allowUnencrypted) throw notEncrypted(object.target.key);
        return {
          openWhole: () => openUnencrypted(object, undefined),
          openRange: (range) => openUnencrypted(object, plainRange(range)),
        };
      },
    };
  },
};

/** Objects that are not encrypted where they are not read. */
const refusedUnencryptedFormat: ObjectFormat<never> = {
  async find({ target }) {
    throw notEncrypted(target.key);
  },
};

function notEncrypted(key: string): EnvelopeError {
  return new EnvelopeError(
    "ENVELOPE_MISSING",
    `${quoted(key)} has no envelope: it was not written by this package, or its metadata was lost in a copy. ` +
      'To read unencrypted objects as well, set unencrypted: "allow"',
  );
}

/** The first response has the body only if it is to a request for the whole object: a range of ciphertext is another one. */
async function openUnencrypted(object: RequestedObject, Range: string | undefined): Promise<OpenedContent> {
  const { first, range, verifyLength } = object;
  const isFirst = range === undefined && !verifyLength && first.isUsable();
  if (!isFirst) first.close();
  const { output, read } = isFirst ? first.response : await refetchPinned(object, Range);
  return {
    output: { ...withoutChecksums(output), encrypted: false },
    plaintext: read(0, output.ContentLength),
  };
}
