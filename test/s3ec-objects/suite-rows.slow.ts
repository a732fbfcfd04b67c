/** Each row of Amazon's conformance suite for all languages, end to end. */
import { constants, createPublicKey, publicEncrypt } from "node:crypto";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import type { EncryptionContext } from "../../src/index.js";
import {
  type LegacyReadingOptions,
  LegacyWriter,
  legacyAesKeyring,
  legacyReading,
  legacyRsaKeyring,
} from "../../src/legacy.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";
import { kek, rsaPrivateKey } from "../support/legacy-objects.js";
import { stored } from "../support/legacy-writer.js";
import { Bucket } from "../support/local.js";
import { readS3ec, s3ecKeys } from "../support/s3ec.js";
import {
  bothFlags,
  copy,
  expectRead,
  expectReadElsewhere,
  expectRefused,
  type Fields,
  gcmWriter,
  keyringOf,
  keyTypes,
  local,
  ownFields,
  policies,
  put,
  putForeign,
  read,
  row,
  rowsWithTests,
  unauthenticatedFlag,
  wrapFlag,
} from "./suite.js";

const plaintext = testBytes(777, 3);
const context = { tenant: "42", purpose: "Prüfung" };
const gcmKms = { format: "V2", content: "gcm", wrap: "kms+context" } as const;
const javaGcmKms = { format: "V2", content: "gcm", wrap: "kms" } as const;
const javaCbcKms = { format: "V2", content: "cbc", wrap: "kms" } as const;
const javaCbcRsa = { format: "V1", content: "cbc", wrap: "RSA" } as const;
const fileWriter = { instructionFile: true } as const;
const without = (fields: Fields, name: string) =>
  Object.fromEntries(Object.entries(fields).filter(([other]) => other !== name));

describe("round trips", () => {
  row(1, "RoundTrip crossLanguageTestKms", async () => {
    await put("1-ours", plaintext, "kms", gcmWriter);
    await putForeign("1-theirs", plaintext, gcmKms);
    await expectReadElsewhere(plaintext, "1-ours", "kms");
    for (const Key of ["1-ours", "1-theirs"]) await expectRead(plaintext, Key, policies.FEAD);
  });

  row(2, "RoundTrip WithEncCtx", async () => {
    await put("2-ours", plaintext, "kms", gcmWriter, { encryptionContext: context });
    await putForeign("2-theirs", plaintext, gcmKms, { context });
    await expectReadElsewhere(plaintext, "2-ours", "kms");
    for (const Key of ["2-ours", "2-theirs"]) {
      await expectRead(plaintext, Key, policies.FEAD, { encryptionContext: context });
    }
  });

  row(3, "RoundTrip SubsetEncCtxFails", async () => {
    for (const options of [gcmWriter, {}]) {
      await put("3", plaintext, "kms", options, { encryptionContext: context });
      const subsets: (EncryptionContext | undefined)[] = [undefined, {}, { tenant: "42" }];
      for (const encryptionContext of subsets) {
        await expectRefused("CONTEXT_MISMATCH", "3", policies.FEAD, { encryptionContext });
      }
    }
  });

  row(4, "RoundTrip IncorrectEncCtxFails", async () => {
    for (const options of [gcmWriter, {}]) {
      await put("4", plaintext, "kms", options, { encryptionContext: context });
      for (const encryptionContext of [
        { ...context, tenant: "43" },
        { ...context, more: "1" },
      ]) {
        await expectRefused("CONTEXT_MISMATCH", "4", policies.FEAD, { encryptionContext });
      }
    }
  });

  row(5, "kmsV1Legacy", async () => {
    await putForeign("5", plaintext, javaGcmKms);
    await expectRead(plaintext, "5", { ...policies.FEAD, ...wrapFlag });
  });

  row(6, "kmsV1LegacyWithEncCtx", async () => {
    await putForeign("6", plaintext, javaGcmKms, { context });
    const options = { ...policies.FEAD, ...wrapFlag };
    await expectRead(plaintext, "6", options, { encryptionContext: context });
    await expectRefused("CONTEXT_MISMATCH", "6", options, { encryptionContext: { tenant: "43" } });
  });

  row(7, "kmsV1LegacyFailsWhenLegacyDisabled", async () => {
    await putForeign("7", plaintext, javaGcmKms);
    const options = { ...policies.FEAD, ...unauthenticatedFlag };
    const details = { option: "enableLegacyWrappingAlgorithms", wrap: "kms" };
    await expectRefused("LEGACY_REFUSED", "7", options, {}, details);
  });

  row(8, "rsaRoundTrip", async () => {
    await put("8-ours", plaintext, "rsa", gcmWriter);
    await putForeign("8-theirs", plaintext, { format: "V2", content: "gcm", wrap: "RSA-OAEP-SHA1" });
    await expectReadElsewhere(plaintext, "8-ours", "rsa");
    for (const Key of ["8-ours", "8-theirs"]) await expectRead(plaintext, Key, policies.FEAD);
  });
});

