import { describe, expect, it } from "vitest";
import type { LegacyEnvelope } from "../../src/s3ec/envelope.js";
import { decodeLegacyMetadata } from "../../src/s3ec/metadata.js";
import {
  commitmentPolicies,
  type LegacyPolicy,
  policyArguments,
  requireAllowed,
} from "../../src/s3ec/policy.js";
import { type WrapAlgorithm, wraps } from "../../src/s3ec/suites.js";
import { coded, errorOf } from "../support/errors.js";
import { lax, type Metadata, strict, v1, v2, v3 } from "./support.js";

describe("policyArguments", () => {
  it("policyArguments allows nothing by default", () => {
    expect(policyArguments({})).toEqual(strict);
    expect(Object.isFrozen(policyArguments({}))).toBe(true);
  });

  it("policyArguments takes the policy from options that have more fields", () => {
    expect(policyArguments({ ...lax, keyring: {} } as Partial<LegacyPolicy>)).toEqual(lax);
    for (const commitmentPolicy of commitmentPolicies) {
      expect(policyArguments({ commitmentPolicy })).toEqual({ ...strict, commitmentPolicy });
    }
  });

  it.each<[unknown, Error]>([
    [
      { commitmentPolicy: "require_encrypt_allow_decrypt" },
      new RangeError(
        'options.commitmentPolicy: expected one of "FORBID_ENCRYPT_ALLOW_DECRYPT", ' +
          '"REQUIRE_ENCRYPT_ALLOW_DECRYPT", "REQUIRE_ENCRYPT_REQUIRE_DECRYPT", got another string',
      ),
    ],
    [
      { enableLegacyUnauthenticatedModes: 1 },
      new TypeError(
        "options.enableLegacyUnauthenticatedModes: expected one of true, false, got the number 1",
      ),
    ],
    [
      { enableLegacyWrappingAlgorithms: null },
      new TypeError("options.enableLegacyWrappingAlgorithms: expected one of true, false, got null"),
    ],
  ])("policyArguments refuses %j", (options, error) => {
    expect(() => policyArguments(options as Partial<LegacyPolicy>)).toThrow(error);
  });
});

const kinds: Record<string, [Metadata, WrapAlgorithm]> = {
  "V1 CBC AES": [v1(wraps.aesEcb), wraps.aesEcb],
  "V1 CBC RSA": [v1(wraps.rsaPkcs1), wraps.rsaPkcs1],
  "V2 CBC kms": [v2(wraps.kms, {}, "AES/CBC/PKCS5Padding"), wraps.kms],
  "V2 CBC kms+context": [v2(wraps.kmsContext, {}, "AES/CBC/PKCS5Padding"), wraps.kmsContext],
  "V2 GCM kms": [v2(wraps.kms), wraps.kms],
  "V2 GCM AESWrap": [v2(wraps.aesWrap), wraps.aesWrap],
  "V2 GCM OAEP-SHA256": [v2(wraps.rsaOaepSha256), wraps.rsaOaepSha256],
  "V2 GCM kms+context": [v2(wraps.kmsContext), wraps.kmsContext],
  "V2 GCM AES/GCM": [v2(wraps.aesGcm), wraps.aesGcm],
  "V2 GCM OAEP-SHA1": [v2(wraps.rsaOaepSha1), wraps.rsaOaepSha1],
  "V3 kms+context": [v3(wraps.kmsContext), wraps.kmsContext],
  "V3 AES/GCM": [v3(wraps.aesGcm), wraps.aesGcm],
  "V3 OAEP-SHA1": [v3(wraps.rsaOaepSha1), wraps.rsaOaepSha1],
};

const flags = [true, false];
const everyCase = Object.keys(kinds).flatMap((kind) =>
  commitmentPolicies.flatMap((commitmentPolicy) =>
    flags.flatMap((modes) =>
      flags.flatMap((old) => flags.map((isRange) => [kind, commitmentPolicy, modes, old, isRange] as const)),
    ),
  ),
);

/** The table of the policy, written down a second time, in its order. */
function expectedOption(kind: string, policy: string, modes: boolean, old: boolean, isRange: boolean) {
  if (!modes && (isRange || kind.includes("CBC"))) return "enableLegacyUnauthenticatedModes";
  if (policy === "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" && !kind.startsWith("V3")) return "commitmentPolicy";
  const isOldWrap = /AES$|RSA$|kms$|AESWrap$|SHA256$/.test(kind);
  return isOldWrap && !old ? "enableLegacyWrappingAlgorithms" : undefined;
}

describe("requireAllowed", () => {
  it.each(everyCase)(
    "requireAllowed: %s, %s, modes %s, wraps %s, range %s",
    async (kind, commitmentPolicy, modes, old, isRange) => {
      const [metadata, wrap] = kinds[kind] ?? [{}, wraps.kms];
      const envelope = decodeLegacyMetadata(metadata) as LegacyEnvelope;
      const policy = {
        commitmentPolicy,
        enableLegacyUnauthenticatedModes: modes,
        enableLegacyWrappingAlgorithms: old,
      };
      const act = () => requireAllowed(envelope, wrap, policy, isRange);
      const option = expectedOption(kind, commitmentPolicy, modes, old, isRange);
      if (option === undefined) return act();
      const error = await errorOf(act);
      const content = envelope.suite.contentNames[0];
      expect(error).toEqual(
        coded("LEGACY_REFUSED", { option, format: envelope.format, wrap: wrap.name, content }),
      );
      expect(error.message).toContain(option);
    },
  );

  it.each([
    [
      "a range",
      v3(wraps.aesGcm),
      true,
      "a range of an object of an S3 Encryption Client cannot be verified, as the object has a single tag: read the " +
        "whole object, or set enableLegacyUnauthenticatedModes: true, which does not detect modified bytes",
    ],
    [
      "a range of CBC, with all that it takes",
      v2(wraps.kms, {}, "AES/CBC/PKCS5Padding"),
      true,
      "the object's content is AES/CBC/PKCS5Padding (format V2), which is not authenticated: to read it, set " +
        "enableLegacyUnauthenticatedModes: true, which does not detect modified bytes. The object also needs these " +
        "options: commitmentPolicy, enableLegacyWrappingAlgorithms",
    ],
    [
      "GCM without commitment",
      v2(wraps.aesGcm),
      false,
      "the object's content is AES/GCM/NoPadding (format V2), which does not commit to its data key: to read it, set " +
        'commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT", which lets anybody who can write to the bucket make an ' +
        "object that decrypts to different content under different data keys",
    ],
  ])("the error for %s names the option to set and its risk", (_, metadata, isRange, message) => {
    const envelope = decodeLegacyMetadata(metadata) as LegacyEnvelope;
    expect(() => requireAllowed(envelope, envelope.wrap ?? wraps.aesEcb, strict, isRange)).toThrow(
      expect.objectContaining({ message }),
    );
  });

  it("the error for an old wrap names the option to set and its risk", () => {
    const envelope = decodeLegacyMetadata(v2(wraps.kms)) as LegacyEnvelope;
    const policy = { ...strict, commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" } as const;
    expect(() => requireAllowed(envelope, wraps.kms, policy, false)).toThrow(
      "the object's data key is wrapped by kms (format V2), which does not bind the content algorithm: to read " +
        "it, set enableLegacyWrappingAlgorithms: true, which lets anybody who can write to the bucket have the data key " +
        "used with another algorithm",
    );
  });
});
