import { describe, expect, it } from "vitest";
import { wrappingContext } from "../../../src/envelope/envelope.js";
import type { LegacyEnvelope } from "../../../src/s3ec/envelope.js";
import { type LegacyUnwrapRequest, unwrapContentKeys } from "../../../src/s3ec/keyrings/unwrap.js";
import { decodeLegacyMetadata } from "../../../src/s3ec/metadata.js";
import {
  committingSuite,
  gcmSuite,
  type KeyType,
  type WrapAlgorithm,
  wraps,
} from "../../../src/s3ec/suites.js";
import { coded, errorOf } from "../../support/errors.js";
import {
  dataKey,
  everyKeyring,
  lax,
  type Metadata,
  type RecordingKeyring,
  recordingKeyring,
  strict,
  v1,
  v2,
  v3,
  wrapped,
} from "../support.js";

const user = { tenant: "secret-42" };
const envelopeOf = (metadata: Metadata) => decodeLegacyMetadata(metadata) as LegacyEnvelope;

function unlock(metadata: Metadata, input: Partial<LegacyUnwrapRequest> = {}) {
  return unwrapContentKeys(envelopeOf(metadata), {
    keyrings: everyKeyring(),
    policy: lax,
    expected: undefined,
    isRange: false,
    ...input,
  });
}

const asked = (keyrings: readonly RecordingKeyring[]) => keyrings.flatMap((keyring) => keyring.asked);