describe("instruction files", () => {
  row(9, "instructionFileReadV2Format", async () => {
    await putForeign("9", plaintext, gcmKms, { storage: "instruction-file" });
    await expectRead(plaintext, "9", policies.FEAD);
  });

  for (const [number, keyType] of [
    [10, "kms"],
    [11, "rsa"],
  ] as const) {
    const name = `instructionFileWriteAndRead${keyType === "rsa" ? "WithRSA" : ""}`;
    row(number, name, async () => {
      const Key = String(number);
      await put(Key, plaintext, keyType, { ...gcmWriter, ...fileWriter });
      const { bytes, metadata } = await local.getRaw(`${Key}.instruction`);
      expect(Object.keys(JSON.parse(bytes.toString()))).toContain("x-amz-key-v2");
      expect(metadata).toEqual({ "x-amz-crypto-instr-file": "" });
      expect((await local.getRaw(Key)).metadata).toEqual({});
      await expectReadElsewhere(plaintext, Key, keyType);
      await expectRead(plaintext, Key, policies.FEAD);
    });
  }
});

describe("commitment policies", () => {
  row(12, "GCMTestSuite: FEAD and REAC read, RERD refuses", async () => {
    const keys = keyTypes.map((keyType) => `12-${keyType}`);
    for (const keyType of keyTypes) await put(`12-${keyType}`, plaintext, keyType, gcmWriter);
    await putForeign("12-theirs", plaintext, gcmKms);
    for (const Key of [...keys, "12-theirs"]) {
      for (const policy of [policies.FEAD, policies.REAC]) await expectRead(plaintext, Key, policy);
      for (const policy of [policies.RERD, {}, { ...policies.RERD, ...bothFlags }]) {
        await expectRefused("LEGACY_REFUSED", Key, policy, {}, { option: "commitmentPolicy" });
      }
    }
  });

  row(13, "KC_GCMTestSuite", async () => {
    for (const options of [policies.REAC, policies.RERD, {}, fileWriter]) {
      for (const keyType of keyTypes) {
        await put("13", plaintext, keyType, options);
        expect((await local.getRaw("13")).metadata).toMatchObject({ "x-amz-c": "115" });
        await expectReadElsewhere(plaintext, "13", keyType);
        for (const policy of [...Object.values(policies), {}]) await expectRead(plaintext, "13", policy);
      }
    }
  });
});

describe("objects of Java's V1 client", () => {
  row(14, "Exhaustive1_25", async () => {
    const options = { ...policies.FEAD, ...bothFlags };
    for (let size = 1; size <= 25; size++) {
      const bytes = testBytes(size, size);
      await putForeign("14-cbc", bytes, javaCbcKms);
      await putForeign("14-gcm", bytes, javaGcmKms);
      await put("14-115", bytes, "kms");
      for (const Key of ["14-cbc", "14-gcm", "14-115"]) await expectRead(bytes, Key, options);
    }
  });

  row(15, "CBCDecryptTests, FEAD or REAC and both flags", async () => {
    await putForeign("15", plaintext, javaCbcKms);
    for (const policy of [policies.FEAD, policies.REAC]) {
      await expectRead(plaintext, "15", { ...policy, ...bothFlags });
    }
  });

  row(16, "CBCDecryptTests, RERD with the unauthenticated flag, and all defaults", async () => {
    await putForeign("16", plaintext, javaCbcKms);
    for (const options of [{ ...policies.RERD, ...unauthenticatedFlag }, bothFlags]) {
      await expectRefused("LEGACY_REFUSED", "16", options, {}, { option: "commitmentPolicy" });
    }
    await expectRefused("LEGACY_REFUSED", "16", {}, {}, { option: "enableLegacyUnauthenticatedModes" });
  });

  row(17, "RsaV1LegacyDecrypt, both flags", async () => {
    await putForeign("17", plaintext, javaCbcRsa);
    for (const policy of [policies.FEAD, policies.REAC]) {
      await expectRead(plaintext, "17", { ...policy, ...bothFlags });
    }
  });

  row(18, "RsaV1LegacyDecrypt, without the wrapping flag", async () => {
    await putForeign("18", plaintext, javaCbcRsa);
    for (const policy of [policies.FEAD, policies.REAC]) {
      const details = { option: "enableLegacyWrappingAlgorithms", wrap: "RSA" };
      await expectRefused("LEGACY_REFUSED", "18", { ...policy, ...unauthenticatedFlag }, {}, details);
    }
  });
});

