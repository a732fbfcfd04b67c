import { createSecretKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { legacyAesKeyring } from "../../src/legacy.js";
import { commitmentOf, committedContentKey } from "../../src/s3ec/commitment.js";
import { openContent, openContentRange, sealContent } from "../../src/s3ec/content/content.js";
import { openContentKeys, sealContentKeys } from "../../src/s3ec/content/content-keys.js";
import type { LegacyEnvelope } from "../../src/s3ec/envelope.js";
import { committingSuite, gcmSuite, wraps } from "../../src/s3ec/suites.js";
import { collect, cut } from "../support/bytes.js";

// Made with Node's HKDF and GCM, and again with Python's cryptography 48.
const hex = (text: string) => Buffer.from(text, "hex");
const dataKey = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
const messageId = Buffer.from(Array.from({ length: 28 }, (_, index) => 0x80 + index));
const commitment = Buffer.from("AjPGAHJfJ9efJlXShypyoBHbx3VTZSX54atWkw==", "base64");
const contentKey = hex("ebab6976d247032b19b3b89e9715a1449cf0ebe5691c6c876966cbe1ee95dee1");
const plaintext = Buffer.from("The quick brown fox jumps over the lazy dog. 0123456789");
const bodyV3 = hex(
  "efc1b2af84d9a6595649a80d5ea0187e844af9ea878988179328be009edc2c2c918eb8057dfbff3aae660fd52e759ebd9d401c709bc3bc3b17d9088f0871cc0592bc15e8eb0e33",
);
const emptyV3 = hex("eb46d75ac000bb8832c26035ab072893");
const ivV2 = Buffer.alloc(12, 0x55);
const bodyV2 = hex(
  "01b4eabcc8c516be6c914fae9d379e95e860d2d5ccb0a836bd14c4c547db800cd81e54606f79a2c31a8517a65e70551f20fb408e8724eec622d19925d9b8d7791c9b8c1e774a7a",
);

const base = { wrap: undefined, wrappedKey: Buffer.alloc(0), description: {}, storage: "metadata" } as const;
const v3: LegacyEnvelope = {
  ...base,
  format: "V3",
  suite: committingSuite,
  iv: messageId,
  commitment,
  contentName: "115",
};
const v2: LegacyEnvelope = {
  ...base,
  format: "V2",
  suite: gcmSuite,
  iv: ivV2,
  commitment: undefined,
  contentName: "AES/GCM/NoPadding",
};

describe("the committing suite", () => {
  it("the committing suite derives the commitment and the content key of the vectors", () => {
    const key = createSecretKey(dataKey);
    expect(commitmentOf(key, messageId)).toEqual(commitment);
    expect(commitment.toString("hex")).toBe("0233c600725f27d79f2655d2872a72a011dbc775536525f9e1ab5693");
    expect(committedContentKey(key, messageId).export()).toEqual(contentKey);
    expect(messageId.toString("base64")).toBe("gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmamw==");
  });

  it("the committing suite uses the derived key and a nonce of ones, never zeros", () => {
    const keys = openContentKeys(v3, dataKey);
    expect(keys.key.export()).toEqual(contentKey);
    expect(keys.iv.toString("hex")).toBe("01".repeat(12));
    expect(keys.aad?.toString("hex")).toBe("0073");
  });
});

describe.each<[string, LegacyEnvelope, Buffer, Buffer]>([
  ["V3", v3, plaintext, bodyV3],
  ["V3 of nothing", v3, Buffer.alloc(0), emptyV3],
  ["V2", v2, plaintext, bodyV2],
])("content of %s", (_, envelope, clear, body) => {
  it.each<[string, number[]]>([
    ["whole", []],
    ["in pieces", [7]],
    ["byte by byte", [1]],
  ])("content of a vector opens %s, with and without a known length", async (_name, lengths) => {
    for (const bodyBytes of [undefined, body.length]) {
      const opened = openContent(cut(body, ...lengths), openContentKeys(envelope, dataKey), bodyBytes);
      expect(await collect(opened)).toEqual(clear);
    }
  });

  it.each([[[]], [[7]], [[1]]])("content of a vector is sealed in pieces of %j", async (lengths) => {
    const { keys, iv, commitment: made } = sealContentKeys(envelope.suite, dataKey, envelope.iv);
    expect(iv).toEqual(envelope.iv);
    expect(made).toEqual(envelope.commitment);
    expect(await collect(sealContent(cut(clear, ...lengths), keys))).toEqual(body);
  });

  it("content of a vector opens from its second block on", async () => {
    const range = { firstBlock: 1, holdsLastBlock: true };
    const opened = openContentRange([body.subarray(16, -16)], openContentKeys(envelope, dataKey), range);
    expect(await collect(opened)).toEqual(clear.subarray(16));
  });
});

describe("wraps of AES", () => {
  const nonceAndKey = `${"24".repeat(12)}1590c642edc3c0392ee128a1b13f9da97cea2163a2be467aa8bdd6414ad8f90c`;
  it.each([
    ["AES/GCM, 115", wraps.aesGcm, "115", `${nonceAndKey}c37b550f858159c39dcc8eb3660e83ad`],
    [
      "AES/GCM, AES/GCM/NoPadding",
      wraps.aesGcm,
      "AES/GCM/NoPadding",
      `${nonceAndKey}e3eca409714b4de9155b51584d122c15`,
    ],
    [
      "AESWrap",
      wraps.aesWrap,
      "AES/GCM/NoPadding",
      "2ba58533e54f79b993b626ec7233ad4291924d6e52ad8e0b3056a31e850dddd13a133bf6926842eb",
    ],
    [
      "AES (ECB)",
      wraps.aesEcb,
      "",
      "c9528ec420a9fd241307b37f43a891e14505095d319c8907e956dfcbb6f615bf759384451cb402be0874c5dbca643f9e",
    ],
  ])("%s", async (_, wrap, contentName, wrapped) => {
    const keyring = legacyAesKeyring({ wrappingKey: Buffer.alloc(32, 0x42) });
    const input = { wrap, wrappedKey: hex(wrapped), contentName, description: {} };
    expect(await keyring.unwrapDataKey(input)).toEqual(dataKey);
  });
});
