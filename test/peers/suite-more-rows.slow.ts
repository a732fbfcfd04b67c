/** Rows 30 to 33 of the public suite (section 8 of the reference) against this library's server. */
import { generateKeyPairSync } from "node:crypto";
import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { testBytes } from "../support/bytes.js";
import { Bucket } from "../support/local.js";
import { aes, body, inFile, refused, rsa, rsaMaterial, type Settings, useSuite, v2 } from "./suite.js";

const suite = useSuite();
const { local, materials, put, get, change } = suite;
const ranges: Settings = { enableLegacyUnauthenticatedModes: true };

function flipped(base64 = ""): string {
  const bytes = Buffer.from(base64, "base64");
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return bytes.toString("base64");
}

describe("rows 30 and 31: ranges", () => {
  const shapes = [
    ["V2", v2],
    ["V3", {}],
    ["V3 with a file", inFile],
  ] as const;

  test.each(shapes)("of %s", async (_, settings) => {
    await put(materials().KMS, settings);
    for (const [range, start, end] of [
      ["bytes=0-9", 0, 10],
      ["bytes=100-116", 100, 117],
      ["bytes=295-299", 295, 300],
      ["bytes=0-299", 0, 300],
      ["bytes=10-1000", 10, 300],
    ] as const) {
      const got = await get(materials().KMS, { ...settings, ...ranges }, { range });
      expect(got).toEqual(body.subarray(start, end));
    }
    const message = "Enable legacy unauthenticated modes to use Ranged Get.";
    const without = get(materials().KMS, settings, { range: "bytes=0-9" });
    await expect(without).rejects.toMatchObject({ ...refused, message });
  });

  const edits: [string, (metadata: Record<string, string>) => void][] = [
    ["c flipped", (metadata) => Object.assign(metadata, { "x-amz-c": "114" })],
    ["d flipped", (metadata) => Object.assign(metadata, { "x-amz-d": flipped(metadata["x-amz-d"]) })],
    ["i flipped", (metadata) => Object.assign(metadata, { "x-amz-i": flipped(metadata["x-amz-i"]) })],
    [
      "d of 20 bytes",
      (metadata) => Object.assign(metadata, { "x-amz-d": testBytes(20, 1).toString("base64") }),
    ],
    [
      "d of 40 bytes",
      (metadata) => Object.assign(metadata, { "x-amz-d": testBytes(40, 1).toString("base64") }),
    ],
  ];
  test.each(edits)("%s", async (_, edit) => {
    for (const settings of [{}, inFile]) {
      await put(materials().KMS, settings);
      await change("k", ({ metadata }) => edit(metadata));
      for (const options of [{}, { range: "bytes=0-9" }]) {
        await expect(get(materials().KMS, ranges, options)).rejects.toMatchObject(refused);
      }
    }
  });
});

describe("row 32: new wraps", () => {
  const turn = { materialsDescription: { turn: "2" } };
  const nextAes = { aesKey: testBytes(32, 10).toString("base64"), ...turn };
  const nextRsa = { ...rsaMaterial(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey), ...turn };

  test.each([
    ["AES to AES", aes, nextAes, undefined],
    ["RSA to RSA", rsa, nextRsa, undefined],
    ["AES to RSA", aes, nextRsa, undefined],
    ["RSA to AES", rsa, nextAes, undefined],
    ["AES to RSA with a suffix", aes, nextRsa, "instruction-rsa"],
  ] as const)("%s", async (_, old, next, suffix) => {
    for (const settings of [inFile, { ...v2, ...inFile }]) {
      await put(old, settings);
      const before = await local.s3.send(new HeadObjectCommand({ Bucket, Key: "k" }));
      const id = await suite.client.createClient({ keyMaterial: old, ...settings });
      const named = suffix === undefined ? {} : { instructionFileSuffix: suffix };
      await suite.client.reencrypt(id, Bucket, "k", { keyMaterial: next, enforceRotation: true, ...named });
      const options = suffix === undefined ? {} : { instructionFileSuffix: `.${suffix}` };
      expect(await get(next, settings, options)).toEqual(body);
      if (suffix === undefined) await expect(get(old, settings)).rejects.toMatchObject(refused);
      else expect(await get(old, settings)).toEqual(body);
      const after = await local.s3.send(new HeadObjectCommand({ Bucket, Key: "k" }));
      expect(after.ETag).toBe(before.ETag);
    }
  });
});

test.each([
  ["REQUIRE_ENCRYPT_ALLOW_DECRYPT", "ALG_AES_256_GCM_IV12_TAG16_NO_KDF"],
  ["REQUIRE_ENCRYPT_REQUIRE_DECRYPT", "ALG_AES_256_GCM_IV12_TAG16_NO_KDF"],
  ["FORBID_ENCRYPT_ALLOW_DECRYPT", "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY"],
  ["FORBID_ENCRYPT_ALLOW_DECRYPT", undefined],
  ["REQUIRE_ENCRYPT_ALLOW_DECRYPT", "ALG_AES_256_CBC_IV16_NO_KDF"],
] as const)("row 33: %s with %s is no client", async (commitmentPolicy, encryptionAlgorithm) => {
  const algorithm = encryptionAlgorithm === undefined ? {} : { encryptionAlgorithm };
  const made = suite.client.createClient({ keyMaterial: aes, commitmentPolicy, ...algorithm });
  await expect(made).rejects.toMatchObject(refused);
});
