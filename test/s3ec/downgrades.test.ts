/** The downgrades and the extra security tests of Amazon's conformance suite, in its wording. */
import { createCipheriv, createSecretKey, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { openContentKeys } from "../../src/s3ec/content/content-keys.js";
import { cbcSuite } from "../../src/s3ec/suites.js";
import { coded, errorOf } from "../support/errors.js";
import {
  asKms,
  asked,
  asV1,
  base64,
  iv16,
  kek,
  keyrings,
  noFlags,
  of,
  open,
  parse,
  rows,
  user,
  withFile,
  written,
} from "./attacks.js";
import { type Metadata, splitV3, strict, without } from "./support.js";

describe("7. Downgrades that must be rejected", () => {
  rows({
    "V3->V2 key injection through instruction file": {
      stored: () => withFile("V3 aes", () => of("V2 aes")),
      code: "ENVELOPE_INVALID",
      says: "it does not belong to format V3",
    },
    "V3->V2 key injection through instruction file, beside the keys of V3": {
      stored: () => withFile("V3 aes", (file) => ({ ...file, "x-amz-key-v2": of("V2 aes")["x-amz-key-v2"] })),
      code: "ENVELOPE_INVALID",
      says: "x-amz-3: expected none beside x-amz-key-v2",
    },
    "V3->V2 key injection through instruction file, of an object that lost c, d and i": {
      stored: () => ({ onObject: {}, file: of("V2 aes") }),
      input: () => ({ policy: strict }),
      code: "LEGACY_REFUSED",
      says: "does not commit to its data key",
    },
    "V2+c/w spoof": {
      stored: () => ({ ...of("V2 kms"), "x-amz-c": "115", "x-amz-w": "12" }),
      code: "ENVELOPE_INVALID",
      says: "it does not belong to format V2",
    },
    'w "12"->"kms"': {
      stored: () => ({ ...of("V3 kms"), "x-amz-w": "kms" }),
      code: "ENVELOPE_INVALID",
      says: 'x-amz-w: expected "12" or "02" or "22"',
    },
    'w "12"->"kms" in the instruction file': {
      stored: () => withFile("V3 kms", (file) => ({ ...file, "x-amz-w": "kms" })),
      code: "ENVELOPE_INVALID",
      says: 'x-amz-w: expected "12" or "02" or "22"',
    },
    "wrap kms+context -> kms, with the flag at its default": {
      stored: () => asKms(),
      input: () => ({ policy: noFlags, expected: user }),
      code: "LEGACY_REFUSED",
      says: "set enableLegacyWrappingAlgorithms: true",
    },
    "wrap kms+context -> kms, with the flag": {
      stored: () => asKms(),
      input: () => ({ expected: undefined }),
      code: "ENVELOPE_INVALID",
      says: 'expected no aws:x-amz-cek-alg with the wrap "kms"',
    },
    "wrap kms+context -> kms, with the flag and any context": {
      stored: () => asKms(),
      code: "ENVELOPE_INVALID",
      says: 'expected no aws:x-amz-cek-alg with the wrap "kms"',
    },
    "wrap kms+context -> kms, with the flag and the caller's context": {
      stored: () => asKms(),
      input: () => ({ expected: user }),
      code: "ENVELOPE_INVALID",
      says: 'expected no aws:x-amz-cek-alg with the wrap "kms"',
    },
    "wrap kms+context -> kms, with the name that it binds removed": {
      stored: () => asKms((description) => without(description, "aws:x-amz-cek-alg")),
      code: "KMS_CIPHERTEXT_REJECTED",
      says: "KMS cannot decrypt this wrapped key under this encryption context",
      usesKey: true,
    },
    "wrap kms+context -> kms, of an object of another context than the caller's": {
      stored: () => asKms((description) => without(description, "aws:x-amz-cek-alg")),
      input: () => ({ expected: { tenant: "43" } }),
      code: "CONTEXT_MISMATCH",
      says: '"tenant" has another value',
    },
    "RSA-OAEP-SHA1 -> legacy wrap by deleting keys": {
      stored: () => without(of("V2 rsa"), "x-amz-wrap-alg"),
      code: "ENVELOPE_INVALID",
      says: "x-amz-wrap-alg: it is missing",
    },
    "AES-GCM -> legacy wrap by deleting keys": {
      stored: () => without(of("V2 aes"), "x-amz-wrap-alg"),
      code: "ENVELOPE_INVALID",
      says: "x-amz-wrap-alg: it is missing",
    },
    "AES-GCM -> legacy wrap by rewriting as V1": {
      stored: () => asV1("V2 aes"),
      input: () => ({ keyrings: [keyrings.aes] }),
      code: "DECRYPTION_FAILED",
      says: "decryption failed",
      usesKey: true,
    },
    "AES-GCM -> legacy wrap by rewriting as V1, with the flag at its default": {
      stored: () => asV1("V2 aes"),
      input: () => ({ policy: { ...noFlags, enableLegacyUnauthenticatedModes: true } }),
      code: "LEGACY_REFUSED",
      says: "set enableLegacyWrappingAlgorithms: true",
    },
    "RSA-OAEP-SHA1 -> legacy wrap by rewriting as V1, with the flag at its default": {
      stored: () => asV1("V2 rsa"),
      input: () => ({ policy: { ...noFlags, enableLegacyUnauthenticatedModes: true } }),
      code: "LEGACY_REFUSED",
      says: "set enableLegacyWrappingAlgorithms: true",
    },
    "RSA-OAEP-SHA1 -> RSA-OAEP with SHA-256": {
      stored: () => ({ ...of("V2 rsa"), "x-amz-wrap-alg": "RSA/ECB/OAEPWithSHA-256AndMGF1Padding" }),
      code: "DECRYPTION_FAILED",
      says: "decryption failed",
      usesKey: true,
    },
    "cek-alg removal": {
      stored: () => without(of("V2 kms"), "x-amz-cek-alg"),
      code: "ENVELOPE_INVALID",
      says: "x-amz-cek-alg: it is missing",
    },
    "GCM->CTR relabel": {
      stored: () => ({ ...of("V2 aes"), "x-amz-cek-alg": "AES/CTR/NoPadding" }),
      code: "ENVELOPE_INVALID",
      says: 'x-amz-cek-alg: expected "AES/GCM/NoPadding" or "AES/CBC/PKCS5Padding" or "AES/CBC/PKCS7Padding"',
    },
    "GCM->CBC relabel (AAD binds cek)": {
      stored: () => relabelled("V2 aes"),
      code: "DECRYPTION_FAILED",
      says: "decryption failed",
      usesKey: true,
    },
    "GCM->CBC relabel (OAEP plaintext binds cek)": {
      stored: () => relabelled("V2 rsa"),
      code: "DECRYPTION_FAILED",
      says: "decryption failed",
      usesKey: true,
    },
    "GCM->CBC relabel (ctx binds cek)": {
      stored: () => relabelled("V2 kms"),
      code: "ENVELOPE_INVALID",
      says: "x-amz-matdesc: expected its aws:x-amz-cek-alg to be the content algorithm",
    },
    "GCM->CBC relabel (ctx binds cek), in the context as well": {
      stored: () => ({
        ...relabelled("V2 kms"),
        "x-amz-matdesc": JSON.stringify({ ...user, "aws:x-amz-cek-alg": "AES/CBC/PKCS5Padding" }),
      }),
      code: "KMS_CIPHERTEXT_REJECTED",
      says: "KMS cannot decrypt",
      usesKey: true,
    },
    "115->GCM relabel, its key moved to V2 (AAD binds cek)": {
      stored: () => ({ ...of("V2 aes"), "x-amz-key-v2": of("V3 aes")["x-amz-3"] ?? "" }),
      code: "DECRYPTION_FAILED",
      says: "decryption failed",
      usesKey: true,
    },
    "115->GCM relabel, its key moved to V2 (OAEP plaintext binds cek)": {
      stored: () => ({ ...of("V2 rsa"), "x-amz-key-v2": of("V3 rsa")["x-amz-3"] ?? "" }),
      code: "DECRYPTION_FAILED",
      says: "decryption failed",
      usesKey: true,
    },
    "115->GCM relabel, its key moved to V2 (ctx binds cek)": {
      stored: () => ({
        ...of("V2 kms"),
        "x-amz-key-v2": of("V3 kms")["x-amz-3"] ?? "",
        "x-amz-matdesc": of("V3 kms")["x-amz-t"] ?? "",
      }),
      code: "ENVELOPE_INVALID",
      says: "expected its aws:x-amz-cek-alg to be the content algorithm",
    },
  });

  function relabelled(name: string): Metadata {
    return without(
      { ...of(name), "x-amz-cek-alg": "AES/CBC/PKCS5Padding", "x-amz-iv": iv16 },
      "x-amz-tag-len",
    );
  }

  it("RSA-OAEP-SHA1 rewritten as V1 with RSA PKCS#1 returns a key, and never the object's", async () => {
    const keys = await open(asV1("V2 rsa"), { keyrings: [keyrings.rsa] });
    expect(keys.suite).toBe(cbcSuite);
    expect(keys.key.export()).not.toEqual(written["V2 rsa"]?.key);
  });
});

describe("8. Extra security tests", () => {
  const noContext = { expected: undefined };
  rows({
    "[P] w 12->kms, without legacy": {
      stored: () => ({ ...of("V3 kms"), "x-amz-w": "kms" }),
      input: () => ({ policy: strict, ...noContext }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-w",
    },
    "[P] w 12->kms, with ctx": {
      stored: () => ({ ...of("V3 kms"), "x-amz-w": "kms" }),
      input: () => ({ expected: user }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-w",
    },
    "[P] w 12->kms, with matdesc injection": {
      stored: () => ({ ...of("V3 kms"), "x-amz-w": "kms", "x-amz-matdesc": of("V3 kms")["x-amz-t"] ?? "" }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-matdesc: it does not belong to format V3",
    },
    "[P] w 12->kms, with the material description of raw keys": {
      stored: () => ({ ...of("V3 kms"), "x-amz-m": of("V3 kms")["x-amz-t"] ?? "" }),
      code: "ENVELOPE_INVALID",
      says: 'x-amz-m: expected none beside x-amz-t, or with the wrap "kms+context"',
    },
    "[P] wrap kms+context->kms with caller ctx": {
      stored: () => asKms(),
      input: () => ({ expected: { tenant: "43" } }),
      code: "ENVELOPE_INVALID",
      says: "expected no aws:x-amz-cek-alg",
    },
    "[P] tampered x-amz-t": {
      stored: () => ({
        ...of("V3 kms"),
        "x-amz-t": JSON.stringify({ tenant: "43", "aws:x-amz-cek-alg": "115" }),
      }),
      input: () => ({ expected: { tenant: "43" } }),
      code: "KMS_CIPHERTEXT_REJECTED",
      says: "KMS cannot decrypt",
      usesKey: true,
    },
    "[P] tampered x-amz-t, without the name that it binds": {
      stored: () => ({ ...of("V3 kms"), "x-amz-t": JSON.stringify(user) }),
      input: () => ({ expected: user }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-t: expected its aws:x-amz-cek-alg to be the content algorithm",
    },
    "[P] missing x-amz-t": {
      stored: () => without(of("V3 kms"), "x-amz-t"),
      code: "ENVELOPE_INVALID",
      says: "x-amz-t: expected its aws:x-amz-cek-alg to be the content algorithm",
    },
    "[P] missing ctx": {
      stored: () => of("V3 kms"),
      input: () => noContext,
      code: "CONTEXT_MISMATCH",
      says: '"tenant" is in the object but not expected',
    },
    "[P] V2 keys injected beside V3 c/d/i": {
      stored: () => ({ ...of("V2 kms"), ...splitV3(of("V3 kms")).onObject }),
      code: "ENVELOPE_INVALID",
      says: "it does not belong to format V2",
    },
    "[P] key-v2 + x-amz-3": {
      stored: () => ({ ...of("V3 kms"), "x-amz-key-v2": of("V2 kms")["x-amz-key-v2"] ?? "" }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-3: expected none beside x-amz-key-v2",
    },
    "[P] V1/V2 in the file while the object's metadata carries cek-alg": {
      stored: () => ({ onObject: { "x-amz-cek-alg": "AES/GCM/NoPadding" }, file: of("V2 aes") }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-cek-alg: it is there without a wrapped data key",
    },
    "[J] cek-alg removed": {
      stored: () => without(of("V2 aes"), "x-amz-cek-alg"),
      code: "ENVELOPE_INVALID",
      says: "x-amz-cek-alg: it is missing",
    },
    "[J] wrap-alg removed": {
      stored: () => without(of("V2 aes"), "x-amz-wrap-alg"),
      code: "ENVELOPE_INVALID",
      says: "x-amz-wrap-alg: it is missing",
    },
    "[J] wrap-alg -> AESWrap": {
      stored: () => ({ ...of("V2 aes"), "x-amz-wrap-alg": "AESWrap" }),
      code: "DECRYPTION_FAILED",
      says: "decryption failed",
      usesKey: true,
    },
    "[J] wrap-alg -> AES": {
      stored: () => ({ ...of("V2 aes"), "x-amz-wrap-alg": "AES" }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-wrap-alg: expected",
    },
    "[J] range with flag off": {
      stored: () => of("V3 kms"),
      input: () => ({ policy: noFlags, isRange: true, expected: user }),
      code: "LEGACY_REFUSED",
      says: "enableLegacyUnauthenticatedModes",
    },
    "[G] malformed nonce length must not panic": {
      stored: () => ({ ...of("V2 kms"), "x-amz-iv": base64(Buffer.alloc(13)) }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-iv: expected base64 of 12 bytes",
    },
    "[G] malformed nonce length must not panic: empty": {
      stored: () => ({ ...of("V2 kms"), "x-amz-iv": "" }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-iv: it is missing",
    },
  });
});

describe("a data key of another object", () => {
  it("an instruction file of another object is refused by the commitment", async () => {
    // CVE-2025-14762 and its siblings: a file that gives the object another data key.
    const key = randomBytes(32);
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", createSecretKey(kek), nonce).setAAD(Buffer.from("115"));
    const wrappedKey = Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
    const stored = withFile("V3 aes", (file) => ({ ...file, "x-amz-3": base64(wrappedKey) }));
    expect(await errorOf(() => open(stored))).toEqual(coded("DECRYPTION_FAILED"));
    expect(asked).toHaveLength(1);
    expect(() => openContentKeys(parse(stored), key)).toThrow(
      expect.objectContaining({ code: "DECRYPTION_FAILED" }),
    );
  });
});
