/** Frozen objects in an S3: `get` reads them whole and in ranges, `head` tells of them, and no other request goes out. */
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { legacyReading } from "../../src/legacy.js";
import { type FrozenCase, readFrozen } from "../peers/frozen.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { allowAll } from "../support/legacy-objects.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { everyNth } from "../support/tier.js";
import { cbc, contentAadOf, frozenKeyring } from "./frozen-support.js";

const local = useLocalAws();

/** As its writer left it. */
async function store({ name, object, instructionFile }: FrozenCase): Promise<void> {
  if (instructionFile) {
    const { body, metadata, suffix } = instructionFile;
    const file = { Bucket, Key: name + suffix, Body: body, Metadata: metadata };
    await local.s3.send(new PutObjectCommand(file));
  }
  await local.putRaw(name, Buffer.from(object.body, "base64"), object.metadata);
}

const spans = [
  ["bytes=0-0", 0, 1],
  ["bytes=15-16", 15, 17],
  ["bytes=16-31", 16, 32],
  ["bytes=100-", 100, 300],
  ["bytes=-5", 295, 300],
  ["bytes=287-4000", 287, 300],
  ["bytes=0-299", 0, 300],
] as const;

describe.each(readFrozen())("$path", (frozen) => {
  // One of each kind; around a block, frozen.test.ts reads them all.
  const kinds = frozen.cases.filter(({ name }) => !/-(0|1|15|16)$/.test(name));
  const cases = everyNth(kinds, 6);

  test.each(cases.map((one) => [one.name, one] as const))("%s", async (_, one) => {
    await store(one);
    const { suffix } = one.instructionFile ?? {};
    const legacy = { keyring: frozenKeyring(frozen, one), ...contentAadOf(one), ...allowAll };
    const client = local.clientWith({ legacy: legacyReading(legacy) });
    const object = { Bucket, Key: one.name };
    const stated = one.key === "kms" ? { encryptionContext: one.context } : {};
    const input = { ...object, ...stated, instructionFileSuffix: suffix };
    const plaintext = testBytes(one.plaintext.length, one.plaintext.seed);
    // The object; else the object, its file, the object again.
    const requests = suffix === undefined ? 1 : 3;

    const whole = await client.get(input);
    expectBytes(await whole.Body.transformToByteArray(), plaintext);
    const authenticated = one.content === cbc ? "never" : "before-release";
    const storage = suffix === undefined ? "metadata" : "instruction-file";
    expect(whole.legacy).toMatchObject({ format: one.format, storage, authenticated });
    expect(whole.Metadata).toEqual({});
    expect(local.operations()).toEqual(Array.from({ length: requests }, () => "GetObject"));

    const { ContentLength } = await client.head({ ...object, instructionFileSuffix: suffix });
    expect(ContentLength).toBe(one.content === cbc ? undefined : plaintext.length);
    if (plaintext.length === 300) {
      for (const [Range, start, end] of spans) {
        const part = await client.get({ ...input, Range });
        expectBytes(await part.Body.transformToByteArray(), plaintext.subarray(start, end));
        expect(part.legacy?.authenticated).toBe("never");
      }
    }
    if (suffix !== undefined) {
      const asksNone = legacyReading({ ...legacy, disableInstructionFile: true });
      const without = local.clientWith({ legacy: asksNone });
      // What some writers leave in the metadata says that there is a file.
      const isTold = Object.keys(one.object.metadata).length > 0;
      const code = isTold ? "LEGACY_REFUSED" : "ENVELOPE_MISSING";
      expect(await errorOf(() => without.get({ ...object, ...stated }))).toEqual(coded(code));
    }
  });
});
