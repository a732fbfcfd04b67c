import { constants, generateKeyPairSync, publicEncrypt } from "node:crypto";
import { expect, it } from "vitest";
import { RsaPrivateKey, requireValid } from "../../../src/keys/rsa/private-key.js";
import { testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";

const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = new RsaPrivateKey(privateKey);
const hashes = [
  { label: "sha1", mask: "sha1" },
  { label: "sha256", mask: "sha256" },
] as const;

const oaep = (message: Uint8Array, oaepHash: string) =>
  publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, message);
const pkcs1 = (message: Uint8Array) =>
  publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, message);

it.each([1, 40, 64])(
  "a message of %i bytes is decrypted by OAEP with whichever pair of hashes fits",
  (bytes) => {
    const message = testBytes(bytes, bytes);
    for (const hash of ["sha1", "sha256"]) {
      const decoded = key.decryptOaep(oaep(message, hash), hashes, [1, 40, 64]);
      const { bytes: memory } = decoded;
      expect(requireValid(decoded, 0, decoded.length)).toEqual(Buffer.from(message));
      expect(memory).toEqual(Buffer.alloc(64));
    }
  },
);

it("OAEP with no fitting pair of hashes, or another length, is DECRYPTION_FAILED", async () => {
  for (const [hash, lengths] of [
    ["sha512", [40]],
    ["sha1", [39, 41]],
  ] as const) {
    const decoded = key.decryptOaep(oaep(testBytes(40), hash), hashes, lengths);
    expect(decoded).toEqual({ isValid: 0, length: 0, bytes: Buffer.alloc(Math.max(...lengths)) });
    expect(await errorOf(() => requireValid(decoded, 0, 1))).toEqual(coded("DECRYPTION_FAILED"));
  }
});

it("PKCS#1 v1.5 decrypts messages of the allowed lengths", () => {
  for (const bytes of [1, 40, 64])
    expect(key.decryptPkcs1(pkcs1(testBytes(bytes, 2)), [1, 40, 64])).toEqual(
      Buffer.from(testBytes(bytes, 2)),
    );
});

it("PKCS#1 v1.5 returns a constant pseudorandom message of an allowed length for every other ciphertext", () => {
  const lengths = [1, 40, 64];
  for (const ciphertext of [pkcs1(testBytes(41)), oaep(testBytes(40), "sha1")]) {
    const message = key.decryptPkcs1(ciphertext, lengths);
    expect(lengths).toContain(message.length);
    expect(key.decryptPkcs1(ciphertext, lengths)).toEqual(message);
  }
});

it("a ciphertext of another length than the modulus is DECRYPTION_FAILED", async () => {
  const ciphertext = new Uint8Array(255);
  const failed = coded("DECRYPTION_FAILED");
  expect(await errorOf(() => key.decryptPkcs1(ciphertext, [32]))).toEqual(failed);
  expect(await errorOf(() => key.decryptOaep(ciphertext, hashes, [32]))).toEqual(failed);
});
