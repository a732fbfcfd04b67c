import { createCipheriv, createSecretKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { commitmentOf } from "../../../src/s3ec/commitment.js";
import { openContent, sealContent } from "../../../src/s3ec/content/content.js";
import { openContentKeys, sealContentKeys } from "../../../src/s3ec/content/content-keys.js";
import { cbcSuite, committingSuite, gcmSuite } from "../../../src/s3ec/suites.js";
import { collect, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { legacyEnvelope } from "../../support/legacy.js";

const dataKey = testBytes(32, 1);
const { iv, commitment } = sealContentKeys(committingSuite, dataKey);
const v3 = legacyEnvelope({ suite: committingSuite, iv, commitment });
const failed = coded("DECRYPTION_FAILED");

describe("openContentKeys", () => {
  it("openContentKeys accepts only data keys of the suite's lengths", async () => {
    for (let length = 0; length <= 33; length++) {
      const key = testBytes(length, 2);
      for (const suite of [cbcSuite, gcmSuite]) {
        const open = () => openContentKeys(legacyEnvelope({ suite }), key);
        if ([16, 24, 32].includes(length)) expect(open().key.export()).toEqual(key);
        else expect(await errorOf(open)).toEqual(failed);
      }
      if (length !== 32) expect(await errorOf(() => openContentKeys(v3, key))).toEqual(failed);
    }
  });

  it("openContentKeys copies the data key, which stays the caller's", () => {
    const mine = Buffer.from(dataKey);
    const { key } = openContentKeys(legacyEnvelope({}), mine);
    expect(mine).toEqual(dataKey);
    mine.fill(0);
    expect(key.export()).toEqual(dataKey);
  });

  it("openContentKeys refuses every other commitment, message id or data key of V3", async () => {
    for (const field of ["commitment", "iv"] as const) {
      for (let offset = 0; offset < 28; offset++) {
        const forged = Buffer.from(v3[field] ?? []);
        forged[offset] = (forged[offset] ?? 0) ^ 0x80;
        const error = await errorOf(() => openContentKeys({ ...v3, [field]: forged }, dataKey));
        expect(error).toEqual(failed);
      }
    }
    expect(await errorOf(() => openContentKeys(v3, testBytes(32, 2)))).toEqual(failed);
  });

  it.each([
    ["no commitment", { commitment: undefined }],
    ["an empty commitment", { commitment: Buffer.alloc(0) }],
    ["a commitment of 20 bytes", { commitment: commitment?.subarray(0, 20) }],
    ["a commitment of 40 bytes", { commitment: Buffer.concat([commitment ?? iv, Buffer.alloc(12)]) }],
    ["a message id of 27 bytes", { iv: iv.subarray(1) }],
    ["no message id", { iv: Buffer.alloc(0) }],
  ])("openContentKeys refuses %s", async (_, change) => {
    expect(await errorOf(() => openContentKeys({ ...v3, ...change }, dataKey))).toEqual(failed);
  });

  it("openContentKeys refuses a message id of zeros, even with the matching commitment", async () => {
    const zeros = Buffer.alloc(28);
    const belongs = commitmentOf(createSecretKey(dataKey), zeros);
    const envelope = { ...v3, iv: zeros, commitment: belongs };
    expect(await errorOf(() => openContentKeys(envelope, dataKey))).toEqual(failed);
  });

  it.each([
    ["AES/GCM", gcmSuite, 12],
    ["AES/CBC", cbcSuite, 16],
  ])("openContentKeys refuses an IV of another length for %s", async (_, suite, right) => {
    for (const length of [0, 1, right - 1, right + 1, 28]) {
      const envelope = legacyEnvelope({ suite, iv: testBytes(length) });
      expect(await errorOf(() => openContentKeys(envelope, dataKey))).toEqual(failed);
    }
  });

  it("openContentKeys has one message for all failures", async () => {
    const messages = [
      await errorOf(() => openContentKeys(v3, testBytes(16))),
      await errorOf(() => openContentKeys(v3, testBytes(32, 2))),
      await errorOf(() => openContentKeys({ ...v3, commitment: undefined }, dataKey)),
    ].map(({ message }) => message);
    expect(new Set(messages).size).toBe(1);
  });

  it("contentAad applies to V2 with AES/GCM only", () => {
    const aad = Buffer.from("extra");
    const aadOf = (envelope: Parameters<typeof openContentKeys>[0], given?: Buffer) =>
      openContentKeys(envelope, dataKey, given).aad?.toString("latin1");
    expect(aadOf(legacyEnvelope({}), aad)).toBe("extra");
    expect(aadOf(legacyEnvelope({}))).toBe(undefined);
    expect(aadOf(legacyEnvelope({}), Buffer.alloc(0))).toBe(undefined);
    expect(aadOf(legacyEnvelope({ suite: cbcSuite }), aad)).toBe(undefined);
    expect(aadOf(v3, aad)).toBe("\0s");
  });

  it("contentAad is authenticated", async () => {
    const keys = openContentKeys(legacyEnvelope({}), dataKey, Buffer.from("extra"));
    const cipher = createCipheriv("aes-256-gcm", dataKey, keys.iv).setAAD(Buffer.from("extra"));
    const body = Buffer.concat([cipher.update("text"), cipher.final(), cipher.getAuthTag()]);
    expect((await collect(openContent([body], keys))).toString()).toBe("text");
    const without = openContentKeys(legacyEnvelope({}), dataKey);
    expect(await errorOf(() => collect(openContent([body], without)))).toEqual(failed);
  });
});

describe("sealContentKeys", () => {
  it("sealContentKeys generates another IV or message id each time", () => {
    for (const suite of [gcmSuite, committingSuite]) {
      const made = Array.from({ length: 50 }, () => sealContentKeys(suite, dataKey));
      expect(new Set(made.map((one) => one.iv.toString("hex"))).size).toBe(50);
      for (const one of made) expect(one.iv.length).toBe(suite.ivBytes);
    }
  });

  it("openContentKeys accepts what sealContentKeys returns", async () => {
    for (const suite of [gcmSuite, committingSuite]) {
      const made = sealContentKeys(suite, dataKey);
      const body = await collect(sealContent([Buffer.from("text")], made.keys));
      const keys = openContentKeys(legacyEnvelope({ suite, ...made }), dataKey);
      expect((await collect(openContent([body], keys))).toString()).toBe("text");
    }
  });

  it.each([
    ["suite: expected one that authenticates, got AES/CBC", cbcSuite, dataKey, undefined],
    ["dataKey: expected 32 bytes, got 16", gcmSuite, testBytes(16), undefined],
    ["iv: expected fresh random bytes", gcmSuite, dataKey, Buffer.alloc(12)],
    ["iv: expected fresh random bytes", committingSuite, dataKey, Buffer.alloc(28)],
    ["iv: expected fresh random bytes", committingSuite, dataKey, testBytes(12)],
  ])("sealContentKeys refuses: %s", (message, suite, key, given) => {
    expect(() => sealContentKeys(suite, key, given)).toThrow(new RangeError(message));
  });
});