describe("attacks", () => {
  /** V2 rewritten as V1, so that RSA PKCS#1 v1.5 would be used: one data key that it opens, and one that it does not. */
  async function bleichenbacher(number: number, hasFile: boolean): Promise<void> {
    const key = { key: createPublicKey(rsaPrivateKey), padding: constants.RSA_PKCS1_PADDING };
    const wrappedKeys = {
      valid: publicEncrypt(key, Buffer.alloc(32)),
      other: Buffer.alloc(256),
    };
    await put(`${number}`, plaintext, "rsa", gcmWriter);
    const { bytes } = await local.getRaw(`${number}`);
    for (const [name, wrappedKey] of Object.entries(wrappedKeys)) {
      const fields = {
        "x-amz-key": wrappedKey.toString("base64"),
        "x-amz-iv": Buffer.alloc(16).toString("base64"),
        "x-amz-matdesc": "{}",
      };
      await local.putRaw(`${number}-${name}`, bytes, hasFile ? {} : fields);
      if (hasFile) {
        await local.putRaw(`${number}-${name}.instruction`, Buffer.from(JSON.stringify(fields)));
      }
    }
    for (const policy of Object.values(policies)) {
      for (const keyring of [keyringOf("rsa"), keyTypes.map((keyType) => keyringOf(keyType))]) {
        const whole = async (name: string, flags: Partial<LegacyReadingOptions>) => {
          const options = { ...policy, ...flags, keyring };
          const key = `${number}-${name}`;
          const error = await expectRefused("LEGACY_REFUSED", key, options);
          // The whole message but the key of the object, which the caller states.
          return JSON.stringify([error.name, error.message, error, String(error.cause)]).replaceAll(
            key,
            "key",
          );
        };
        // Each option alone is no oracle either.
        for (const flags of [{}, wrapFlag, unauthenticatedFlag]) {
          expect(await whole("valid", flags)).toBe(await whole("other", flags));
        }
      }
    }
  }
  row(19, "Bleichenbacher metadata: errors are byte-identical", () => bleichenbacher(19, false));
  row(20, "Bleichenbacher instruction file: errors are byte-identical", () => bleichenbacher(20, true));

  row(21, "V3HeaderSpoofing, RERD", async () => {
    await put("21", plaintext, "kms", gcmWriter);
    const spoof = (metadata: Fields) => ({ ...metadata, "x-amz-c": "115", "x-amz-w": "12" });
    await copy("21", "21-spoofed", { metadata: spoof });
    for (const policy of Object.values(policies)) {
      for (const flags of [{}, bothFlags]) {
        await expectRefused("ENVELOPE_INVALID", "21-spoofed", { ...policy, ...flags });
      }
    }
  });

  row(22, "V3HeaderSpoofing, the original under FEAD", async () => {
    await put("22", plaintext, "kms", gcmWriter);
    await expectRead(plaintext, "22", policies.FEAD);
  });
});

