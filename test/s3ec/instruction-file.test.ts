import { describe, expect, it } from "vitest";
import { decodeInstructionFile, decodeOldNetInstructionFile } from "../../src/s3ec/instruction-file.js";
import { decodeLegacyMetadata, type InInstructionFile } from "../../src/s3ec/metadata.js";
import { wraps } from "../../src/s3ec/suites.js";
import { coded, errorOf } from "../support/errors.js";
import { fileOf, type Metadata, splitV3, v1, v2, v3, without } from "./support.js";

/** The result of decoding the metadata of an object with an instruction file. */
function found(metadata: Metadata): InInstructionFile {
  const stored = decodeLegacyMetadata(metadata);
  if ("needsInstructionFile" in stored) return stored;
  throw new Error("expected an object without a wrapped key");
}

const bare = found({});
const inFile = (metadata: Metadata) => ({ ...decodeLegacyMetadata(metadata), storage: "instruction-file" });
const v3Wraps = [wraps.kmsContext, wraps.aesGcm, wraps.rsaOaepSha1];

async function refused(
  file: Uint8Array,
  of: InInstructionFile,
  field: string,
  fault: string,
  storage = "instruction-file",
): Promise<void> {
  const error = await errorOf(() => decodeInstructionFile(file, of));
  expect(error).toEqual(coded("ENVELOPE_INVALID", { field, storage }));
  expect(error.message).toContain(`${field}: ${fault}`);
}

