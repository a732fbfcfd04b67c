import { createPrivateKey, createSecretKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { decodeOaep, decodePkcs1, type OaepHashes } from "../../../src/keys/rsa/decode.js";
import { rawDecrypt } from "../../../src/keys/rsa/private-key.js";
import { type LegacyKeyring, legacyAesKeyring, legacyRsaKeyring } from "../../../src/legacy.js";
import { hkdfSha512 } from "../../../src/s3ec/commitment.js";
import { openContent, openContentRange, sealContent } from "../../../src/s3ec/content/content.js";
import { sealContentKeys } from "../../../src/s3ec/content/content-keys.js";
import { cbcSuite, gcmSuite, type WrapAlgorithm, wraps } from "../../../src/s3ec/suites.js";
import { collect, cut } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { readVectors } from "../../support/foreign-vectors.js";
import { contentKeys } from "../../support/legacy.js";

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly result: "valid" | "invalid" | "acceptable";
  readonly flags: readonly string[];
  readonly msg: string;
  readonly ct: string;
}

const hex = (text: string) => Buffer.from(text, "hex");
const allFail = coded("DECRYPTION_FAILED");

/** Runs a test over all vectors of a file, each with its group. */
function vectorsOf<V, G = unknown>(
  file: string,
  atLeast: number,
  test: (vector: V, group: G) => Promise<void> | void,
): void {
  const content = readVectors<{ numberOfTests: number; testGroups: (G & { tests: (V & Vector)[] })[] }>(file);
  describe.skipIf(!content)(file, () => {
    const vectors = content?.testGroups.flatMap((group) => group.tests.map((vector) => ({ vector, group })));
    it("every vector of the file is read", () => {
      expect(vectors?.length).toBe(content?.numberOfTests);
      expect(vectors?.length).toBeGreaterThanOrEqual(atLeast);
    });
    for (const { vector, group } of vectors ?? []) {
      it(`${vector.tcId}: ${vector.comment} (${vector.result})`, () => test(vector, group));
    }
  });
}

interface RsaGroup {
  readonly privateKeyPkcs8: string;
}

const keyOf = ({ privateKeyPkcs8 }: RsaGroup) =>
  createPrivateKey({ key: hex(privateKeyPkcs8), format: "der", type: "pkcs8" });
const unwrap = async (keyring: LegacyKeyring, wrap: WrapAlgorithm, wrapped: string, contentName = "") =>
  Buffer.from(await keyring.unwrapDataKey({ wrap, wrappedKey: hex(wrapped), contentName, description: {} }));
/** Whether a message can be a data key. */
const isKey = (message: string) => [16, 24, 32].includes(message.length / 2);

vectorsOf<Vector, RsaGroup>("rsa_pkcs1_2048_test.json", 67, async (v, group) => {
  const key = keyOf(group);
  const keyring = legacyRsaKeyring({ privateKey: key });
  if (v.flags.includes("InvalidCiphertextFormat")) {
    expect(await errorOf(() => rawDecrypt(key, hex(v.ct)))).toEqual(allFail);
    expect(await errorOf(() => unwrap(keyring, wraps.rsaPkcs1, v.ct))).toEqual(allFail);
    return;
  }
  const allLengths = Array.from({ length: 256 - 11 + 1 }, (_, length) => length);
  const { isValid, length, bytes } = decodePkcs1(rawDecrypt(key, hex(v.ct)), allLengths);
  expect(isValid).toBe(v.result === "valid" ? -1 : 0);
  expect(bytes.subarray(0, length).toString("hex")).toBe(v.result === "valid" ? v.msg : "");

  // Every ciphertext gives a data key, and always the same.
  const dataKey = await unwrap(keyring, wraps.rsaPkcs1, v.ct);
  expect([16, 24, 32]).toContain(dataKey.length);
  expect(await unwrap(keyring, wraps.rsaPkcs1, v.ct)).toEqual(dataKey);
  expect(dataKey.toString("hex") === v.msg).toBe(v.result === "valid" && isKey(v.msg));
});

