/** The rows of Amazon's conformance suite that parsing, policy and unwrapping decide, by their numbers. */
import { constants, publicEncrypt } from "node:crypto";
import { EncryptCommand } from "@aws-sdk/client-kms";
import { describe, expect, it } from "vitest";
import { commitmentPolicies, type LegacyPolicy } from "../../src/s3ec/policy.js";
import { cbcSuite } from "../../src/s3ec/suites.js";
import { coded, errorOf } from "../support/errors.js";
import {
  asKms,
  asked,
  asV1,
  base64,
  flip,
  iv16,
  keyrings,
  local,
  noFlags,
  of,
  open,
  rows,
  rsa,
  type Stored,
  user,
  withFile,
  written,
} from "./attacks.js";
import { lax, type Metadata, splitV3, strict, without } from "./support.js";

describe("unmodified objects of the rows", () => {
  it.each(["V2 kms", "V2 aes", "V2 rsa", "V2 cbc aes", "V2 cbc kms", "V3 kms", "V3 aes", "V3 rsa"])(
    "an unmodified object of %s opens",
    async (name) => {
      const expected = name.includes("kms") ? user : undefined;
      const { key } = await open(of(name), { expected });
      expect(key.export()).toEqual(written[name]?.key);
      expect(asked).toHaveLength(1);
    },
  );
});

