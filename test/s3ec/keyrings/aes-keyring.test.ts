import { createCipheriv, createSecretKey } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { legacyAesKeyring } from "../../../src/legacy.js";
import { type WrapAlgorithm, wraps } from "../../../src/s3ec/suites.js";
import { testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";

const sizes = [16, 24, 32];
const contentName = "AES/GCM/NoPadding";
const none = { contentName, description: {} };

/** Wraps like the clients, with node:crypto. */
function wrapBy(wrap: WrapAlgorithm, key: Uint8Array, dataKey: Uint8Array): Buffer {
  const bits = (key.length * 8) as 256;
  const cipher =
    wrap === wraps.aesWrap
      ? createCipheriv(`id-aes${bits}-wrap`, key, Buffer.alloc(8, 0xa6))
      : createCipheriv(`aes-${bits}-ecb`, key, null);
  return Buffer.concat([cipher.update(dataKey), cipher.final()]);
}

describe.each(sizes)("legacyAesKeyring with a key of %i bytes", (size) => {
  const wrappingKey = testBytes(size, 5);
  const keyring = legacyAesKeyring({ wrappingKey, materialsDescription: { key: "a" } });

  it("legacyAesKeyring unwraps its own wrapped keys, for the same content algorithm only", async () => {
    const made = await keyring.generateDataKey({ contentName, encryptionContext: {} });
    const plaintext = Buffer.from(made.plaintext);
    expect(made).toMatchObject({ wrap: wraps.aesGcm, description: { key: "a" } });
    expect([made.plaintext.length, made.wrappedKey.length]).toEqual([32, 60]);
    expect(await keyring.unwrapDataKey({ ...made, contentName })).toEqual(plaintext);
    expect(await errorOf(() => keyring.unwrapDataKey({ ...made, contentName: "115" }))).toEqual(
      coded("DECRYPTION_FAILED"),
    );
  });

  it.each([wraps.aesEcb, wraps.aesWrap])("legacyAesKeyring unwraps $name", async (wrap) => {
    for (const length of sizes) {
      const dataKey = testBytes(length, 6);
      const wrappedKey = wrapBy(wrap, wrappingKey, dataKey);
      expect(await keyring.unwrapDataKey({ wrap, wrappedKey, ...none })).toEqual(dataKey);
    }
  });
});

const wrappingKey = testBytes(32, 5);
const keyring = legacyAesKeyring({ wrappingKey });

describe("legacyAesKeyring", () => {
  it("legacyAesKeyring generates another data key and another nonce each time", async () => {
    const made = [];
    for (let index = 0; index < 50; index++) {
      made.push(await keyring.generateDataKey({ contentName, encryptionContext: {} }));
    }
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
    expect(new Set(made.map(({ plaintext }) => hex(plaintext))).size).toBe(50);
    expect(new Set(made.map(({ wrappedKey }) => hex(wrappedKey.subarray(0, 12)))).size).toBe(50);
  });

  it("legacyAesKeyring wraps an existing data key", async () => {
    for (const length of sizes) {
      const dataKey = testBytes(length, 7);
      const wrapped = await keyring.wrapDataKey?.(dataKey, { contentName });
      expect(wrapped?.plaintext).toBe(dataKey);
      expect(await keyring.unwrapDataKey({ ...none, ...(wrapped as NonNullable<typeof wrapped>) })).toEqual(
        dataKey,
      );
    }
    const error = await errorOf(() => keyring.wrapDataKey?.(testBytes(31), { contentName }));
    expect(error).toEqual(new RangeError("plaintext: expected 16, 24 or 32 bytes, got 31"));
  });

  it("legacyAesKeyring has one error for everything that is wrong with a wrapped key", async () => {
    const { wrappedKey } = await keyring.generateDataKey({ contentName, encryptionContext: {} });
    const good = new Map<WrapAlgorithm, Uint8Array>([
      [wraps.aesGcm, wrappedKey],
      [wraps.aesWrap, wrapBy(wraps.aesWrap, wrappingKey, testBytes(32))],
    ]);
    const errors: Error[] = [];
    for (const [wrap, bytes] of good) {
      for (let offset = 0; offset < bytes.length; offset++) {
        const forged = Buffer.from(bytes);
        forged[offset] = (forged[offset] ?? 0) ^ (1 << (offset % 8));
        errors.push(await errorOf(() => keyring.unwrapDataKey({ wrap, wrappedKey: forged, ...none })));
      }
    }
    for (const wrap of [wraps.aesGcm, wraps.aesWrap, wraps.aesEcb]) {
      for (const length of [0, 1, 8, 15, 27, 28, 40, 47, 49, 60, 300]) {
        const wrappedKey = testBytes(length, 8);
        errors.push(await errorOf(() => keyring.unwrapDataKey({ wrap, wrappedKey, ...none })));
      }
      const other = legacyAesKeyring({ wrappingKey: testBytes(32, 9) });
      const wrapped = good.get(wrap) ?? wrapBy(wraps.aesEcb, wrappingKey, testBytes(32));
      errors.push(await errorOf(() => other.unwrapDataKey({ wrap, wrappedKey: wrapped, ...none })));
    }
    for (const error of errors) {
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
      expect(error.message).toBe(errors[0]?.message);
      expect("cause" in error).toBe(false);
    }
  });

  it("legacyAesKeyring never takes one wrap for another", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...sizes), async (length) => {
        const dataKey = testBytes(length, 6);
        const wrapped = wrapBy(wraps.aesWrap, wrappingKey, dataKey);
        const { wrappedKey = wrapped } = (await keyring.wrapDataKey?.(dataKey, { contentName })) ?? {};
        for (const [wrap, bytes] of [
          [wraps.aesGcm, wrapped],
          [wraps.aesWrap, wrappedKey],
          [wraps.aesEcb, wrapped.subarray(0, -8)],
        ] as const) {
          const error = await errorOf(() => keyring.unwrapDataKey({ wrap, wrappedKey: bytes, ...none }));
          expect(error).toEqual(coded("DECRYPTION_FAILED"));
        }
      }),
      { numRuns: 3 },
    );
  });

  it("legacyAesKeyring refuses data keys wrapped by another type of key", async () => {
    for (const wrap of [
      wraps.kms,
      wraps.kmsContext,
      wraps.rsaPkcs1,
      wraps.rsaOaepSha1,
      wraps.rsaOaepSha256,
    ]) {
      const error = await errorOf(() =>
        keyring.unwrapDataKey({ wrap, wrappedKey: Buffer.alloc(60), ...none }),
      );
      expect(error).toEqual(coded("KEY_NOT_FOR_OBJECT", { wrap: wrap.name, keyType: "aes" }));
    }
  });

  it("legacyAesKeyring refuses an encryption context", async () => {
    const error = await errorOf(() =>
      keyring.generateDataKey({ contentName, encryptionContext: { a: "b" } }),
    );
    expect(error).toEqual(
      new RangeError("input.encryptionContext: expected none, as only KMS binds it to a data key"),
    );
  });

  it("legacyAesKeyring copies its key", async () => {
    const bytes = Buffer.from(wrappingKey);
    const copying = legacyAesKeyring({ wrappingKey: bytes });
    bytes.fill(0);
    const made = await keyring.generateDataKey({ contentName, encryptionContext: {} });
    expect(await copying.unwrapDataKey({ ...made, contentName })).toEqual(made.plaintext);
    const byObject = legacyAesKeyring({ wrappingKey: createSecretKey(wrappingKey) });
    expect(await byObject.unwrapDataKey({ ...made, contentName })).toEqual(made.plaintext);
  });
});