describe("InstructionFileFailures", () => {
  row(23, "good, and a byte-exact copy whose file has no marker", async () => {
    for (const keyType of keyTypes) {
      await put("23", plaintext, keyType, fileWriter);
      await copy("23", "23-copy");
      expect((await local.getRaw("23-copy.instruction")).metadata).toEqual({});
      for (const Key of ["23", "23-copy"]) await expectRead(plaintext, Key);
    }
  });

  for (const [number, name, onObject] of [
    [24, "both-meta-and-instruction", (metadata: Fields) => metadata],
    [25, "only-instruction", () => ({})],
  ] as const) {
    row(number, name, async () => {
      const Key = String(number);
      for (const keyType of keyTypes) {
        await put(Key, plaintext, keyType, fileWriter);
        const own = await ownFields(Key);
        const bad = `${Key}-bad`;
        // Each of the three fields is refused.
        for (const more of [own, ...Object.entries(own).map(([field, value]) => ({ [field]: value }))]) {
          await copy(Key, bad, { metadata: onObject, file: (fields) => ({ ...fields, ...more }) });
          for (const policy of [{}, policies.FEAD]) {
            const { message } = await expectRefused("ENVELOPE_INVALID", bad, policy);
            expect(message).toContain("only the metadata of the object itself may have this field");
          }
        }
      }
    });
  }

  row(26, "metadata-only: no file is asked for", async () => {
    await put("26", plaintext, "kms");
    await local.putRaw("26.instruction", Buffer.from("not even JSON"));
    for (const policy of [{}, policies.FEAD]) {
      local.operations();
      await expectRead(plaintext, "26", policy);
      expect(local.operations()).toEqual(["GetObject", "Decrypt"]);
    }
  });

  row(27, "file deleted", async () => {
    for (const options of [fileWriter, { ...gcmWriter, ...fileWriter }]) {
      await put("27", plaintext, "kms", options);
      await local.s3.send(new DeleteObjectCommand({ Bucket, Key: "27.instruction" }));
      const isV3 = options === fileWriter;
      for (const policy of [{}, policies.FEAD]) {
        const details = { instructionFileKey: "27.instruction" };
        await expectRefused("ENVELOPE_MISSING", "27", policy, {}, details);
        const code = isV3 ? "LEGACY_REFUSED" : "ENVELOPE_MISSING";
        await expectRefused(code, "27", { ...policy, disableInstructionFile: true });
      }
    }
  });

  row(28, "bad V3 json", async () => {
    await put("28", plaintext, "kms", { ...policies.REAC, ...fileWriter });
    await copy("28", "28-bad", { file: () => ({ invalid: "json" }) });
    await expectRefused("ENVELOPE_INVALID", "28-bad", policies.REAC);
  });

  row(29, "bad V2 key", async () => {
    await put("29", plaintext, "kms", { ...gcmWriter, ...fileWriter });
    const file = (fields: Fields) => ({
      ...without(fields, "x-amz-key-v2"),
      "x-amz-key-v2-tampered": fields["x-amz-key-v2"] ?? "",
    });
    await copy("29", "29-bad", { file });
    await expectRefused("ENVELOPE_INVALID", "29-bad", policies.FEAD);
  });
});