describe("decodeInstructionFile", () => {
  it("an instruction file of V1 or V2 decodes like metadata", () => {
    for (const metadata of [
      v1(wraps.rsaPkcs1, { a: "b" }),
      v2(wraps.kms, { a: "b" }),
      v2(wraps.aesGcm),
      v2(wraps.kms, {}, "AES/CBC/PKCS5Padding"),
    ]) {
      expect(decodeInstructionFile(fileOf(metadata), bare)).toEqual(inFile(metadata));
    }
  });

  it.each(v3Wraps)("V3 with the wrap $name is joined from the metadata and the instruction file", (wrap) => {
    const metadata = v3(wrap, { a: "b" });
    const { onObject, file } = splitV3(metadata);
    expect(decodeInstructionFile(fileOf(file), found(onObject))).toEqual(inFile(metadata));
  });

  it("numbers are accepted as text, as PHP writes them; null and empty strings count as missing", () => {
    const metadata = v2(wraps.kms);
    const file = {
      ...metadata,
      "x-amz-tag-len": 128,
      "x-amz-unencrypted-content-length": 5,
      "x-amz-c": null,
      "x-amz-d": "",
      "x-amz-unencrypted-content-md5": null,
      "x-amz-crypto-instr-file": "",
    };
    expect(decodeInstructionFile(fileOf(file), bare)).toEqual(inFile(metadata));
    const noDescription = { ...v2(wraps.aesGcm), "x-amz-matdesc": null };
    expect(decodeInstructionFile(fileOf(noDescription), bare)).toMatchObject({ description: {} });
  });

  it("white space of JSON, and names in any order and case, are accepted", () => {
    const metadata = v2(wraps.aesGcm);
    const capital = Object.entries(metadata).map(([name, value]) => [name.toUpperCase(), value]);
    const text = `\n${JSON.stringify(Object.fromEntries(capital.reverse()), null, 2)}\r\n`;
    expect(decodeInstructionFile(Buffer.from(text), bare)).toEqual(inFile(metadata));
  });

  it("a description beyond ASCII is read from a file without decoding of metadata", () => {
    const text = '{"a":"å 日本 🙂","b":"\u00c3\u00a5"}';
    expect(decodeInstructionFile(fileOf({ ...v1(), "x-amz-matdesc": text }), bare)).toMatchObject({
      description: { a: "å 日本 🙂", b: "\u00c3\u00a5" },
    });
  });

  it.each(["x-amz-c", "x-amz-d", "x-amz-i"])(
    "an instruction file with %s is refused, even with the same value as the object",
    async (name) => {
      const fault = "only the metadata of the object itself may have this field";
      const { onObject, file } = splitV3(v3(wraps.aesGcm));
      await refused(fileOf({ ...file, [name]: onObject[name] }), found(onObject), name, fault);
      await refused(fileOf({ ...v2(wraps.aesGcm), [name]: onObject[name] }), bare, name, fault);
    },
  );

  it("an instruction file of V3 is refused for an object without content fields of V3", async () => {
    const { file } = splitV3(v3(wraps.aesGcm));
    await refused(
      fileOf(file),
      bare,
      "x-amz-c",
      "it is missing, but the instruction file is of format V3",
      "metadata",
    );
    await refused(fileOf(v3(wraps.aesGcm)), bare, "x-amz-c", "only the metadata of the object itself");
  });

  it("fields of V1 and V2 are refused in the instruction file of an object of V3", async () => {
    const { onObject, file } = splitV3(v3(wraps.aesGcm));
    const of = found(onObject);
    await refused(fileOf(v1()), of, "x-amz-key", "it does not belong to format V3");
    await refused(fileOf(v2(wraps.aesGcm)), of, "x-amz-key-v2", "it does not belong to format V3");
    await refused(
      fileOf({ ...file, "x-amz-key-v2": "AAAA" }),
      of,
      "x-amz-3",
      "expected none beside x-amz-key-v2",
    );
    await refused(fileOf({ ...file, "x-amz-iv": "AAAA" }), of, "x-amz-iv", "it does not belong to format V3");
  });

  it("an instruction file with two wrapped keys is refused", async () => {
    await refused(
      fileOf({ ...v1(), ...v2(wraps.aesGcm) }),
      bare,
      "x-amz-key-v2",
      "expected none beside x-amz-key",
    );
  });

  it.each<[string, unknown, string, string]>([
    ["no wrapped key", {}, "x-amz-key-v2", "it is missing, as is every other"],
    [
      "a name of nobody's",
      { ...v1(), invalid: "json" },
      "invalid",
      "no S3 Encryption Client writes this name",
    ],
    ["a renamed key", { ...v1(), "x-amz-key-v2-tampered": "x" }, "x-amz-key-v2-tampered", "no S3 Encryption"],
    [
      "names of the old .NET clients",
      { EncryptedEnvelopeKey: "AAAA" },
      "EncryptedEnvelopeKey",
      "no S3 Encryption",
    ],
    [
      "the prefix of HTTP",
      { "x-amz-meta-x-amz-key": "AAAA" },
      "x-amz-meta-x-amz-key",
      "no S3 Encryption Client",
    ],
    ["a name twice, by case", { ...v1(), "X-AMZ-IV": "AAAA" }, "x-amz-iv", "it occurs twice"],
    ["true as a value", { ...v1(), "x-amz-iv": true }, "x-amz-iv", "expected a string"],
    ["a fraction as a value", { ...v1(), "x-amz-iv": 1.5 }, "x-amz-iv", "expected a string"],
    [
      "an object as a value",
      { ...v1(), "x-amz-matdesc": {} },
      "its body",
      "expected a JSON object without objects",
    ],
    [
      "an array as a value",
      { ...v1(), "x-amz-matdesc": [] },
      "its body",
      "expected a JSON object without objects",
    ],
    ["a missing IV", without(v1(), "x-amz-iv"), "x-amz-iv", "it is missing"],
    ["a missing content name", without(v2(wraps.kms), "x-amz-cek-alg"), "x-amz-cek-alg", "it is missing"],
    ["a missing wrap name", without(v2(wraps.kms), "x-amz-wrap-alg"), "x-amz-wrap-alg", "it is missing"],
    ["null", null, "its body", "expected a JSON object"],
    ["an array", [v1()], "its body", "expected a JSON object"],
    ["a string", JSON.stringify(v1()), "its body", "expected a JSON object"],
  ])("an instruction file with %s is refused", (_, fields, field, fault) =>
    refused(fileOf(fields), bare, field, fault),
  );

  it.each(["x-amz-3", "x-amz-w"])("an instruction file of V3 without %s is refused", (name) => {
    const { onObject, file } = splitV3(v3(wraps.aesGcm));
    return refused(fileOf(without(file, name)), found(onObject), name, "it is missing");
  });

  it.each([
    ["no JSON", Buffer.from("x-amz-key"), "expected JSON"],
    ["nothing in it", Buffer.alloc(0), "expected JSON"],
    ["something after its JSON", Buffer.concat([fileOf(v1()), Buffer.from("{}")]), "expected JSON"],
    ["a byte order mark", Buffer.concat([Buffer.of(0xef, 0xbb, 0xbf), fileOf(v1())]), "expected JSON"],
    ["what is no UTF-8", Buffer.concat([Buffer.of(0xff), fileOf(v1())]), "expected UTF-8"],
    ["UTF-16", Buffer.from(JSON.stringify(v1()), "utf16le"), "expected JSON"],
    [
      "a name twice",
      Buffer.from(`{"x-amz-iv":"AAAA",${fileOf(v1()).toString().slice(1)}`),
      "one of its names occurs twice",
    ],
    ["too much", Buffer.concat([fileOf(v1()), Buffer.alloc(65_536, " ")]), "expected at most 65536 bytes"],
    ["deep nesting", Buffer.from('{"a":'.repeat(10_000)), "expected JSON"],
    [
      "deep arrays",
      Buffer.from(`{"a":${"[".repeat(30_000)}${"]".repeat(30_000)}}`),
      "expected a JSON object without",
    ],
  ])("an instruction file that has %s is refused", (_, bytes, fault) =>
    refused(bytes, bare, "its body", fault),
  );

  it("an instruction file of 64 KiB is accepted, and one byte more is refused", async () => {
    const file = fileOf(v1());
    const padded = (bytes: number) => Buffer.concat([file, Buffer.alloc(bytes - file.length, " ")]);
    expect(decodeInstructionFile(padded(65_536), bare)).toEqual(inFile(v1()));
    await refused(padded(65_537), bare, "its body", "expected at most 65536 bytes");
  });

  it("__proto__ and names of Object.prototype have no effect in an instruction file", async () => {
    const own = fileOf(v1()).toString().slice(1);
    for (const name of ["__proto__", "constructor", "toString"]) {
      await refused(
        Buffer.from(`{"${name}":"x",${own}`),
        bare,
        name,
        "no S3 Encryption Client writes this name",
      );
    }
    const hidden = Buffer.from(`{"__proto__":${JSON.stringify(v1())}}`);
    await refused(hidden, bare, "its body", "expected a JSON object without objects");
  });

  it("an unknown name is shown clipped and in one line", async () => {
    const error = await errorOf(() =>
      decodeInstructionFile(fileOf({ [`\u001b[2J\n${"é".repeat(1000)}`]: 1 }), bare),
    );
    expect(error.message).toMatch(/^[ -~é]{1,500}$/);
  });
});