describe("keys by their material description", () => {
  const [old, older] = [testBytes(16, 1), testBytes(24, 2)];
  const many = legacyAesKeyring({
    wrappingKey,
    materialsDescription: { year: "2026" },
    decryptionKeys: [
      { materialsDescription: { year: "2020", site: "b" }, wrappingKey: old },
      { materialsDescription: {}, wrappingKey: older },
    ],
  });
  const dataKey = testBytes(32, 3);
  const opens = async (description: Record<string, string>, key: Uint8Array) => {
    const wrappedKey = wrapBy(wraps.aesWrap, key, dataKey);
    const input = { wrap: wraps.aesWrap, wrappedKey, contentName, description };
    return many.unwrapDataKey(input).then(
      (plaintext) => dataKey.equals(plaintext),
      () => false,
    );
  };

  it("decryptionKeys of AES are found by equal descriptions; other objects use the default key", async () => {
    expect(await opens({ site: "b", year: "2020" }, old)).toBe(true);
    expect(await opens({}, older)).toBe(true);
    const others: Record<string, string>[] = [
      { year: "2026" },
      { year: "2020" },
      { year: "2020", site: "c" },
      { year: "2020", site: "b", more: "" },
      { year: "2020", toString: "b" },
    ];
    for (const description of others) {
      expect(await opens(description, wrappingKey)).toBe(true);
      expect(await opens(description, old)).toBe(false);
    }
  });

  it("a key found by its description is the only one that is tried", async () => {
    expect(await opens({ year: "2020", site: "b" }, wrappingKey)).toBe(false);
    expect(await opens({}, wrappingKey)).toBe(false);
  });
});

describe("options of legacyAesKeyring", () => {
  const again = { materialsDescription: { a: "1" }, wrappingKey };
  const bytes = "a Uint8Array or a secret KeyObject";
  it.each([
    [undefined, new TypeError("options: expected an object, got undefined")],
    [{}, new TypeError(`options.wrappingKey: expected ${bytes}, got undefined`)],
    [{ wrappingKey: "password" }, new TypeError(`options.wrappingKey: expected ${bytes}, got a string`)],
    [
      { wrappingKey: Buffer.alloc(31) },
      new RangeError("options.wrappingKey: expected 16, 24 or 32 bytes, got 31"),
    ],
    [
      { wrappingKey, materialsDescription: { a: 1 } },
      new TypeError('options.materialsDescription["a"]: expected a string, got the number 1'),
    ],
    [
      { wrappingKey, decryptionKeys: {} },
      new TypeError("options.decryptionKeys: expected an array, got an instance of Object"),
    ],
    [
      { wrappingKey, decryptionKeys: [{ wrappingKey }] },
      new TypeError("options.decryptionKeys[0].materialsDescription: expected an object, got undefined"),
    ],
    [
      { wrappingKey, decryptionKeys: [{ materialsDescription: { a: "1" }, wrappingKey: Buffer.alloc(8) }] },
      new RangeError("options.decryptionKeys[0].wrappingKey: expected 16, 24 or 32 bytes, got 8"),
    ],
    [
      { wrappingKey, decryptionKeys: [again, again] },
      new RangeError("options.decryptionKeys[1].materialsDescription: expected one that no other key has"),
    ],
    [
      { wrappingKey, materialsDescription: { a: "1" }, decryptionKeys: [again] },
      new RangeError("options.decryptionKeys[0].materialsDescription: expected one that no other key has"),
    ],
  ])("legacyAesKeyring refuses wrong options: %#", (options, error) => {
    expect(() => legacyAesKeyring(options as never)).toThrow(error);
  });
});