describe("RangedGet", () => {
  const options = { ...policies.FEAD, ...bothFlags };
  const size = 2000;
  const bytes = testBytes(size, 30);

  row(30, "RangedGet ok: CBC, GCM, 115 in metadata and in a file, and copies", async () => {
    await putForeign("30-cbc", bytes, javaCbcKms);
    await put("30-gcm", bytes, "kms", gcmWriter);
    await put("30-115", bytes, "kms");
    await put("30-file", bytes, "rsa", fileWriter);
    const ranges = [
      ["bytes=0-9", 0, 10],
      ["bytes=700-1100", 700, 1101],
      [`bytes=${size - 5}-${size - 1}`, size - 5, size],
      ["bytes=-5", size - 5, size],
      [`bytes=0-${size - 1}`, 0, size],
      ["bytes=10-1000", 10, 1001],
      [`bytes=${size - 5}-${size + 500}`, size - 5, size],
    ] as const;
    for (const Key of ["30-cbc", "30-gcm", "30-115", "30-file"]) {
      await copy(Key, `${Key}-copy`);
      for (const [Range, start, end] of ranges) {
        await expectRead(bytes.subarray(start, end), Key, options, { Range });
        await expectRead(bytes.subarray(start, end), `${Key}-copy`, options, { Range });
      }
      const refused = { option: "enableLegacyUnauthenticatedModes" };
      const input = { Range: "bytes=0-9" };
      await expectRefused("LEGACY_REFUSED", Key, { ...policies.FEAD, ...wrapFlag }, input, refused);
    }
  });

  /** Fails for the range, and for the whole object. */
  async function refusedRange(code: Parameters<typeof expectRefused>[0], Key: string): Promise<void> {
    for (const Range of ["bytes=0-9", "bytes=700-1100", "bytes=-5"]) {
      await expectRefused(code, Key, options, { Range });
    }
    await expectRefused(code, Key, options);
  }
  const storages = [
    ["metadata", {}],
    ["instruction file", fileWriter],
  ] as const;

  row(31, "RangedGet, c, d or i in the file", async () => {
    await put("31", bytes, "aes", fileWriter);
    const own = await ownFields("31");
    for (const more of [own, ...Object.entries(own).map(([name, value]) => ({ [name]: value }))]) {
      await copy("31", "31-bad", { file: (fields) => ({ ...fields, ...more }) });
      await refusedRange("ENVELOPE_INVALID", "31-bad");
      await copy("31", "31-bad", { metadata: () => ({}), file: (fields) => ({ ...fields, ...more }) });
      await refusedRange("ENVELOPE_INVALID", "31-bad");
    }
  });

  for (const [storage, writer] of storages) {
    row(31, `RangedGet, each bit of c flipped that a header can hold (${storage})`, async () => {
      await put("31", bytes, "aes", writer);
      for (let bit = 0; bit < 24; bit++) {
        const flipped = Buffer.from("115");
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const c = flipped.toString("latin1");
        if (!/^[!-~]+$/.test(c)) continue;
        await copy("31", "31-bad", { metadata: (metadata) => ({ ...metadata, "x-amz-c": c }) });
        await refusedRange("ENVELOPE_INVALID", "31-bad");
      }
    });

    for (const name of ["x-amz-d", "x-amz-i"] as const) {
      row(31, `RangedGet, a bit of each byte of ${name} flipped (${storage})`, async () => {
        for (const keyType of ["aes", "kms"] as const) {
          await put("31", bytes, keyType, writer);
          // KMS need not be called for each.
          for (let index = 0; index < 28; index += keyType === "aes" ? 1 : 9) {
            const flip = (metadata: Fields) => {
              const value = Buffer.from(metadata[name] ?? "", "base64");
              value[index] = (value[index] ?? 0) ^ (1 << (index & 7));
              return { ...metadata, [name]: value.toString("base64") };
            };
            await copy("31", "31-bad", { metadata: flip });
            await refusedRange("DECRYPTION_FAILED", "31-bad");
          }
        }
      });
    }

    row(31, `RangedGet, d of 20 and of 40 bytes (${storage})`, async () => {
      await put("31", bytes, "aes", writer);
      const d = Buffer.from((await ownFields("31"))["x-amz-d"] ?? "", "base64");
      for (const wrong of [d.subarray(0, 20), Buffer.concat([d, Buffer.alloc(12)])]) {
        const metadata = (own: Fields) => ({ ...own, "x-amz-d": wrong.toString("base64") });
        await copy("31", "31-bad", { metadata });
        await refusedRange("ENVELOPE_INVALID", "31-bad");
      }
    });
  }
});

describe("ReEncrypt", () => {
  const materialsDescription = { rotated: "yes" };
  const newAes = legacyAesKeyring({ wrappingKey: s3ecKeys.otherAes, materialsDescription });
  const newRsa = legacyRsaKeyring({ privateKey: s3ecKeys.otherRsa.privateKey, materialsDescription });
  const [aes, rsa] = [{ aes: s3ecKeys.otherAes }, { rsa: s3ecKeys.otherRsa.privateKey }];
  const cases = [
    { name: "AES to AES", from: "aes", newKeyring: newAes, key: aes },
    { name: "RSA to RSA", from: "rsa", newKeyring: newRsa, key: rsa },
    {
      name: "AES to RSA, custom suffix",
      from: "aes",
      newKeyring: newRsa,
      key: rsa,
      suffix: ".instruction-rsa",
    },
    { name: "AES to RSA, default suffix", from: "aes", newKeyring: newRsa, key: rsa },
    { name: "RSA to AES, default suffix", from: "rsa", newKeyring: newAes, key: aes },
  ] as const;
  for (const { name, from, newKeyring, key, ...more } of cases) {
    row(32, `ReEncrypt ${name}`, async () => {
      const suffix = "suffix" in more ? more.suffix : undefined;
      for (const options of [{}, gcmWriter]) {
        await put("32", plaintext, from, { ...options, ...fileWriter });
        const before = await local.getRaw("32");
        const writer = new LegacyWriter({
          s3: local.s3,
          keyring: keyringOf(from),
          ...options,
          ...fileWriter,
        });
        const rotation = { Bucket, Key: "32", newKeyring, enforceRotation: true };
        await writer.reEncryptInstructionFile({ ...rotation, instructionFileSuffix: suffix });
        expect(await local.getRaw("32")).toEqual(before);
        const input = suffix === undefined ? {} : { instructionFileSuffix: suffix };
        await expectRead(plaintext, "32", { ...policies.FEAD, keyring: newKeyring }, input);
        expectBytes(await readS3ec(await stored(local, "32", suffix), key), plaintext);
        // The old key opens only the old file, which another suffix leaves in place.
        const old = { ...policies.FEAD, keyring: keyringOf(from) };
        if (suffix !== undefined) await expectRead(plaintext, "32", old);
        else expect(await errorOf(() => read("32", old))).toMatchObject({ name: "EnvelopeError" });
      }
    });
  }
});