describe("decodeOldNetInstructionFile", () => {
  const { "x-amz-key": EncryptedEnvelopeKey = "", "x-amz-iv": IV = "" } = v1(wraps.rsaPkcs1);
  const old = { EncryptedEnvelopeKey, IV };

  it("an instruction file of the oldest .NET clients decodes as V1", () => {
    expect(decodeOldNetInstructionFile(fileOf(old), bare)).toEqual(inFile(v1(wraps.rsaPkcs1)));
  });

  it.each<[string, unknown, InInstructionFile, string, string]>([
    ["a missing key", { IV }, bare, "EncryptedEnvelopeKey", "it is missing"],
    ["a missing IV", { EncryptedEnvelopeKey }, bare, "IV", "it is missing"],
    ["an IV of GCM", { ...old, IV: "AAAAAAAAAAAAAAAA" }, bare, "x-amz-iv", "expected base64 of 16 bytes"],
    ["names of now", v1(), bare, "its names", "expected only EncryptedEnvelopeKey and IV"],
    [
      "a name more",
      { ...old, "x-amz-matdesc": "{}" },
      bare,
      "its names",
      "expected only EncryptedEnvelopeKey and IV",
    ],
    [
      "names in another case",
      { ...old, iv: IV },
      bare,
      "its names",
      "expected only EncryptedEnvelopeKey and IV",
    ],
    ["an object of V3", old, found(splitV3(v3(wraps.aesGcm)).onObject), "its names", "expected format V3"],
    ["no object", "x", bare, "its body", "expected a JSON object"],
  ])("refuses %s", async (_, fields, of, field, fault) => {
    const error = await errorOf(() => decodeOldNetInstructionFile(fileOf(fields), of));
    expect(error).toEqual(coded("ENVELOPE_INVALID", { field, storage: "instruction-file" }));
    expect(error.message).toContain(`${field}: ${fault}`);
  });
});
