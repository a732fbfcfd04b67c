import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { type EncryptionContext, EnvelopeClient } from "../../../src/index.js";
import {
  type LegacyKeyring,
  legacyAesKeyring,
  legacyReading,
  legacyRsaKeyring,
} from "../../../src/legacy.js";
import { cut, expectBytes, testBytes } from "../../support/bytes.js";
import { errorOf } from "../../support/errors.js";
import { formats, keysOf, keyTypes, optionsOf, writerWith } from "../../support/legacy-writer.js";
import { Bucket, keyring as nativeKeyring, partBytes, useLocalAws } from "../../support/local.js";
import { s3ecKeys } from "../../support/s3ec.js";

const local = useLocalAws();

describe("objects of LegacyWriter, read by EnvelopeClient", () => {
  const all = keyTypes.flatMap((keyType) =>
    formats.flatMap((format) =>
      [true, false].map((instructionFile) => ({ keyType, format, instructionFile })),
    ),
  );
  it.each(all)(
    "EnvelopeClient reads an object with $keyType in $format (instruction file: $instructionFile)",
    async (given) => {
      const { keyType, format, instructionFile } = given;
      const { keyring } = keysOf(local, keyType);
      const writer = writerWith(local, { keyring, instructionFile, ...optionsOf[format] });
      const policy = format === "V2" ? { commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" as const } : {};
      const legacy = legacyReading({ keyring, enableLegacyUnauthenticatedModes: true, ...policy });
      const reader = new EnvelopeClient({ s3: local.s3, keyring: nativeKeyring, legacy });
      const encryptionContext: EncryptionContext = keyType === "kms" ? { tenant: "jürgen & 子" } : {};
      for (const size of [0, 1, 15, 16, 17, partBytes - 15, 2 * partBytes + 1]) {
        const plaintext = testBytes(size, size);
        const object = { Bucket, Key: `${keyType}-${format}-${size}` };
        await writer.put({ ...object, Body: Readable.from(cut(plaintext, 65_536)), encryptionContext });
        const { Body, ContentLength } = await reader.get({ ...object, encryptionContext });
        expect(ContentLength).toBe(size);
        expectBytes(await Body.transformToByteArray(), plaintext);
        if (size < 17) continue;
        const range = await reader.get({ ...object, encryptionContext, Range: "bytes=3-16" });
        expectBytes(await range.Body.transformToByteArray(), plaintext.subarray(3, 17));
      }
    },
  );
});

it("a re-encrypted object opens with the new key, and for another reader with their own suffix", async () => {
  const object = { Bucket, Key: "rotated" };
  const materialsDescription = { year: "2027" };
  const newKeyring = legacyAesKeyring({ wrappingKey: s3ecKeys.otherAes, materialsDescription });
  const partner = legacyRsaKeyring({ privateKey: s3ecKeys.otherRsa.privateKey, materialsDescription });
  const old = keysOf(local, "aes").keyring;
  const writer = writerWith(local, { instructionFile: true });
  await writer.put({ ...object, Body: "kept" });
  const instructionFileSuffix = ".instruction-partner";
  await writer.reEncryptInstructionFile({ ...object, newKeyring: partner, instructionFileSuffix });
  await writer.reEncryptInstructionFile({ ...object, newKeyring, enforceRotation: true });
  const read = async (keyring: LegacyKeyring, suffix?: string) => {
    const legacy = legacyReading({ keyring, instructionFileSuffix: suffix });
    const { Body } = await new EnvelopeClient({ s3: local.s3, keyring: nativeKeyring, legacy }).get(object);
    return Body.transformToString();
  };
  expect(await read(newKeyring)).toBe("kept");
  expect(await read(partner, instructionFileSuffix)).toBe("kept");
  expect(await errorOf(() => read(old))).toMatchObject({ code: "DECRYPTION_FAILED" });
});

it("LegacyWriter.put zeroes its data key, whether the write succeeds or fails", async () => {
  const { keyring } = keysOf(local, "aes");
  const keys: Uint8Array[] = [];
  const noted: LegacyKeyring = {
    ...keyring,
    async generateDataKey(input) {
      const made = await keyring.generateDataKey(input);
      keys.push(made.plaintext);
      return made;
    },
    async unwrapDataKey(input) {
      const dataKey = await keyring.unwrapDataKey(input);
      keys.push(dataKey);
      return dataKey;
    },
  };
  const writer = writerWith(local, { keyring: noted, instructionFile: true });
  const object = { Bucket, Key: "wiped" };
  await writer.put({ ...object, Body: "x" });
  local.aws.fault({ operation: "PutObject", status: 403, code: "AccessDenied" });
  await errorOf(() => writer.put({ ...object, Body: "x" }));
  const materialsDescription = { year: "2027" };
  const newKeyring = legacyAesKeyring({ wrappingKey: s3ecKeys.aes, materialsDescription });
  const input = { ...object, newKeyring };
  await errorOf(() => writer.reEncryptInstructionFile({ ...input, enforceRotation: true }));
  await writer.reEncryptInstructionFile(input);
  expect(keys).toHaveLength(5);
  for (const key of keys) expect(key).toEqual(key instanceof Buffer ? Buffer.alloc(32) : new Uint8Array(32));
});