describe("8. Rows of the suite", () => {
  /** Rows 5 to 7: V2 of the V1 client for Java. KMS wraps the data key under the whole description. */
  async function kmsV1Legacy(description: Metadata): Promise<Metadata> {
    const { CiphertextBlob = new Uint8Array() } = await local.aws.kms.send(
      new EncryptCommand({
        KeyId: local.keyArn,
        Plaintext: Buffer.alloc(32, 6),
        EncryptionContext: description,
      }),
    );
    return {
      ...of("V2 kms"),
      "x-amz-key-v2": base64(CiphertextBlob),
      "x-amz-wrap-alg": "kms",
      "x-amz-matdesc": JSON.stringify(description),
    };
  }
  const onlyWraps = { ...noFlags, enableLegacyWrappingAlgorithms: true };

  it("5. kmsV1Legacy", async () => {
    const keys = await open(await kmsV1Legacy({ kms_cmk_id: local.keyArn }), {
      policy: onlyWraps,
      expected: undefined,
    });
    expect(keys.key.export()).toEqual(Buffer.alloc(32, 6));
  });

  it("6. kmsV1LegacyWithEncCtx", async () => {
    const metadata = await kmsV1Legacy({ kms_cmk_id: local.keyArn, ...user });
    expect((await open(metadata, { policy: onlyWraps, expected: user })).key.export()).toEqual(
      Buffer.alloc(32, 6),
    );
  });

  describe.each(["FORBID_ENCRYPT_ALLOW_DECRYPT", "REQUIRE_ENCRYPT_ALLOW_DECRYPT"] as const)(
    "%s",
    (commitmentPolicy) => {
      const policy = { ...lax, commitmentPolicy };

      it("15. CBCDecryptTests: both flags", async () => {
        const metadata = without(
          {
            ...(await kmsV1Legacy({ kms_cmk_id: local.keyArn })),
            "x-amz-iv": iv16,
            "x-amz-cek-alg": "AES/CBC/PKCS5Padding",
          },
          "x-amz-tag-len",
        );
        const keys = await open(metadata, { policy, expected: undefined });
        expect(keys.suite).toBe(cbcSuite);
        expect(keys.key.export()).toEqual(Buffer.alloc(32, 6));
      });

      it("17. RsaV1LegacyDecrypt: both flags", async () => {
        const padding = constants.RSA_PKCS1_PADDING;
        const wrappedKey = publicEncrypt({ key: rsa.publicKey, padding }, Buffer.alloc(32, 6));
        const metadata = { ...asV1("V2 rsa"), "x-amz-key": base64(wrappedKey) };
        const keys = await open(metadata, { policy, expected: undefined });
        expect(keys.suite).toBe(cbcSuite);
        expect(keys.key.export()).toEqual(Buffer.alloc(32, 6));
      });
    },
  );

  it("22. original V2, FEAD", async () => {
    const policy = { ...strict, commitmentPolicy: "FORBID_ENCRYPT_ALLOW_DECRYPT" } as const;
    const { key } = await open(of("V2 kms"), { policy, expected: user });
    expect(key.export()).toEqual(written["V2 kms"]?.key);
  });

  it.each(["kms", "aes", "rsa"])("23. InstructionFileFailures good: %s", async (type) => {
    const { key } = await open(splitV3(of(`V3 ${type}`)), { policy: strict });
    expect(key.export()).toEqual(written[`V3 ${type}`]?.key);
  });

  it.each(commitmentPolicies)("13. KC_GCMTestSuite: V3 opens under %s", async (commitmentPolicy) => {
    await open(of("V3 kms"), { policy: { ...strict, commitmentPolicy }, expected: user });
  });

  rows({
    "3. SubsetEncCtxFails": {
      stored: () => of("V2 kms"),
      input: () => ({ expected: undefined }),
      code: "CONTEXT_MISMATCH",
      says: '"tenant" is in the object but not expected',
    },
    "4. IncorrectEncCtxFails": {
      stored: () => of("V3 kms"),
      input: () => ({ expected: { tenant: "43" } }),
      code: "CONTEXT_MISMATCH",
      says: '"tenant" has another value',
    },
    "7. kmsV1LegacyFailsWhenLegacyDisabled": {
      stored: () => asKms((description) => without(description, "aws:x-amz-cek-alg")),
      input: () => ({ policy: noFlags }),
      code: "LEGACY_REFUSED",
      says: "wrapped by kms (format V2)",
    },
    "12. GCMTestSuite: improved RERD": {
      stored: () => of("V2 kms"),
      input: () => ({ policy: { ...lax, commitmentPolicy: "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" } }),
      code: "LEGACY_REFUSED",
      says: 'commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT"',
    },
    "16. CBCDecryptTests: RERD (+unauth flag)": {
      stored: () => of("V2 cbc kms"),
      input: () => ({ policy: { ...strict, enableLegacyUnauthenticatedModes: true } }),
      code: "LEGACY_REFUSED",
      says: "does not commit to its data key",
    },
    "16. CBCDecryptTests: all defaults": {
      stored: () => of("V2 cbc kms"),
      input: () => ({ policy: strict }),
      code: "LEGACY_REFUSED",
      says: "which is not authenticated",
    },
    "18. RsaV1LegacyDecrypt, wrapping flag false (unauth true)": {
      stored: () => asV1("V2 rsa"),
      input: () => ({
        policy: { ...noFlags, enableLegacyUnauthenticatedModes: true },
        keyrings: [keyrings.rsa],
      }),
      code: "LEGACY_REFUSED",
      says: "wrapped by RSA (format V1)",
    },
    "21. V3HeaderSpoofing: V2 object + x-amz-c=115, x-amz-w=12; RERD": {
      stored: () => ({ ...of("V2 kms"), "x-amz-c": "115", "x-amz-w": "12" }),
      input: () => ({ policy: strict }),
      code: "ENVELOPE_INVALID",
      says: "it does not belong to format V2",
    },
    "24. both-meta-and-instruction": {
      stored: () => withFile("V3 aes", () => of("V3 aes")),
      code: "ENVELOPE_INVALID",
      says: "x-amz-c: only the metadata of the object itself may have this field",
    },
    "25. only-instruction": {
      stored: () => ({ onObject: {}, file: of("V3 aes") }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-c: only the metadata of the object itself may have this field",
    },
    "28. bad V3 json": {
      stored: () => withFile("V3 aes", () => ({ invalid: "json" })),
      code: "ENVELOPE_INVALID",
      says: "invalid: no S3 Encryption Client writes this name",
    },
    "29. bad V2 key": {
      stored: () => {
        const { "x-amz-key-v2": key, ...file } = of("V2 kms");
        return { onObject: {}, file: { ...file, "x-amz-key-v2-tampered": key } };
      },
      code: "ENVELOPE_INVALID",
      says: "x-amz-key-v2-tampered: no S3 Encryption Client writes this name",
    },
    "31. RangedGet c/d/i in file": {
      stored: () => withFile("V3 aes", () => of("V3 aes")),
      input: () => ({ isRange: true }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-c: only the metadata of the object itself may have this field",
    },
    "31. RangedGet, bit-flipped c": {
      stored: () => ({ ...of("V3 aes"), "x-amz-c": "114" }),
      input: () => ({ isRange: true }),
      code: "ENVELOPE_INVALID",
      says: 'x-amz-c: expected "115"',
    },
    "31. RangedGet, bit-flipped d": {
      stored: () => ({ ...of("V3 aes"), "x-amz-d": flip(of("V3 aes")["x-amz-d"]) }),
      input: () => ({ isRange: true }),
      code: "DECRYPTION_FAILED",
      says: "decryption failed",
      usesKey: true,
    },
    "31. RangedGet, bit-flipped i": {
      stored: () => ({ ...of("V3 aes"), "x-amz-i": flip(of("V3 aes")["x-amz-i"]) }),
      input: () => ({ isRange: true }),
      code: "DECRYPTION_FAILED",
      says: "decryption failed",
      usesKey: true,
    },
    "31. RangedGet, d 20 B": {
      stored: () => ({ ...of("V3 aes"), "x-amz-d": base64(Buffer.alloc(20, 1)) }),
      input: () => ({ isRange: true }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-d: expected base64 of 28 bytes",
    },
    "31. RangedGet, d 40 B, with an instruction file": {
      stored: () => {
        const { onObject, file } = splitV3(of("V3 aes"));
        return { onObject: { ...onObject, "x-amz-d": base64(Buffer.alloc(40, 1)) }, file };
      },
      input: () => ({ isRange: true }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-d: expected base64 of 28 bytes",
    },
  });

  describe("Bleichenbacher", () => {
    const valid = publicEncrypt(
      { key: rsa.publicKey, padding: constants.RSA_PKCS1_PADDING },
      Buffer.alloc(32),
    );
    const v1 = (wrappedKey: Uint8Array): Metadata => ({
      "x-amz-key": base64(wrappedKey),
      "x-amz-iv": base64(Buffer.alloc(16)),
      "x-amz-matdesc": "{}",
    });
    const whole = async (stored: Stored, policy: LegacyPolicy) => {
      const error = await errorOf(() =>
        open(stored, { policy, keyrings: [keyrings.rsa], expected: undefined }),
      );
      expect(error).toEqual(coded("LEGACY_REFUSED"));
      expect(asked).toEqual([]);
      return JSON.stringify([error.message, error]);
    };

    it.each(commitmentPolicies)(
      "19. Bleichenbacher metadata: both messages are byte-identical under %s",
      async (commitmentPolicy) => {
        const policy = { ...strict, commitmentPolicy };
        expect(await whole(v1(Buffer.alloc(256)), policy)).toBe(await whole(v1(valid), policy));
      },
    );

    it.each(commitmentPolicies)("20. Bleichenbacher instruction file, under %s", async (commitmentPolicy) => {
      const policy = { ...strict, commitmentPolicy };
      const stored = (wrappedKey: Uint8Array) => ({ onObject: {}, file: v1(wrappedKey) });
      expect(await whole(stored(Buffer.alloc(256)), policy)).toBe(await whole(stored(valid), policy));
    });

    it("19 and 20 with all options enabled: both return a key, and nothing distinguishes them", async () => {
      for (const wrappedKey of [Buffer.alloc(256), valid]) {
        const keys = await open(v1(wrappedKey), { keyrings: [keyrings.rsa] });
        expect(keys.suite).toBe(cbcSuite);
      }
    });
  });
});
