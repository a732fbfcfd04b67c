/** Reads one object of Amazon's clients, whole or a range of it, for `get`. */
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { untilAborted } from "../../base/abort.js";
import { EnvelopeError } from "../../base/errors.js";
import type { LegacyContent, LegacyGet } from "../../objects/encrypted/legacy-reading.js";
import type { ByteRange } from "../../objects/encrypted/range.js";
import { bytesOf } from "../../objects/encrypted/tail.js";
import type { ObjectResponse } from "../../s3/body/object-response.js";
import { otherRange, unusableResponse } from "../../s3/errors.js";
import { parseContentRange } from "../../s3/responses.js";
import { openContentRange } from "../../s3ec/content/content.js";
import type { ContentKeys } from "../../s3ec/content/content-keys.js";
import type { LegacyEnvelope } from "../../s3ec/envelope.js";
import { unwrapContentKeys, wrapOf } from "../../s3ec/keyrings/unwrap.js";
import { blockBytes } from "../../s3ec/suites.js";
import { slice } from "../../transfer/slice.js";
import { locateEnvelope, missing } from "./locate-envelope.js";
import { objectInfoOf, provenContext } from "./object-info.js";
import { endsBeforePadding, type LegacyRangePlan, plainLengthOf, planLegacyRange } from "./range-plan.js";
import type { ReadingConfig } from "./reading-options.js";
import { authenticatedOf, checkSize, releasedContent, requirePossibleSize } from "./verify-then-release.js";

/** See `LegacyReading.get`. */
export async function getLegacy(
  config: ReadingConfig,
  object: LegacyGet,
): Promise<LegacyContent | undefined> {
  const { first, range } = object;
  const { envelope, instructionFileKey } = await locateEnvelope(config, object, first.close);
  if (!envelope) return notLegacy(object, instructionFileKey);
  const isFirstWanted = range === undefined && !object.verifyTail && envelope.storage === "metadata";
  if (!isFirstWanted) first.close();
  const keys = await unlock(config, object, envelope);
  const wrap = wrapOf(envelope, config.keyrings);
  const told = {
    encryptionContext: provenContext(envelope, wrap),
    legacy: {
      ...objectInfoOf(envelope, wrap, instructionFileKey),
      authenticated: range ? ("never" as const) : authenticatedOf(keys.suite, config),
    },
  };
  if (range) return { ...told, ...(await readRange(object, keys, range)) };
  return { ...told, ...(await readWhole(config, object, keys, isFirstWanted)) };
}

type Read = Pick<LegacyContent, "output" | "plaintext" | "sizes">;

/** Nothing says that it is encrypted, and it is still the object that the first answer was about. */
async function notLegacy(object: LegacyGet, instructionFileKey: string | undefined): Promise<undefined> {
  const { first, allowPlaintext, target, totalBytes } = object;
  first.close();
  if (allowPlaintext) return undefined;
  if (instructionFileKey !== undefined)
    (await object.again(totalBytes === 0 ? undefined : "bytes=0-0")).close();
  throw missing(target.key, instructionFileKey);
}

async function unlock(
  config: ReadingConfig,
  { range, expected, verifyTail, signal, totalBytes }: LegacyGet,
  envelope: LegacyEnvelope,
): Promise<ContentKeys> {
  const { keyrings, policy, contentAad, enableCbcRewrappedByJava, releaseUnverifiedPlaintext } = config;
  const isVerified = range === undefined && envelope.suite.mode === "gcm" && !releaseUnverifiedPlaintext;
  if (verifyTail && !isVerified) {
    throw new EnvelopeError(
      "LEGACY_REFUSED",
      "nothing in the object proves its length before it has been read as a whole: leave verifyLength out",
      { details: { option: "verifyLength", format: envelope.format } },
    );
  }
  const isRange = range !== undefined;
  return untilAborted(
    signal,
    unwrapContentKeys(envelope, {
      keyrings,
      policy,
      expected,
      isRange,
      contentAad,
      enableCbcRewrappedByJava,
      beforeUnwrap() {
        if (!isRange) checkSize(envelope.suite, config, totalBytes);
        else if (totalBytes !== undefined) requirePossibleSize(envelope.suite, totalBytes);
      },
      abortSignal: signal,
    }),
  );
}

async function readWhole(
  config: ReadingConfig,
  object: LegacyGet,
  keys: ContentKeys,
  isFirstWanted: boolean,
): Promise<Read> {
  const { first, target } = object;
  const { output, read } = isFirstWanted ? first : await object.again(undefined);
  // Part of an object, by its number or by whoever stands between: it would look like one that was cut off, or worse.
  if (output.ContentRange !== undefined) throw otherRange(target);
  const { ContentLength: bytes } = output;
  checkSize(keys.suite, config, bytes);
  const plaintext = releasedContent(read(0, bytes), keys, config, bytes);
  const ContentLength = bytes === undefined ? undefined : plainLengthOf(keys.suite, bytes);
  return { output, plaintext, sizes: { ContentLength, ContentRange: undefined } };
}

async function readRange(object: LegacyGet, keys: ContentKeys, range: ByteRange): Promise<Read> {
  const { target, totalBytes } = object;
  const { suite } = keys;
  if (totalBytes === undefined) {
    throw unusableResponse(target, "its answer does not tell the size of the object");
  }
  requirePossibleSize(suite, totalBytes);
  const plainLength =
    plainLengthOf(suite, totalBytes) ??
    (endsBeforePadding(range, totalBytes) ? undefined : await lengthByPadding(object, keys, totalBytes));
  const plan = planLegacyRange(range, suite, totalBytes, plainLength);
  const { skip, length, contentRange } = plan;
  const { output, plaintext } = await readBlocks(object, keys, plan, totalBytes);
  return {
    output,
    plaintext: slice(plaintext, skip, length),
    sizes: { ContentLength: length, ContentRange: contentRange },
  };
}

/** The last block of AES/CBC holds 0 to 15 bytes; what it holds is known once it is decrypted. */
async function lengthByPadding(object: LegacyGet, keys: ContentKeys, totalBytes: number): Promise<number> {
  const start = totalBytes - blockBytes;
  const from = Math.max(0, start - blockBytes);
  const plan = { from, to: totalBytes - 1, firstBlock: start / blockBytes, holdsLastBlock: true };
  const { plaintext } = await readBlocks(object, keys, plan, totalBytes);
  const last = await bytesOf(plaintext);
  last.fill(0);
  return start + last.length;
}

async function readBlocks(
  object: LegacyGet,
  keys: ContentKeys,
  plan: Pick<LegacyRangePlan, "from" | "to" | "firstBlock" | "holdsLastBlock">,
  totalBytes: number,
): Promise<{ readonly output: GetObjectCommandOutput; readonly plaintext: AsyncIterable<Uint8Array> }> {
  const { from, to } = plan;
  const answer: ObjectResponse = await object.again(`bytes=${from}-${to}`);
  const got = parseContentRange(answer.output.ContentRange);
  if (got?.first !== from || got.last !== to || got.total !== totalBytes) throw otherRange(object.target);
  return { output: answer.output, plaintext: openContentRange(answer.read(0, to + 1 - from), keys, plan) };
}
