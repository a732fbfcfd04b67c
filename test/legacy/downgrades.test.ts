/** The downgrades of sections 7 and 8 of the reference that parsing, policy and unlocking must refuse, by its wording. */
import {
  constants,
  createCipheriv,
  createSecretKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
} from "node:crypto";
import { EncryptCommand } from "@aws-sdk/client-kms";
import { beforeAll, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/errors.js";
import { openContentKeys, sealContentKeys } from "../../src/legacy/content-keys.js";
import type { LegacyEnvelope } from "../../src/legacy/envelope.js";
import { decodeInstructionFile } from "../../src/legacy/instruction-file.js";
import type { LegacyKeyring, LegacyUnwrapInput } from "../../src/legacy/keyring.js";
import { decodeLegacyMetadata } from "../../src/legacy/metadata.js";
import { commitmentPolicies, type LegacyPolicy } from "../../src/legacy/policy.js";
import {
  type ContentSuite,
  cbcSuite,
  committingSuite,
  gcmSuite,
  type KeyType,
} from "../../src/legacy/suites.js";
import { type UnlockLegacyInput, unlockLegacy } from "../../src/legacy/unlock.js";
import { legacyAesKeyring, legacyKmsKeyring, legacyRsaKeyring } from "../../src/legacy.js";
import { coded, errorOf } from "../support/errors.js";
import { useLocalAws } from "../support/local.js";
import { fileOf, lax, type Metadata, splitV3, strict, without } from "./support.js";

const local = useLocalAws();
const kek = randomBytes(32);
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const user = { tenant: "42" };
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const iv16 = base64(Buffer.alloc(16, 7));
const noFlags: LegacyPolicy = { ...strict, commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" };

let keyrings: Record<KeyType, LegacyKeyring>;
const asked: LegacyUnwrapInput[] = [];

/** Objects as real keyrings wrap their keys, with the key of the content that each must open to. */
interface Written {
  readonly metadata: Metadata;
  readonly key: Buffer;
}
const written: Record<string, Written> = {};
/** The metadata of one of them: "V2 kms", "V3 aes" and so on; "V2 cbc aes" is AES/CBC under a wrap that binds it. */
const of = (name: string): Metadata => written[name]?.metadata ?? {};

beforeAll(async () => {
  const recorded = (keyring: LegacyKeyring): LegacyKeyring => ({
    ...keyring,
    unwrapDataKey(input) {
      asked.push(input);
      return keyring.unwrapDataKey(input);
    },
  });
  keyrings = {
    kms: recorded(legacyKmsKeyring({ kms: local.aws.kms, keyId: local.keyArn })),
    aes: recorded(legacyAesKeyring({ wrappingKey: kek })),
    rsa: recorded(legacyRsaKeyring({ privateKey: rsa.privateKey })),
  };
  for (const type of ["kms", "aes", "rsa"] as const) {
    written[`V2 ${type}`] = await write(type, gcmSuite);
    written[`V2 cbc ${type}`] = await write(type, cbcSuite);
    written[`V3 ${type}`] = await write(type, committingSuite);
  }
  local.aws.clearRequests();
});

async function write(type: KeyType, suite: ContentSuite): Promise<Written> {
  const contentName = suite.contentNames[0];
  const encryptionContext = type === "kms" ? user : {};
  const { plaintext, wrap, wrappedKey, description } = await keyrings[type].generateDataKey({
    contentName,
    encryptionContext,
  });
  if (!suite.commits) {
    const metadata = {
      "x-amz-key-v2": base64(wrappedKey),
      "x-amz-iv": base64(Buffer.alloc(suite.ivBytes, 3)),
      "x-amz-wrap-alg": wrap.name,
      "x-amz-cek-alg": contentName,
      "x-amz-matdesc": JSON.stringify(description),
      ...(suite === gcmSuite ? { "x-amz-tag-len": "128" } : {}),
    };
    return { metadata, key: Buffer.from(plaintext) };
  }
  const { keys, iv, commitment = Buffer.alloc(0) } = sealContentKeys(suite, plaintext);
  const metadata = {
    "x-amz-c": "115",
    "x-amz-d": base64(commitment),
    "x-amz-i": base64(iv),
    "x-amz-w": wrap.code ?? "",
    "x-amz-3": base64(wrappedKey),
    [type === "kms" ? "x-amz-t" : "x-amz-m"]: JSON.stringify(description),
  };
  return { metadata, key: keys.key.export() };
}

/** An object: its metadata, and its instruction file if it has one. */
type Stored = Metadata | { readonly onObject: Metadata; readonly file: unknown };

function parse(stored: Stored): LegacyEnvelope {
  const { onObject, file } =
    "onObject" in stored
      ? (stored as { onObject: Metadata; file: unknown })
      : { onObject: stored as Metadata, file: {} };
  const found = decodeLegacyMetadata(onObject);
  return "needsInstructionFile" in found ? decodeInstructionFile(fileOf(file), found) : found;
}

async function open(stored: Stored, input: Partial<UnlockLegacyInput> = {}) {
  asked.length = 0;
  local.aws.clearRequests();
  return unlockLegacy(parse(stored), {
    keyrings: Object.values(keyrings),
    policy: lax,
    expected: "any",
    isRange: false,
    ...input,
  });
}

/** What a row expects: a code, a part of the message, and whether a key may have been used at all. */
interface Row {
  readonly stored: () => Stored;
  readonly input?: () => Partial<UnlockLegacyInput>;
  readonly code: ErrorCode;
  readonly says: string;
  /** False unless said otherwise. */
  readonly usesKey?: boolean;
}

function rows(table: Record<string, Row>): void {
  it.each(Object.entries(table))("%s", async (_, { stored, input, code, says, usesKey = false }) => {
    const error = await errorOf(() => open(stored(), input?.()));
    expect(error).toEqual(coded(code));
    expect(error.message).toContain(says);
    expect(asked).toHaveLength(usesKey ? 1 : 0);
    if (!usesKey) expect(local.operations()).toEqual([]);
  });
}

const json = (metadata: Metadata, name: string) => JSON.parse(metadata[name] ?? "{}") as Metadata;

/** V2 of KMS relabelled, with changes to its matdesc. */
function asKms(change: (description: Metadata) => Metadata = (same) => same): Metadata {
  const metadata = of("V2 kms");
  const description = change(json(metadata, "x-amz-matdesc"));
  return { ...metadata, "x-amz-wrap-alg": "kms", "x-amz-matdesc": JSON.stringify(description) };
}

/** V2 rewritten as V1, which says nothing of algorithms. */
function asV1(name: string): Metadata {
  return { "x-amz-key": of(name)["x-amz-key-v2"] ?? "", "x-amz-iv": iv16, "x-amz-matdesc": "{}" };
}

/** An object whose c, d and i stay and whose file is another. */
const withFile = (name: string, change: (file: Metadata) => unknown): Stored => {
  const { onObject, file } = splitV3(of(name));
  return { onObject, file: change(file) };
};

const flip = (text = "") => {
  const bytes = Buffer.from(text, "base64");
  bytes.writeUInt8(bytes.readUInt8(0) ^ 1);
  return base64(bytes);
};

describe("the objects that the rows change", () => {
  it.each(["V2 kms", "V2 aes", "V2 rsa", "V2 cbc aes", "V2 cbc kms", "V3 kms", "V3 aes", "V3 rsa"])(
    "%s opens as it is",
    async (name) => {
      const expected = name.includes("kms") ? user : undefined;
      const { key } = await open(of(name), { expected });
      expect(key.export()).toEqual(written[name]?.key);
      expect(asked).toHaveLength(1);
    },
  );
});

describe("7. Downgrades that must be rejected", () => {
  rows({
    "V3->V2 key injection through instruction file": {
      stored: () => withFile("V3 aes", () => of("V2 aes")),
      code: "ENVELOPE_INVALID",
      says: "it has no place in format V3",
    },
    "V3->V2 key injection through instruction file, beside the keys of V3": {
      stored: () => withFile("V3 aes", (file) => ({ ...file, "x-amz-key-v2": of("V2 aes")["x-amz-key-v2"] })),
      code: "ENVELOPE_INVALID",
      says: "x-amz-3: it stands beside x-amz-key-v2",
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
      says: "it has no place in format V2",
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
      says: 'aws:x-amz-cek-alg has no place beside the wrap "kms"',
    },
    "wrap kms+context -> kms, with the flag and any context": {
      stored: () => asKms(),
      code: "ENVELOPE_INVALID",
      says: 'aws:x-amz-cek-alg has no place beside the wrap "kms"',
    },
    "wrap kms+context -> kms, with the flag and the caller's context": {
      stored: () => asKms(),
      input: () => ({ expected: user }),
      code: "ENVELOPE_INVALID",
      says: 'aws:x-amz-cek-alg has no place beside the wrap "kms"',
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
      says: "x-amz-matdesc: expected its aws:x-amz-cek-alg to be the content's algorithm",
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
      says: "expected its aws:x-amz-cek-alg to be the content's algorithm",
    },
  });

  function relabelled(name: string): Metadata {
    return without(
      { ...of(name), "x-amz-cek-alg": "AES/CBC/PKCS5Padding", "x-amz-iv": iv16 },
      "x-amz-tag-len",
    );
  }

  it("RSA-OAEP-SHA1 -> legacy wrap by rewriting as V1 gives a key, as RSA PKCS#1 must, and never the object's", async () => {
    const keys = await open(asV1("V2 rsa"), { keyrings: [keyrings.rsa] });
    expect(keys.suite).toBe(cbcSuite);
    expect(keys.key.export()).not.toEqual(written["V2 rsa"]?.key);
  });
});

describe("8. Rows of the suite", () => {
  /** Rows 5 to 7: V2 of Java's V1 client. KMS wraps the data key under the whole description. */
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
      says: "which nothing authenticates",
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
      says: "it has no place in format V2",
    },
    "24. both-meta-and-instruction": {
      stored: () => withFile("V3 aes", () => of("V3 aes")),
      code: "ENVELOPE_INVALID",
      says: "x-amz-c: only the metadata of the object itself may say this",
    },
    "25. only-instruction": {
      stored: () => ({ onObject: {}, file: of("V3 aes") }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-c: only the metadata of the object itself may say this",
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
      says: "x-amz-c: only the metadata of the object itself may say this",
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

    it("19 and 20 with all flags on: both give a key, and unlocking tells them apart by nothing", async () => {
      for (const wrappedKey of [Buffer.alloc(256), valid]) {
        const keys = await open(v1(wrappedKey), { keyrings: [keyrings.rsa] });
        expect(keys.suite).toBe(cbcSuite);
      }
    });
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
      says: "x-amz-matdesc: it has no place in format V3",
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
      says: "aws:x-amz-cek-alg has no place",
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
      says: "x-amz-t: expected its aws:x-amz-cek-alg to be the content's algorithm",
    },
    "[P] missing x-amz-t": {
      stored: () => without(of("V3 kms"), "x-amz-t"),
      code: "ENVELOPE_INVALID",
      says: "x-amz-t: expected its aws:x-amz-cek-alg to be the content's algorithm",
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
      says: "it has no place in format V2",
    },
    "[P] key-v2 + x-amz-3": {
      stored: () => ({ ...of("V3 kms"), "x-amz-key-v2": of("V2 kms")["x-amz-key-v2"] ?? "" }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-3: it stands beside x-amz-key-v2",
    },
    "[P] V1/V2 in the file while the object's metadata carries cek-alg": {
      stored: () => ({ onObject: { "x-amz-cek-alg": "AES/GCM/NoPadding" }, file: of("V2 aes") }),
      code: "ENVELOPE_INVALID",
      says: "x-amz-cek-alg: it stands there without a wrapped data key",
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

describe("a data key that is another's", () => {
  it("is not the committed one, even when the file is of the right format", async () => {
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
