import { constants, createHash, generateKeyPairSync, type KeyObject, publicEncrypt } from "node:crypto";
import { describe, expect, it } from "vitest";
import { legacyRsaKeyring } from "../../../src/legacy.js";
import { type WrapAlgorithm, wraps } from "../../../src/s3ec/suites.js";
import { testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";

const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
const otherPair = generateKeyPairSync("rsa", { modulusLength: 2048 });
const keyring = legacyRsaKeyring({ privateKey: pair.privateKey });
const sizes = [16, 24, 32];
const contentName = "115";
const failed = coded("DECRYPTION_FAILED");

const encrypt = (bytes: Uint8Array, padding: number, key: KeyObject = pair.publicKey) =>
  publicEncrypt({ key, padding, oaepHash: "sha1" }, bytes);
/** Encrypts a block as long as the modulus without padding. */
const raw = (encoded: Uint8Array, key?: KeyObject) => encrypt(encoded, constants.RSA_NO_PADDING, key);
const pkcs1 = (bytes: Uint8Array) => encrypt(bytes, constants.RSA_PKCS1_PADDING);
const oaepSha1 = (bytes: Uint8Array) => encrypt(bytes, constants.RSA_PKCS1_OAEP_PADDING);
const unwrap = (wrap: WrapAlgorithm, wrappedKey: Uint8Array, name = contentName) =>
  keyring.unwrapDataKey({ wrap, wrappedKey, contentName: name, description: {} });

/** EME-OAEP with two different hash functions, which Node does not support. */
function oaep(
  message: Uint8Array,
  labelHash: string,
  maskHash: string,
  spoil: (block: Buffer, separator: number) => void = () => undefined,
): Buffer {
  const hash = (name: string, ...parts: Uint8Array[]) =>
    parts.reduce((sum, part) => sum.update(part), createHash(name)).digest();
  const mask = (seed: Uint8Array, length: number) => {
    const blocks = Array.from({ length: Math.ceil(length / 20) }, (_, index) =>
      hash(maskHash, seed, Buffer.of(0, 0, 0, index)),
    );
    return Buffer.concat(blocks, length);
  };
  const xor = (left: Uint8Array, right: Uint8Array) =>
    Buffer.from(left.map((byte, i) => byte ^ (right[i] ?? 0)));
  const label = hash(labelHash);
  const padding = Buffer.alloc(256 - message.length - 2 * label.length - 2);
  const block = Buffer.concat([label, padding, Buffer.of(1), message]);
  spoil(block, label.length + padding.length);
  const seed = testBytes(label.length, 3);
  const maskedBlock = xor(block, mask(seed, block.length));
  return Buffer.concat([Buffer.of(0), xor(seed, mask(maskedBlock, seed.length)), maskedBlock]);
}

describe("legacyRsaKeyring", () => {
  it("legacyRsaKeyring unwraps its own wrapped keys, for the same content algorithm only", async () => {
    for (const name of ["115", "AES/GCM/NoPadding"]) {
      const writer = legacyRsaKeyring({ publicKey: pair.publicKey, materialsDescription: { key: "a" } });
      const made = await writer.generateDataKey({ contentName: name, encryptionContext: {} });
      expect(made).toMatchObject({ wrap: wraps.rsaOaepSha1, description: { key: "a" } });
      expect([made.plaintext.length, made.wrappedKey.length]).toEqual([32, 256]);
      expect(await unwrap(made.wrap, made.wrappedKey, name)).toEqual(made.plaintext);
      expect(await errorOf(() => unwrap(made.wrap, made.wrappedKey, `${name} `))).toEqual(failed);
      expect(await errorOf(() => unwrap(made.wrap, made.wrappedKey, name.slice(1)))).toEqual(failed);
      expect(await errorOf(() => unwrap(made.wrap, made.wrappedKey, ""))).toEqual(failed);
    }
  });

  it("legacyRsaKeyring unwraps data keys of all lengths by all wraps", async () => {
    for (const length of sizes) {
      const dataKey = testBytes(length, 6);
      const named = Buffer.concat([Buffer.of(length), dataKey, Buffer.from(contentName)]);
      expect(await unwrap(wraps.rsaPkcs1, pkcs1(dataKey))).toEqual(dataKey);
      expect(await unwrap(wraps.rsaOaepSha1, oaepSha1(named))).toEqual(dataKey);
      expect(await unwrap(wraps.rsaOaepSha256, raw(oaep(dataKey, "sha256", "sha1")))).toEqual(dataKey);
      expect(await unwrap(wraps.rsaOaepSha256, raw(oaep(dataKey, "sha256", "sha256")))).toEqual(dataKey);
      const wrapped = await keyring.wrapDataKey?.(dataKey, { contentName });
      expect(await unwrap(wraps.rsaOaepSha1, wrapped?.wrappedKey ?? dataKey)).toEqual(dataKey);
    }
  });

  it.each<[string, number[] | Buffer]>([
    ["nothing", []],
    ["only a length", [32]],
    ["a length that is one too small", [31, ...testBytes(32), ...Buffer.from(contentName)]],
    ["a length that is one too large", [33, ...testBytes(32), ...Buffer.from(contentName)]],
    ["a length of another data key", [16, ...testBytes(32), ...Buffer.from(contentName)]],
    ["a length that is not one of a data key", [20, ...testBytes(20), ...Buffer.from(contentName)]],
    ["no length", [...testBytes(32), ...Buffer.from(contentName)]],
    ["the start of the name", [32, ...testBytes(32), ...Buffer.from("11")]],
    ["more than the name", [32, ...testBytes(32), ...Buffer.from("1150")]],
    ["another name", [32, ...testBytes(32), ...Buffer.from("114")]],
    ["no name", [32, ...testBytes(32)]],
    ["a name that takes bytes of the data key", [16, ...testBytes(29), ...Buffer.from(contentName)]],
  ])("legacyRsaKeyring refuses %s in RSA-OAEP-SHA1", async (_, message) => {
    expect(await errorOf(() => unwrap(wraps.rsaOaepSha1, oaepSha1(Buffer.from(message))))).toEqual(failed);
  });

  it("legacyRsaKeyring has one error for everything that is wrong with OAEP", async () => {
    const dataKey = testBytes(32);
    const named = Buffer.from([32, ...dataKey, ...Buffer.from(contentName)]);
    const errors: Error[] = [];
    for (const [wrap, encoded] of [
      [wraps.rsaOaepSha1, oaep(named, "sha1", "sha1")],
      [wraps.rsaOaepSha256, oaep(dataKey, "sha256", "sha1")],
      [wraps.rsaOaepSha256, oaep(dataKey, "sha256", "sha256")],
    ] as const) {
      await unwrap(wrap, raw(encoded));
      for (const offset of [0, 1, 20, 21, 32, 33, 52, 64, 65, 100, 200, 221, 222, 223, 255]) {
        const broken = Buffer.from(encoded);
        broken[offset] = (broken[offset] ?? 0) ^ 1;
        errors.push(await errorOf(() => unwrap(wrap, raw(broken))));
      }
    }
    for (const spoil of [
      (block: Buffer) => block.writeUInt8(block.readUInt8(0) ^ 1, 0),
      (block: Buffer) => block.writeUInt8(1, 32),
      (block: Buffer, separator: number) => block.writeUInt8(0x80, separator - 1),
      (block: Buffer, separator: number) => block.writeUInt8(0, separator),
      (block: Buffer, separator: number) => block.writeUInt8(0xff, separator),
    ]) {
      for (const mask of ["sha1", "sha256"]) {
        const encoded = oaep(dataKey, "sha256", mask, spoil);
        errors.push(await errorOf(() => unwrap(wraps.rsaOaepSha256, raw(encoded))));
      }
      errors.push(await errorOf(() => unwrap(wraps.rsaOaepSha1, raw(oaep(named, "sha1", "sha1", spoil)))));
    }
    const swapped = raw(oaep(dataKey, "sha1", "sha1"));
    errors.push(await errorOf(() => unwrap(wraps.rsaOaepSha256, swapped)));
    errors.push(await errorOf(() => unwrap(wraps.rsaOaepSha1, pkcs1(dataKey))));
    for (const length of [0, 1, 255, 257, 512]) {
      for (const wrap of [wraps.rsaOaepSha1, wraps.rsaOaepSha256, wraps.rsaPkcs1]) {
        errors.push(await errorOf(() => unwrap(wrap, Buffer.alloc(length))));
      }
    }
    errors.push(await errorOf(() => unwrap(wraps.rsaPkcs1, Buffer.alloc(256, 0xff))));
    for (const error of errors) {
      expect(error).toEqual(failed);
      expect(error.message).toBe(errors[0]?.message);
      expect("cause" in error).toBe(false);
    }
  });

  it("legacyRsaKeyring refuses data keys wrapped by another type of key", async () => {
    for (const wrap of [wraps.kms, wraps.kmsContext, wraps.aesEcb, wraps.aesWrap, wraps.aesGcm]) {
      const error = await errorOf(() => unwrap(wrap, Buffer.alloc(256)));
      expect(error).toEqual(coded("KEY_NOT_FOR_OBJECT", { wrap: wrap.name, keyType: "rsa" }));
    }
  });
});

describe("implicit rejection of PKCS#1 v1.5", () => {
  const block = (...start: number[]) =>
    Buffer.concat([Buffer.from(start), Buffer.alloc(256 - start.length, 7)]);
  const padded = (message: Uint8Array, padding = Buffer.alloc(253 - message.length, 7)) =>
    Buffer.concat([Buffer.of(0, 2), padding, Buffer.of(0), message]);
  const broken: [string, Buffer][] = [
    ["zeros", Buffer.alloc(256)],
    ["no separator", block(0, 2)],
    ["a block of a signature", block(0, 1)],
    ["a first byte that is not 0", Buffer.concat([Buffer.of(1), padded(testBytes(32)).subarray(1)])],
    [
      "padding with a zero in it",
      padded(testBytes(32), Buffer.concat([Buffer.alloc(1), Buffer.alloc(220, 7)])),
    ],
    ["a separator that is not 0", Buffer.concat([block(0, 2).subarray(0, 224), testBytes(32)])],
    ["a message of 0 bytes", padded(Buffer.alloc(0))],
    ["a message of 15 bytes", padded(testBytes(15))],
    ["a message of 31 bytes", padded(testBytes(31))],
    ["a message of 33 bytes", padded(testBytes(33))],
    ["a message of 245 bytes", padded(testBytes(245))],
  ];

  it.each(broken)("implicit rejection returns a data key for %s, always the same", async (_, encoded) => {
    expect(encoded.length).toBe(256);
    const wrapped = raw(encoded);
    const dataKey = await unwrap(wraps.rsaPkcs1, wrapped);
    expect(sizes).toContain(dataKey.length);
    expect(encoded.includes(Buffer.from(dataKey))).toBe(false);
    expect(await unwrap(wraps.rsaPkcs1, wrapped)).toEqual(dataKey);
    const again = legacyRsaKeyring({ ...pair });
    const input = { wrap: wraps.rsaPkcs1, wrappedKey: wrapped, contentName: "", description: {} };
    expect(await again.unwrapDataKey(input)).toEqual(dataKey);
  });

  it("implicit rejection returns another data key for another ciphertext and another key, of every length", async () => {
    const seen = new Map<string, number>();
    for (let index = 0; index < 100; index++) {
      const encoded = Buffer.concat([Buffer.of(0), testBytes(255, index + 1)]);
      const dataKey = await unwrap(wraps.rsaPkcs1, raw(encoded));
      seen.set(Buffer.from(dataKey).subarray(0, 16).toString("hex"), dataKey.length);
    }
    expect(seen.size).toBe(100);
    expect([...new Set(seen.values())].sort()).toEqual(sizes);

    const zero = Buffer.alloc(256);
    const other = legacyRsaKeyring({ privateKey: otherPair.privateKey });
    const input = { wrap: wraps.rsaPkcs1, wrappedKey: zero, contentName: "", description: {} };
    expect(await other.unwrapDataKey(input)).not.toEqual(await keyring.unwrapDataKey(input));
  });
});

describe("keys by their material description", () => {
  it("decryptionKeys of RSA are found by equal descriptions; other objects use the default key, if there is one", async () => {
    const decryptionKeys = [{ materialsDescription: { year: "2020" }, privateKey: otherPair.privateKey }];
    const both = legacyRsaKeyring({ ...pair, decryptionKeys });
    const writeOnly = legacyRsaKeyring({ publicKey: pair.publicKey, decryptionKeys });
    const old = await legacyRsaKeyring(otherPair).generateDataKey({ contentName, encryptionContext: {} });
    const made = await both.generateDataKey({ contentName, encryptionContext: {} });
    const ofOld = { ...old, contentName, description: { year: "2020" } };
    expect(await both.unwrapDataKey(ofOld)).toEqual(old.plaintext);
    expect(await writeOnly.unwrapDataKey(ofOld)).toEqual(old.plaintext);
    const unknown = { ...made, contentName, description: { year: "2021" } };
    expect(await both.unwrapDataKey(unknown)).toEqual(made.plaintext);
    expect(await errorOf(() => both.unwrapDataKey({ ...ofOld, description: {} }))).toEqual(failed);
    expect(await errorOf(() => writeOnly.unwrapDataKey(unknown))).toEqual(coded("KEY_NOT_FOR_OBJECT"));
  });
});

describe("options of legacyRsaKeyring", () => {
  const { publicKey, privateKey } = pair;
  const small = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const tiny = generateKeyPairSync("rsa", { modulusLength: 512 });
  const curve = generateKeyPairSync("ed25519");
  const pss = generateKeyPairSync("rsa-pss", { modulusLength: 2048 });
  it.each([
    [undefined, new TypeError("options: expected an object, got undefined")],
    [{}, new TypeError("options: expected a publicKey or a privateKey, got neither")],
    [
      { privateKey: "-----BEGIN" },
      new TypeError("options.privateKey: expected a private KeyObject, got a string"),
    ],
    [
      { publicKey: privateKey },
      new TypeError("options.publicKey: expected a public KeyObject, got an instance of PrivateKeyObject"),
    ],
    [
      { privateKey: publicKey },
      new TypeError("options.privateKey: expected a private KeyObject, got an instance of PublicKeyObject"),
    ],
    [
      { privateKey: curve.privateKey },
      new RangeError("options.privateKey: expected a key of RSA, got one of ed25519"),
    ],
    [
      { publicKey: pss.publicKey },
      new RangeError("options.publicKey: expected a key of RSA, got one of rsa-pss"),
    ],
    [
      { privateKey: tiny.privateKey },
      new RangeError("options.privateKey: expected at least 1024 bits, got 512"),
    ],
    [
      { publicKey, privateKey: otherPair.privateKey },
      new RangeError("options.publicKey: expected the public key of options.privateKey, got another one"),
    ],
    [
      { publicKey, decryptionKeys: [{ materialsDescription: {}, privateKey }] },
      new RangeError("options.decryptionKeys[0].materialsDescription: expected one that no other key has"),
    ],
    [
      { publicKey, decryptionKeys: [{ materialsDescription: { a: "b" } }] },
      new TypeError("options.decryptionKeys[0].privateKey: expected a private KeyObject, got undefined"),
    ],
  ])("legacyRsaKeyring refuses wrong options: %#", (options, error) => {
    expect(() => legacyRsaKeyring(options as never)).toThrow(error);
  });

  it("RSA keys of 1024 bits unwrap, but do not wrap", async () => {
    const reader = legacyRsaKeyring(small);
    const dataKey = testBytes(32);
    const wrappedKey = encrypt(dataKey, constants.RSA_PKCS1_PADDING, small.publicKey);
    const input = { wrap: wraps.rsaPkcs1, wrappedKey, contentName: "", description: {} };
    expect(await reader.unwrapDataKey(input)).toEqual(dataKey);
    const error = await errorOf(() => reader.generateDataKey({ contentName, encryptionContext: {} }));
    expect(error).toEqual(
      new RangeError("options.publicKey: expected at least 2048 bits to write, got 1024"),
    );
  });
});