describe("unwrapContentKeys", () => {
  it.each([wraps.kms, wraps.kmsContext, wraps.aesWrap, wraps.aesGcm, wraps.rsaOaepSha256, wraps.rsaOaepSha1])(
    "unwrapContentKeys opens V2 with the wrap $name, calling only the keyring of its type",
    async (wrap) => {
      const keyrings = everyKeyring();
      const metadata = v2(wrap);
      const { signal } = new AbortController();
      const keys = await unlock(metadata, { keyrings, abortSignal: signal });
      expect(keys.suite).toBe(gcmSuite);
      expect(keys.key.export()).toEqual(dataKey);
      expect(keys.iv).toEqual(envelopeOf(metadata).iv);
      expect(keys.aad).toBeUndefined();
      const { wrappedKey, description } = envelopeOf(metadata);
      const input = { wrap, wrappedKey, contentName: "AES/GCM/NoPadding", description, abortSignal: signal };
      expect(asked(keyrings)).toEqual([input]);
      expect(keyrings.find(({ keyType }) => keyType === wrap.keyType)?.asked).toHaveLength(1);
    },
  );

  it.each([wraps.kmsContext, wraps.aesGcm, wraps.rsaOaepSha1])(
    "unwrapContentKeys opens V3 with the wrap $name under the strictest policy",
    async (wrap) => {
      const keys = await unlock(v3(wrap), { policy: strict });
      expect(keys.suite).toBe(committingSuite);
      expect(keys.key.export()).not.toEqual(dataKey);
    },
  );

  it("unwrapContentKeys passes contentAad to GCM", async () => {
    const keys = await unlock(v2(wraps.kms), { contentAad: Buffer.from("aad") });
    expect(keys.aad).toEqual(Buffer.from("aad"));
  });

  it("unwrapContentKeys zeroes the data key, whether the object opens or not", async () => {
    const keyrings = everyKeyring();
    await unlock(v2(wraps.aesGcm), { keyrings });
    await unlock(v3(wraps.rsaOaepSha1), { keyrings });
    const other = { ...v3(wraps.aesGcm), "x-amz-d": Buffer.alloc(28, 1).toString("base64") };
    expect(await errorOf(() => unlock(other, { keyrings }))).toEqual(coded("DECRYPTION_FAILED"));
    const given = keyrings.flatMap((keyring) => keyring.given);
    expect(given).toHaveLength(3);
    for (const bytes of given) expect(bytes).toEqual(Buffer.alloc(32));
  });

  it.each([
    [0, false],
    [15, false],
    [16, true],
    [24, true],
    [31, false],
    [32, true],
    [33, false],
  ])("unwrapContentKeys accepts data keys of %i bytes: %s; for V3 only 32 bytes", async (length, isTaken) => {
    const key = Buffer.alloc(length, 9);
    const inV2 = {
      ...v2(wraps.aesWrap),
      "x-amz-key-v2": wrapped(wraps.aesWrap, "AES/GCM/NoPadding", {}, key).toString("base64"),
    };
    const inV3 = { ...v3(wraps.aesGcm), "x-amz-3": wrapped(wraps.aesGcm, "115", {}, key).toString("base64") };
    if (isTaken) expect((await unlock(inV2)).key.export()).toEqual(key);
    else expect(await errorOf(() => unlock(inV2))).toEqual(coded("DECRYPTION_FAILED"));
    // A key of another length is never the committed one.
    expect(await errorOf(() => unlock(inV3))).toEqual(coded("DECRYPTION_FAILED"));
  });

  it("unwrapContentKeys has one message for a wrong key, a wrong commitment and a wrong length", async () => {
    const short = wrapped(wraps.aesGcm, "115", {}, Buffer.alloc(16)).toString("base64");
    const failures = [
      { ...v3(wraps.aesGcm), "x-amz-3": "AAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
      { ...v3(wraps.aesGcm), "x-amz-d": Buffer.alloc(28, 1).toString("base64") },
      { ...v3(wraps.aesGcm), "x-amz-i": Buffer.alloc(28, 1).toString("base64") },
      { ...v3(wraps.aesGcm), "x-amz-3": short },
    ];
    const messages = await Promise.all(
      failures.map(async (metadata) => String(await errorOf(() => unlock(metadata)))),
    );
    expect(new Set(messages).size).toBe(1);
  });

  it("unwrapContentKeys throws a TypeError if the keyring returns no bytes", async () => {
    const keyring = { ...recordingKeyring("aes"), unwrapDataKey: () => Promise.resolve(null as never) };
    expect(await errorOf(() => unlock(v2(wraps.aesGcm), { keyrings: [keyring] }))).toEqual(
      new TypeError("keyring.unwrapDataKey: its result: expected a Uint8Array, got null"),
    );
  });
});

describe("the wrap of V1", () => {
  const wrapFor = async (keyBytes: number, types: readonly KeyType[]) => {
    const keyrings = types.map(recordingKeyring);
    const metadata = { ...v1(), "x-amz-key": Buffer.alloc(keyBytes, 1).toString("base64") };
    const error = await errorOf(() => unlock(metadata, { keyrings }));
    return error instanceof Error && asked(keyrings).length > 0
      ? asked(keyrings).map(({ wrap }) => wrap.name)
      : error;
  };

  it.each<[number, KeyType[], string]>([
    [48, ["aes"], "AES"],
    [256, ["aes"], "AES"],
    [48, ["kms", "aes"], "AES"],
    [48, ["rsa"], "RSA"],
    [256, ["rsa", "kms"], "RSA"],
    [32, ["aes", "rsa"], "AES"],
    [48, ["rsa", "aes"], "AES"],
    [49, ["aes", "rsa"], "RSA"],
    [128, ["aes", "rsa"], "RSA"],
    [512, ["rsa", "aes"], "RSA"],
  ])(
    "the wrap of V1 of %i bytes with keyrings of %j is %s, and no other is tried",
    async (bytes, types, name) => {
      expect(await wrapFor(bytes, types)).toEqual([name]);
    },
  );

  it.each([
    [48, "AES", "aes", "legacyAesKeyring"],
    [256, "RSA", "rsa", "legacyRsaKeyring"],
  ])(
    "the wrap of V1 of %i bytes is %s for a reader with KMS only, and the error names the keyring to configure",
    async (bytes, wrap, keyType, maker) => {
      const error = await wrapFor(bytes, ["kms"]);
      expect(error).toEqual(coded("KEY_NOT_FOR_OBJECT", { keyType, wrap, format: "V1" }));
      expect((error as Error).message).toBe(
        `the object's data key is wrapped by ${wrap} (format V1), which needs a ${maker}, but the reader has: ` +
          "legacyKmsKeyring",
      );
    },
  );

  it("an object of V1 opens with the right keyring", async () => {
    for (const wrap of [wraps.aesEcb, wraps.rsaPkcs1]) {
      const keys = await unlock(v1(wrap), {
        keyrings: [recordingKeyring("kms"), recordingKeyring(wrap.keyType)],
      });
      expect(keys.key.export()).toEqual(dataKey);
    }
  });
});

describe("refusals before a keyring is called", () => {
  const rows: [string, Metadata, Partial<LegacyUnwrapRequest>, string][] = [
    ["for a range", v3(wraps.aesGcm), { policy: strict, isRange: true }, "LEGACY_REFUSED"],
    ["for CBC", v1(), { policy: { ...lax, enableLegacyUnauthenticatedModes: false } }, "LEGACY_REFUSED"],
    [
      "for content that does not commit",
      v2(wraps.aesGcm),
      { policy: { ...lax, commitmentPolicy: "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" } },
      "LEGACY_REFUSED",
    ],
    [
      "for an old wrap",
      v2(wraps.kms),
      { policy: { ...lax, enableLegacyWrappingAlgorithms: false } },
      "LEGACY_REFUSED",
    ],
    ["for another type of key", v3(wraps.kmsContext), { keyrings: [] }, "KEY_NOT_FOR_OBJECT"],
    ["without the context", v3(wraps.kmsContext, user), {}, "CONTEXT_MISMATCH"],
    ["with a context for raw keys", v3(wraps.aesGcm, user), { expected: user }, "CONTEXT_MISMATCH"],
    ["for a data key of the native format", v2(wraps.kms, wrappingContext(user)), {}, "ENVELOPE_INVALID"],
    [
      "for a data key of the native format, whatever its context",
      v2(wraps.kms, wrappingContext({})),
      { expected: "any" },
      "ENVELOPE_INVALID",
    ],
  ];

  it.each(rows)("%s", async (_, metadata, input, code) => {
    const keyrings = input.keyrings ? [] : everyKeyring();
    const error = await errorOf(() => unlock(metadata, { keyrings, ...input }));
    expect(error).toEqual(coded(code as "LEGACY_REFUSED"));
    expect(asked(keyrings)).toEqual([]);
    expect(JSON.stringify([error.message, error])).not.toContain("secret-42");
  });

  it("the first of several faults, in the order of Amazon's client, is reported", async () => {
    // An object with all faults at once; each step corrects one.
    const broken = { ...v2(wraps.kms, user, "AES/CBC/PKCS5Padding") };
    const steps: [Partial<LegacyUnwrapRequest>, string, string?][] = [
      [{ policy: strict, isRange: true }, "LEGACY_REFUSED", "enableLegacyUnauthenticatedModes"],
      [{ policy: strict, isRange: false }, "LEGACY_REFUSED", "enableLegacyUnauthenticatedModes"],
      [
        { policy: { ...strict, enableLegacyUnauthenticatedModes: true } },
        "LEGACY_REFUSED",
        "commitmentPolicy",
      ],
      [
        { policy: { ...lax, enableLegacyWrappingAlgorithms: false } },
        "LEGACY_REFUSED",
        "enableLegacyWrappingAlgorithms",
      ],
      [{ policy: lax }, "KEY_NOT_FOR_OBJECT"],
      [{ keyrings: everyKeyring() }, "CONTEXT_MISMATCH"],
    ];
    let input: Partial<LegacyUnwrapRequest> = { keyrings: [], expected: { other: "1" } };
    for (const [change, code, option] of steps) {
      input = { ...input, ...change };
      const error = await errorOf(() => unlock(broken, input));
      expect(error).toEqual(coded(code as "LEGACY_REFUSED", option ? { option } : {}));
    }
  });
});

describe("the expected encryption context", () => {
  type Expected = LegacyUnwrapRequest["expected"];
  const opens = true;
  const rows: [WrapAlgorithm, Metadata, Expected, true | string[]][] = [
    [wraps.kmsContext, {}, undefined, opens],
    [wraps.kmsContext, {}, {}, opens],
    [wraps.kmsContext, user, user, opens],
    [wraps.kmsContext, user, "any", opens],
    [wraps.kmsContext, user, undefined, ["tenant"]],
    [wraps.kmsContext, user, {}, ["tenant"]],
    [wraps.kmsContext, user, { tenant: "43" }, ["tenant"]],
    [wraps.kmsContext, user, { ...user, more: "1" }, ["more"]],
    [wraps.kmsContext, { ...user, more: "1" }, user, ["more"]],
    [wraps.kmsContext, { ...user, kms_cmk_id: "key-1" }, user, opens],
    [wraps.kmsContext, user, { ...user, "aws:x-amz-cek-alg": "AES/GCM/NoPadding" }, ["aws:x-amz-cek-alg"]],
    [wraps.kmsContext, {}, { constructor: "x" }, ["constructor"]],
    [wraps.kms, user, undefined, opens],
    [wraps.kms, user, "any", opens],
    [wraps.kms, user, user, opens],
    [wraps.kms, user, {}, ["tenant"]],
    [wraps.kms, user, { tenant: "43" }, ["tenant"]],
    [wraps.kms, user, { ...user, more: "1" }, ["more"]],
    [wraps.kms, {}, {}, opens],
    [wraps.kms, {}, { kms_cmk_id: "key-1" }, ["kms_cmk_id"]],
    [wraps.aesGcm, user, undefined, opens],
    [wraps.aesGcm, user, {}, opens],
    [wraps.aesGcm, user, "any", opens],
    [wraps.aesGcm, user, user, ["tenant"]],
    [wraps.rsaOaepSha1, user, user, ["tenant"]],
    [wraps.aesWrap, {}, user, ["tenant"]],
  ];

  it.each(rows)("$name with %j, stated %j: %j", async (wrap, stored, expected, outcome) => {
    const keyrings = everyKeyring();
    if (outcome === opens) {
      expect((await unlock(v2(wrap, stored), { keyrings, expected })).key.export()).toEqual(dataKey);
      return;
    }
    const error = await errorOf(() => unlock(v2(wrap, stored), { keyrings, expected }));
    expect(error).toEqual(coded("CONTEXT_MISMATCH", { differing: outcome }));
    expect(asked(keyrings)).toEqual([]);
    expect(JSON.stringify([error.message, error])).not.toContain("secret-42");
  });

  it("the error for a raw key says that nothing proves a context", async () => {
    expect(await errorOf(() => unlock(v3(wraps.aesGcm, user), { expected: user }))).toMatchObject({
      message:
        "an encryption context is expected, but the wrap AES/GCM of this object binds none: leave it out, as nothing " +
        "proves the material description in the metadata",
    });
  });

  it("mail of Amazon SES needs exactly the options that sesMailReading sets", async () => {
    const mail = v2(wraps.kms, {
      "aws:ses-message-id": "m",
      "aws:ses-rule-name": "r",
      "aws:ses-source-account": "123456789012",
    });
    const policy = {
      ...strict,
      commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT",
      enableLegacyWrappingAlgorithms: true,
    } as const;
    expect((await unlock(mail, { policy })).key.export()).toEqual(dataKey);
  });
});
