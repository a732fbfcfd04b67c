import { constants, createCipheriv, createDecipheriv, publicEncrypt } from "node:crypto";
import { CreateKeyCommand } from "@aws-sdk/client-kms";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  type LegacyKeyring,
  type LegacyWriterOptions,
  legacyAesKeyring,
  legacyKmsKeyring,
  legacyRsaKeyring,
  type ReEncryptInstructionFileInput,
} from "../../../src/legacy.js";
import { testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import {
  formats,
  keysOf,
  keyTypes,
  optionsOf,
  removeAll,
  stored,
  writerWith,
} from "../../support/legacy-writer.js";
import { Bucket, useLocalAws } from "../../support/local.js";
import { readS3ec, s3ecKeys } from "../../support/s3ec.js";

const local = useLocalAws();
const Key = "k";
const at = { Bucket, Key };
const file = "k.instruction";
const plaintext = Buffer.from("what is in the object");
const materialsDescription = { key: "new one" };
const newAes = { wrappingKey: s3ecKeys.otherAes, materialsDescription };
const newRsa = { publicKey: s3ecKeys.otherRsa.publicKey, materialsDescription };
const newKeys = {
  aes: { newKeyring: legacyAesKeyring(newAes), key: { aes: s3ecKeys.otherAes } },
  rsa: { newKeyring: legacyRsaKeyring(newRsa), key: { rsa: s3ecKeys.otherRsa.privateKey } },
};
const writer = (options: Partial<LegacyWriterOptions> = {}) =>
  writerWith(local, { instructionFile: true, ...options });

afterEach(async () => {
  local.aws.clearFaults();
  await removeAll(local);
});

describe("reEncryptInstructionFile", () => {
  const pairs = keyTypes.flatMap((from) =>
    (["aes", "rsa"] as const).flatMap((to) => formats.map((format) => ({ from, to, format }))),
  );
  it.each(pairs)(
    "an instruction file of $format re-encrypted from $from to $to opens only with the new key",
    async ({ from, to, format }) => {
      const { keyring, key: oldKey } = keysOf(local, from);
      const rotating = writer({ keyring, ...optionsOf[format] });
      await rotating.put({ ...at, Body: plaintext });
      const before = await stored(local, Key);
      const { newKeyring, key } = newKeys[to];
      local.operations();
      const output = await rotating.reEncryptInstructionFile({ ...at, newKeyring, enforceRotation: true });
      expect(output).toEqual({ ...at, instructionFileSuffix: ".instruction", enforceRotation: true });
      const kms = from === "kms" ? ["Decrypt"] : [];
      // V3 has a commitment; in V2 the whole object is read.
      const proof = format === "V2" ? ["GetObject"] : [];
      expect(local.operations()).toEqual(["HeadObject", "GetObject", ...kms, ...proof, "PutObject"]);
      const after = await stored(local, Key);
      expect({ ...after, instructions: "" }).toEqual({ ...before, instructions: "" });
      expect(await readS3ec(after, key)).toEqual(plaintext);
      expect(await errorOf(() => readS3ec(after, oldKey))).toBeInstanceOf(Error);
      expect((await local.getRaw(file)).metadata).toEqual({ "x-amz-crypto-instr-file": "" });
    },
  );

  it("reEncryptInstructionFile replaces the wrapped data key and nothing else", async () => {
    for (const format of formats) {
      const { keyring } = keysOf(local, "aes", { key: "old one" });
      const rotating = writer({ keyring, ...optionsOf[format] });
      await rotating.put({ ...at, Body: plaintext });
      const before = JSON.parse((await stored(local, Key)).instructions ?? "");
      await rotating.reEncryptInstructionFile({ ...at, newKeyring: newKeys.rsa.newKeyring });
      const text = (await stored(local, Key)).instructions ?? "";
      expect(text).toMatch(/^[!-~]+$/);
      const description = '{"key":"new one"}';
      const changed =
        format === "V3"
          ? { "x-amz-3": expect.any(String), "x-amz-w": "22", "x-amz-m": description }
          : {
              "x-amz-key-v2": expect.any(String),
              "x-amz-wrap-alg": "RSA-OAEP-SHA1",
              "x-amz-matdesc": description,
            };
      expect(JSON.parse(text)).toEqual({ ...before, ...changed });
    }
  });

  it("another suffix makes a second instruction file for another reader", async () => {
    const rotating = writer();
    await rotating.put({ ...at, Body: plaintext });
    const before = await local.getRaw(file);
    const instructionFileSuffix = ".instruction-rsa";
    const input = { ...at, newKeyring: newKeys.rsa.newKeyring, instructionFileSuffix };
    for (let times = 0; times < 2; times++) {
      const output = await rotating.reEncryptInstructionFile(input);
      expect(output).toEqual({ ...at, instructionFileSuffix, enforceRotation: false });
    }
    expect(await local.getRaw(file)).toEqual(before);
    const other = await stored(local, Key, instructionFileSuffix);
    expect(await readS3ec(other, newKeys.rsa.key)).toEqual(plaintext);
  });

  it("another suffix replaces only an instruction file", async () => {
    await writer().put({ ...at, Body: plaintext });
    const instructionFileSuffix = ".jpg";
    const input = { ...at, newKeyring: newKeys.rsa.newKeyring, instructionFileSuffix };
    for (const photo of [Buffer.from("a photo"), Buffer.from('{"a":"photo"}'), testBytes(70_000)]) {
      await local.putRaw("k.jpg", photo);
      const code = photo.length > 65_536 ? "ENVELOPE_INVALID" : "KEY_NOT_ROTATED";
      const error = await errorOf(() => writer().reEncryptInstructionFile(input));
      expect(error).toEqual(coded(code));
      expect(error.message).toContain('"k.jpg" is not an instruction file');
      expect((await local.getRaw("k.jpg")).bytes).toEqual(photo);
    }
  });

  it("another suffix makes a file without permission to look, and replaces none", async () => {
    await writer().put({ ...at, Body: plaintext });
    const input = { ...at, newKeyring: newKeys.rsa.newKeyring, instructionFileSuffix: ".rsa" };
    const unreadable = () =>
      local.aws.fault({ operation: "GetObject", skip: 1, status: 403, code: "AccessDenied" });
    unreadable();
    await writer().reEncryptInstructionFile(input);
    expect(await readS3ec(await stored(local, Key, ".rsa"), newKeys.rsa.key)).toEqual(plaintext);
    unreadable();
    expect(await errorOf(() => writer().reEncryptInstructionFile(input))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
  });

  it("another suffix does not replace an object that was written in the meantime", async () => {
    await writer().put({ ...at, Body: plaintext });
    const input = { ...at, newKeyring: newKeys.rsa.newKeyring, instructionFileSuffix: ".rsa" };
    for (const theirs of [Buffer.from("{}"), Buffer.from('{"x-amz-w":"22"}')]) {
      const send = async (command: PutObjectCommand, options: never) => {
        if (command instanceof PutObjectCommand) await local.putRaw("k.rsa", theirs);
        return local.s3.send(command, options);
      };
      const s3 = { config: local.s3.config, send } as unknown as S3Client;
      expect(await errorOf(() => writer({ s3 }).reEncryptInstructionFile(input))).toEqual(
        coded("S3_PRECONDITION_FAILED"),
      );
      expect((await local.getRaw("k.rsa")).bytes).toEqual(theirs);
    }
  });

  it("the new instruction file has the stated fields and is written on a condition", async () => {
    await writer().put({ ...at, Body: plaintext });
    const puts: PutObjectCommand["input"][] = [];
    const send = (command: PutObjectCommand, options: never) => {
      if (command instanceof PutObjectCommand) puts.push(command.input);
      return local.s3.send(command, options);
    };
    const s3 = { config: local.s3.config, send } as unknown as S3Client;
    const fields = { ServerSideEncryption: "AES256", Tagging: "a=b" } as const;
    const { newKeyring } = newKeys.aes;
    await writer({ s3 }).reEncryptInstructionFile({ ...at, newKeyring, ...fields });
    expect(puts[0]).toMatchObject({ Bucket, Key: file, ...fields, IfMatch: expect.stringMatching(/^"/) });
  });

  it("an instruction file that was changed in the meantime is not replaced", async () => {
    const rotating = writer();
    await rotating.put({ ...at, Body: "old" });
    const newKeyring: LegacyKeyring = {
      ...newKeys.aes.newKeyring,
      async wrapDataKey(...input) {
        await rotating.put({ ...at, Body: "another" });
        return newKeys.aes.newKeyring.wrapDataKey?.(...input) as never;
      },
    };
    const error = await errorOf(() => rotating.reEncryptInstructionFile({ ...at, newKeyring }));
    expect(error).toEqual(coded("S3_PRECONDITION_FAILED"));
    expect((await readS3ec(await stored(local, Key), { aes: s3ecKeys.aes })).toString()).toBe("another");
  });

  it("a re-encryption whose response was lost finds the file that it wrote", async () => {
    for (const maxAttempts of [1, 3]) {
      const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts });
      await writer().put({ ...at, Body: plaintext });
      local.aws.fault({ operation: "PutObject", reset: "after" });
      await writer({ s3 }).reEncryptInstructionFile({ ...at, newKeyring: newKeys.aes.newKeyring });
      s3.destroy();
      expect(await readS3ec(await stored(local, Key), newKeys.aes.key)).toEqual(plaintext);
    }
  });

  it.each([
    ["HeadObject", 404, "NotFound", "S3_NOT_FOUND"],
    ["GetObject", 503, "SlowDown", "S3_UNAVAILABLE"],
    ["PutObject", 403, "AccessDenied", "S3_ACCESS_DENIED"],
  ] as const)("changes nothing when %s fails", async (operation, status, code, expected) => {
    await writer().put({ ...at, Body: plaintext });
    local.aws.fault({ operation, status, code });
    const { newKeyring } = newKeys.aes;
    expect(await errorOf(() => writer().reEncryptInstructionFile({ ...at, newKeyring }))).toEqual(
      coded(expected),
    );
    expect(await readS3ec(await stored(local, Key), { aes: s3ecKeys.aes })).toEqual(plaintext);
  });

  it("reEncryptInstructionFile rejects with the reason of the caller's signal, before and during its requests", async () => {
    await writer().put({ ...at, Body: plaintext });
    local.operations();
    const aborted = AbortSignal.abort(new Error("enough"));
    const input = { ...at, newKeyring: newKeys.aes.newKeyring };
    const before = errorOf(() => writer().reEncryptInstructionFile(input, { abortSignal: aborted }));
    expect(await before).toBe(aborted.reason);
    expect(local.operations()).toEqual([]);
    const controller = new AbortController();
    const newKeyring: LegacyKeyring = {
      ...newKeys.aes.newKeyring,
      wrapDataKey(...wrapped) {
        controller.abort(new Error("now"));
        return newKeys.aes.newKeyring.wrapDataKey?.(...wrapped) as never;
      },
    };
    const amid = errorOf(() =>
      writer().reEncryptInstructionFile({ ...at, newKeyring }, { abortSignal: controller.signal }),
    );
    expect((await amid).message).toBe("now");
    expect(local.operations()).not.toContain("PutObject");
  });
});

describe("refusals of reEncryptInstructionFile", () => {
  const refuse = async (input: object, options: Partial<LegacyWriterOptions> = {}) => {
    const before = await stored(local, Key);
    const error = await errorOf(() =>
      writer(options).reEncryptInstructionFile({ ...at, newKeyring: newKeys.aes.newKeyring, ...input }),
    );
    expect(await stored(local, Key)).toEqual(before);
    return error;
  };

  it("an object with its data key in its own metadata is not re-encrypted", async () => {
    await writerWith(local).put({ ...at, Body: plaintext });
    expect(await refuse({})).toEqual(coded("KEY_NOT_ROTATED"));
  });

  it("an object without an instruction file is not re-encrypted", async () => {
    await local.putRaw(Key, plaintext);
    expect(await refuse({})).toEqual(coded("ENVELOPE_MISSING", { instructionFileKey: file }));
  });

  it("a new keyring with the current description is refused", async () => {
    const old = keysOf(local, "aes", materialsDescription).keyring;
    await writer({ keyring: old }).put({ ...at, Body: plaintext });
    expect(await refuse({}, { keyring: old })).toEqual(coded("KEY_NOT_ROTATED"));
    const undescribed = legacyAesKeyring({ wrappingKey: s3ecKeys.otherAes });
    await writer().put({ ...at, Body: plaintext });
    expect(await refuse({ newKeyring: undescribed })).toEqual(coded("KEY_NOT_ROTATED"));
  });

  it("enforceRotation refuses a new key that the current keyring can unwrap", async () => {
    await writer().put({ ...at, Body: plaintext });
    const same = legacyAesKeyring({ wrappingKey: s3ecKeys.aes, materialsDescription });
    expect(await refuse({ newKeyring: same, enforceRotation: true })).toEqual(coded("KEY_NOT_ROTATED"));
    const { keyring } = keysOf(local, "rsa");
    await writer({ keyring }).put({ ...at, Body: plaintext });
    const sameRsa = legacyRsaKeyring({ publicKey: s3ecKeys.rsa.publicKey, materialsDescription });
    expect(await refuse({ newKeyring: sameRsa, enforceRotation: true }, { keyring })).toEqual(
      coded("KEY_NOT_ROTATED"),
    );
    await writer({ keyring }).reEncryptInstructionFile({ ...at, newKeyring: sameRsa });
    expect(await readS3ec(await stored(local, Key), { rsa: s3ecKeys.rsa.privateKey })).toEqual(plaintext);
  });

  it("enforceRotation rejects when the current keyring fails for another reason", async () => {
    await writer().put({ ...at, Body: plaintext });
    const { keyring } = keysOf(local, "aes");
    let calls = 0;
    const unwrapDataKey: LegacyKeyring["unwrapDataKey"] = async (input) => {
      calls += 1;
      if (calls === 2) throw new Error("vault is sealed");
      return keyring.unwrapDataKey(input);
    };
    const error = await refuse({ enforceRotation: true }, { keyring: { ...keyring, unwrapDataKey } });
    expect(error.message).toBe("vault is sealed");
  });

  it("a writer with another key, or another type of key, cannot re-encrypt the object", async () => {
    await writer().put({ ...at, Body: plaintext });
    const other = legacyAesKeyring({ wrappingKey: testBytes(32, 9) });
    expect(await refuse({}, { keyring: other })).toEqual(coded("DECRYPTION_FAILED"));
    expect(await refuse({}, { keyring: keysOf(local, "rsa").keyring })).toEqual(coded("KEY_NOT_FOR_OBJECT"));
    const { KeyMetadata } = await local.aws.kms.send(new CreateKeyCommand({}));
    const { keyring } = keysOf(local, "kms");
    await writer({ keyring }).put({ ...at, Body: plaintext });
    const otherKms = legacyKmsKeyring({ kms: local.aws.kms, keyId: KeyMetadata?.Arn ?? "" });
    expect(await refuse({}, { keyring: otherKms })).toEqual(coded("KEY_NOT_FOR_OBJECT"));
  });

  it("an instruction file of another object is refused by the commitment of V3", async () => {
    await writer().put({ Bucket, Key: "other", Body: "other" });
    await writer().put({ ...at, Body: plaintext });
    const { bytes } = await local.getRaw("other.instruction");
    await local.putRaw(file, bytes);
    expect(await refuse({})).toEqual(coded("DECRYPTION_FAILED"));
  });

  it("a file that is not an instruction file is refused", async () => {
    await writer().put({ ...at, Body: plaintext });
    for (const text of ["{", "[]", '{"invalid":"json"}', '{"x-amz-c":"115"}', " ".repeat(70_000)]) {
      await local.putRaw(file, Buffer.from(text));
      expect(await refuse({})).toEqual(coded("ENVELOPE_INVALID"));
    }
  });

  it("a new keyring that returns no wrapped key is refused", async () => {
    await writer().put({ ...at, Body: plaintext });
    const { newKeyring } = newKeys.aes;
    const wrapDataKey: LegacyKeyring["wrapDataKey"] = async (...input) =>
      ({ ...(await newKeyring.wrapDataKey?.(...input)), wrappedKey: Buffer.alloc(0) }) as never;
    expect((await refuse({ newKeyring: { ...newKeyring, wrapDataKey } })).message).toMatch(
      /^newKeyring\.wrapDataKey: wrappedKey: expected 1 to 8192 bytes, got 0$/,
    );
  });

  it("a re-encryption with another expected context is refused", async () => {
    const { keyring } = keysOf(local, "kms");
    const encryptionContext = { tenant: "1" };
    await writer({ keyring }).put({ ...at, Body: plaintext, encryptionContext });
    for (const wrong of [{}, { encryptionContext: { tenant: "2" } }]) {
      expect(await refuse(wrong, { keyring })).toEqual(coded("CONTEXT_MISMATCH"));
    }
    const input = { ...at, newKeyring: newKeys.aes.newKeyring };
    await writer({ keyring }).reEncryptInstructionFile({ ...input, encryptionContext });
    await writer({ keyring }).put({ ...at, Body: plaintext, encryptionContext });
    await writer({ keyring }).reEncryptInstructionFile({ ...input, encryptionContext: "any" });
    expect(await readS3ec(await stored(local, Key), newKeys.aes.key)).toEqual(plaintext);
  });

  it("an object of another algorithm than the writer's is refused, and the error names the algorithm", async () => {
    await writer(optionsOf.V2).put({ ...at, Body: plaintext });
    const error = await refuse({}, { commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT" });
    expect(error).toEqual(
      coded("LEGACY_REFUSED", { option: "encryptionAlgorithm", content: "AES/GCM/NoPadding" }),
    );
    expect(error.message).toContain('encryptionAlgorithm: "ALG_AES_256_GCM_IV12_TAG16_NO_KDF"');
    await writer().put({ ...at, Body: plaintext });
    expect(await refuse({}, optionsOf.V2)).toEqual(
      coded("LEGACY_REFUSED", { option: "encryptionAlgorithm" }),
    );
  });

  it.each([
    [
      "of a writer without instruction files",
      {},
      { instructionFile: false },
      TypeError,
      /^options\.instructionFile/,
    ],
    ["no new keyring", { newKeyring: undefined }, {}, TypeError, /^newKeyring: expected an object/],
    [
      "one that cannot wrap",
      { newKeyring: { ...newKeys.aes.newKeyring, wrapDataKey: 1 } },
      {},
      TypeError,
      /^newKeyring/,
    ],
    [
      "a suffix for AES",
      { instructionFileSuffix: ".other" },
      {},
      RangeError,
      /^instructionFileSuffix: expected "\.inst/,
    ],
    [
      "a suffix without its dot",
      { instructionFileSuffix: "x", newKeyring: newKeys.rsa.newKeyring },
      {},
      RangeError,
      /dot/,
    ],
    ["a suffix that is none", { instructionFileSuffix: 1 }, {}, TypeError, /^instructionFileSuffix/],
    ["no boolean", { enforceRotation: "yes" }, {}, RangeError, /^enforceRotation/],
    ["no context", { encryptionContext: 1 }, {}, TypeError, /^encryptionContext/],
    ["no key", { Key: "" }, {}, RangeError, /^Key/],
  ] as const)("for an argument: %s", async (_, input, options, type, message) => {
    const given = { ...at, newKeyring: newKeys.aes.newKeyring, ...input } as never;
    const error = await errorOf(() => writer(options).reEncryptInstructionFile(given));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
    expect(local.operations()).toEqual([]);
  });

  it("a new keyring of KMS, which cannot wrap an existing data key, is refused", async () => {
    const newKeyring = keysOf(local, "kms").keyring;
    const error = await errorOf(() => writer().reEncryptInstructionFile({ ...at, newKeyring }));
    expect(error).toEqual(
      new TypeError("newKeyring: expected one of AES or RSA: KMS wraps only data keys that it generates"),
    );
  });
});

describe("re-encryption of objects of old clients", () => {
  const dataKey = testBytes(32, 88);
  const iv = testBytes(16, 89);
  const cbc = (() => {
    const cipher = createCipheriv("aes-256-cbc", dataKey, iv);
    return Buffer.concat([cipher.update(plaintext), cipher.final()]);
  })();
  const ecb = (() => {
    const cipher = createCipheriv("aes-256-ecb", s3ecKeys.aes, null);
    return Buffer.concat([cipher.update(dataKey), cipher.final()]).toString("base64");
  })();
  const flags = { enableLegacyUnauthenticatedModes: true, enableLegacyWrappingAlgorithms: true };
  const putV1 = async (wrapped: string) => {
    await local.putRaw(Key, cbc);
    const fields = { "x-amz-key": wrapped, "x-amz-iv": iv.toString("base64"), "x-amz-matdesc": "{}" };
    await local.putRaw(file, Buffer.from(JSON.stringify(fields)));
  };
  const rotate = (
    options: Partial<LegacyWriterOptions>,
    input: Partial<ReEncryptInstructionFileInput> = {},
  ) =>
    writer({ ...optionsOf.V2, ...options }).reEncryptInstructionFile({
      ...at,
      newKeyring: newKeys.aes.newKeyring,
      ...input,
    });

  it("an instruction file of V1 becomes V2, with AES/CBC, when all options allow it", async () => {
    await putV1(ecb);
    await rotate(flags, { verifyContent: "never" });
    const { bytes, metadata, instructions } = await stored(local, Key);
    expect({ bytes, metadata }).toEqual({ bytes: cbc, metadata: {} });
    const fields = JSON.parse(instructions ?? "") as Record<string, string>;
    expect(fields).toEqual({
      "x-amz-key-v2": expect.any(String),
      "x-amz-iv": iv.toString("base64"),
      "x-amz-matdesc": '{"key":"new one"}',
      "x-amz-wrap-alg": "AES/GCM",
      "x-amz-cek-alg": "AES/CBC/PKCS5Padding",
    });
    const wrapped = Buffer.from(fields["x-amz-key-v2"] ?? "", "base64");
    const decipher = createDecipheriv("aes-256-gcm", s3ecKeys.otherAes, wrapped.subarray(0, 12));
    decipher.setAAD(Buffer.from("AES/CBC/PKCS5Padding")).setAuthTag(wrapped.subarray(-16));
    expect(Buffer.concat([decipher.update(wrapped.subarray(12, -16)), decipher.final()])).toEqual(dataKey);
  });

  it.each([
    ["no flag", { enableLegacyUnauthenticatedModes: false }, "enableLegacyUnauthenticatedModes"],
    ["the old wraps off", { enableLegacyWrappingAlgorithms: false }, "enableLegacyWrappingAlgorithms"],
    [
      "V3 demanded",
      { ...optionsOf.V3, commitmentPolicy: "REQUIRE_ENCRYPT_ALLOW_DECRYPT", encryptionAlgorithm: undefined },
      "commitmentPolicy",
    ],
  ] as const)("are refused with %s", async (_, options, option) => {
    await putV1(ecb);
    const unwrapDataKey = vi.fn();
    const keyring = { ...keysOf(local, "aes").keyring, unwrapDataKey };
    const given = { ...flags, keyring, ...options } as Partial<LegacyWriterOptions>;
    expect(await errorOf(() => rotate(given))).toEqual(coded("LEGACY_REFUSED", { option }));
    expect(unwrapDataKey).not.toHaveBeenCalled();
  });

  it("an object under RSA with PKCS#1 v1.5 is refused, as a wrong key would not be noticed", async () => {
    const key = { key: s3ecKeys.rsa.publicKey, padding: constants.RSA_PKCS1_PADDING };
    await putV1(publicEncrypt(key, dataKey).toString("base64"));
    const { keyring } = keysOf(local, "rsa");
    const unwrapDataKey = vi.fn();
    const error = await errorOf(() => rotate({ ...flags, keyring: { ...keyring, unwrapDataKey } }));
    expect(error).toEqual(coded("KEY_NOT_ROTATED"));
    expect(unwrapDataKey).not.toHaveBeenCalled();
  });

  it("an object of V2 under AESWrap is re-encrypted with AES/GCM", async () => {
    await writer(optionsOf.V2).put({ ...at, Body: plaintext });
    const { instructions } = await stored(local, Key);
    const fields = JSON.parse(instructions ?? "") as Record<string, string>;
    const sealed = Buffer.from(fields["x-amz-key-v2"] ?? "", "base64");
    const decipher = createDecipheriv("aes-256-gcm", s3ecKeys.aes, sealed.subarray(0, 12));
    decipher.setAAD(Buffer.from("AES/GCM/NoPadding")).setAuthTag(sealed.subarray(-16));
    const wrapping = createCipheriv("id-aes256-wrap", s3ecKeys.aes, Buffer.alloc(8, 0xa6));
    const wrapped = wrapping.update(decipher.update(sealed.subarray(12, -16))).toString("base64");
    const old = {
      ...fields,
      "x-amz-key-v2": wrapped,
      "x-amz-wrap-alg": "AESWrap",
      "x-amz-unencrypted-content-length": 21,
    };
    await local.putRaw(file, Buffer.from(JSON.stringify(old)));
    expect(await errorOf(() => rotate({}))).toEqual(
      coded("LEGACY_REFUSED", { option: "enableLegacyWrappingAlgorithms" }),
    );
    await rotate({ enableLegacyWrappingAlgorithms: true });
    const after = await stored(local, Key);
    expect(after.instructions).not.toContain("content-length");
    expect(await readS3ec(after, newKeys.aes.key)).toEqual(plaintext);
  });
});