row(33, "KeyCommitmentPolicyEncryptFailure, at construction", async () => {
  const keyring = legacyAesKeyring({ wrappingKey: kek });
  const [v2, v3] = [gcmWriter.encryptionAlgorithm, "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY"] as const;
  local.operations();
  for (const [policy, encryptionAlgorithm] of [
    [policies.REAC, v2],
    [policies.RERD, v2],
    [{}, v2],
    [policies.FEAD, v3],
    [policies.FEAD, undefined],
  ] as const) {
    const make = () => new LegacyWriter({ s3: local.s3, keyring, ...policy, encryptionAlgorithm });
    expect(make).toThrow(RangeError);
    expect(make).toThrow("options.encryptionAlgorithm");
  }
  // A reader, which has no algorithm to write with, accepts every policy.
  for (const policy of Object.values(policies)) legacyReading({ keyring, ...policy });
  expect(local.operations()).toEqual([]);
});

describe("extra security tests that go through S3", () => {
  const options = { ...policies.FEAD, ...bothFlags };
  // The whole message but the key of the object, which the caller states.
  const whole = async (Key: string, input = {}) => {
    const error = await errorOf(() => read(Key, options, input));
    return JSON.stringify([error.name, error.message, error, String(error.cause)]).replaceAll(Key, "key");
  };

  it("[P] CBC with a wrong key, modified, or truncated: identical error", async () => {
    await putForeign("cbc", plaintext, javaCbcRsa);
    const { bytes, metadata } = await local.getRaw("cbc");
    const key = { key: createPublicKey(rsaPrivateKey), padding: constants.RSA_PKCS1_PADDING };
    const other = publicEncrypt(key, testBytes(32, 99)).toString("base64");
    const changed = Buffer.from(bytes);
    changed[bytes.length - 17] = (changed[bytes.length - 17] ?? 0) ^ 0x80;
    await local.putRaw("cbc-key", bytes, { ...metadata, "x-amz-key": other });
    await local.putRaw("cbc-changed", changed, metadata);
    await local.putRaw("cbc-cut", bytes.subarray(0, -16), metadata);
    for (const input of [{}, { Range: "bytes=-5" }]) {
      const expected = await whole("cbc-key", input);
      expect(expected).toContain("DECRYPTION_FAILED");
      expect(await whole("cbc-changed", input)).toBe(expected);
      expect(await whole("cbc-cut", input)).toBe(expected);
    }
  });

  it("[P] CBC truncated within a block is refused by its size, which is public", async () => {
    await putForeign("cbc", plaintext, javaCbcRsa);
    const { bytes, metadata } = await local.getRaw("cbc");
    await local.putRaw("cbc-cut", bytes.subarray(0, -5), metadata);
    await expectRefused("BODY_TRUNCATED", "cbc-cut", options);
  });

  it("[J] NEGATIVE: V2 with an instruction file whose data key belongs to another object", async () => {
    for (const writer of [gcmWriter, {}]) {
      await put("negative", plaintext, "aes", { ...writer, ...fileWriter });
      await put("other", plaintext, "aes", { ...writer, ...fileWriter });
      const { instructions = "" } = await stored(local, "other");
      const { "x-amz-key-v2": v2, "x-amz-3": v3 } = JSON.parse(instructions) as Fields;
      const file = (fields: Fields) => ({
        ...fields,
        ...(v2 ? { "x-amz-key-v2": v2 } : { "x-amz-3": v3 ?? "" }),
      });
      await copy("negative", "negative-bad", { file });
      expect(await whole("negative-bad")).toContain("DECRYPTION_FAILED");
      // The commitment reveals it in a range of V3; in a range of V2 nothing does.
      const range = () => read("negative-bad", options, { Range: "bytes=0-9" });
      if (v3) expect(await errorOf(range)).toMatchObject({ code: "DECRYPTION_FAILED" });
      else expect(await range()).not.toEqual(plaintext.subarray(0, 10));
    }
  });
});

it("all rows, 1 to 33, have a test", () => {
  expect(rowsWithTests()).toEqual(Array.from({ length: 33 }, (_, index) => index + 1));
});