function oaepVectors(file: string, hashes: OaepHashes, count: number): void {
  vectorsOf<Vector & { label: string }, RsaGroup>(file, count, async (v, group) => {
    const key = keyOf(group);
    const hashBytes = hashes.label === "sha1" ? 20 : 32;
    const allLengths = Array.from({ length: 256 - 2 * hashBytes - 1 }, (_, length) => length);
    const decode = () => decodeOaep(rawDecrypt(key, hex(v.ct)), hashes, allLengths, hex(v.label));
    if (v.flags.includes("InvalidCiphertext") && hex(v.ct).length !== 256) {
      expect(await errorOf(decode)).toEqual(allFail);
    } else if (v.result === "valid") {
      const { isValid, length, bytes } = decode();
      expect(isValid).toBe(-1);
      expect(bytes.subarray(0, length).toString("hex")).toBe(v.msg);
    } else {
      // A number that is not below the modulus fails before the padding is decoded.
      let isValid = 0;
      try {
        isValid = decode().isValid;
      } catch (error) {
        expect(error).toEqual(allFail);
      }
      expect(isValid).toBe(0);
    }

    const wrap = hashes.label === "sha1" ? wraps.rsaOaepSha1 : wraps.rsaOaepSha256;
    const unwrapped = () => unwrap(legacyRsaKeyring({ privateKey: key }), wrap, v.ct, "115");
    if (wrap === wraps.rsaOaepSha256 && v.result === "valid" && v.label === "" && isKey(v.msg)) {
      expect((await unwrapped()).toString("hex")).toBe(v.msg);
    } else {
      expect(await errorOf(unwrapped)).toEqual(allFail);
    }
  });
}
oaepVectors("rsa_oaep_2048_sha1_mgf1sha1_test.json", { label: "sha1", mask: "sha1" }, 36);
oaepVectors("rsa_oaep_2048_sha256_mgf1sha1_test.json", { label: "sha256", mask: "sha1" }, 30);
oaepVectors("rsa_oaep_2048_sha256_mgf1sha256_test.json", { label: "sha256", mask: "sha256" }, 30);

vectorsOf<Vector & { key: string }>("aes_wrap_test.json", 165, async (v) => {
  const unwrapped = () => unwrap(legacyAesKeyring({ wrappingKey: hex(v.key) }), wraps.aesWrap, v.ct);
  if (v.result === "valid") expect((await unwrapped()).toString("hex")).toBe(v.msg);
  else expect(await errorOf(unwrapped)).toEqual(allFail);
});

vectorsOf<Vector & { key: string; iv: string }>("aes_cbc_pkcs5_test.json", 216, async (v) => {
  const keys = contentKeys(cbcSuite, hex(v.key), hex(v.iv));
  for (const length of [1, 5, 16, 1000]) {
    const opened = () => collect(openContent(cut(hex(v.ct), length), keys));
    if (v.result === "valid") expect((await opened()).toString("hex")).toBe(v.msg);
    else expect(await errorOf(opened)).toEqual(allFail);
  }
});

type GcmVector = Vector & { key: string; iv: string; aad: string; tag: string };
vectorsOf<GcmVector, { ivSize: number }>("aes_gcm_test.json", 316, async (v, { ivSize }) => {
  const keys = contentKeys(gcmSuite, hex(v.key), hex(v.iv), hex(v.aad));
  const body = hex(v.ct + v.tag);
  // OpenSSL accepts no IV of this length; in these formats all have 96 bits.
  if (ivSize === 0 || ivSize > 1024) {
    expect(() => openContent([body], keys)).toThrow();
    return;
  }
  for (const length of [1, 5, 16, 1000]) {
    for (const bodyBytes of [undefined, body.length]) {
      const opened = () => collect(openContent(cut(body, length), keys, bodyBytes));
      if (v.result === "valid") expect((await opened()).toString("hex")).toBe(v.msg);
      else expect(await errorOf(opened)).toEqual(allFail);
    }
  }
  if (v.result === "invalid" || ivSize !== 96) return;
  const range = { firstBlock: 0, holdsLastBlock: true };
  expect((await collect(openContentRange([hex(v.ct)], keys, range))).toString("hex")).toBe(v.msg);
  if (v.aad !== "" || v.key.length !== 64 || /^0+$/.test(v.iv)) return;
  const { keys: sealing } = sealContentKeys(gcmSuite, hex(v.key), hex(v.iv));
  expect(await collect(sealContent(cut(hex(v.msg), 5), sealing))).toEqual(body);
});

type HkdfVector = Vector & { ikm: string; salt: string; info: string; size: number; okm: string };
vectorsOf<HkdfVector>("hkdf_sha512_test.json", 83, (v) => {
  const derive = () =>
    hkdfSha512(createSecretKey(hex(v.ikm)), hex(v.salt), hex(v.info), v.size).toString("hex");
  if (v.result === "valid") expect(derive()).toBe(v.okm);
  else expect(derive).toThrow();
});
