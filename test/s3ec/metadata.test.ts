import { describe, expect, it } from "vitest";
import { decodeLegacyMetadata, isLegacyMetadata } from "../../src/s3ec/metadata.js";
import { cbcSuite, committingSuite, gcmSuite, wraps } from "../../src/s3ec/suites.js";
import { coded, errorOf } from "../support/errors.js";
import { commitment, type Metadata, messageId, splitV3, v1, v2, v3, without, wrapped } from "./support.js";

const user = { tenant: "42" };
const field = (metadata: Metadata, name: string) => Buffer.from(metadata[name] ?? "", "base64");
const nothing = { needsInstructionFile: true };

async function refused(metadata: Record<string, unknown>, name: string, fault: string): Promise<void> {
  const error = await errorOf(() => decodeLegacyMetadata(metadata as Metadata));
  expect(error).toEqual(coded("ENVELOPE_INVALID", { field: name, storage: "metadata" }));
  expect(error.message).toContain(`${name}: ${fault}`);
  expect(error.message).toContain("Restore the metadata from another version or copy of the object");
}

describe("decodeLegacyMetadata", () => {
  it("metadata of V1, which names no algorithm, decodes", () => {
    const metadata = v1(wraps.aesEcb, user);
    expect(decodeLegacyMetadata(metadata)).toEqual({
      format: "V1",
      suite: cbcSuite,
      wrap: undefined,
      wrappedKey: wrapped(wraps.aesEcb, "", user),
      iv: field(metadata, "x-amz-iv"),
      commitment: undefined,
      description: user,
      contentName: "",
      storage: "metadata",
    });
  });

  it.each([wraps.kms, wraps.kmsContext, wraps.aesWrap, wraps.aesGcm, wraps.rsaOaepSha256, wraps.rsaOaepSha1])(
    "reads V2 with the wrap $name",
    (wrap) => {
      const metadata = v2(wrap, user);
      expect(decodeLegacyMetadata(metadata)).toEqual({
        format: "V2",
        suite: gcmSuite,
        wrap,
        wrappedKey: field(metadata, "x-amz-key-v2"),
        iv: field(metadata, "x-amz-iv"),
        commitment: undefined,
        description: JSON.parse(metadata["x-amz-matdesc"] ?? ""),
        contentName: "AES/GCM/NoPadding",
        storage: "metadata",
      });
    },
  );

  it.each(["AES/CBC/PKCS5Padding", "AES/CBC/PKCS7Padding"] as const)(
    "metadata of V2 with %s decodes with that name",
    (content) => {
      expect(decodeLegacyMetadata(v2(wraps.kms, user, content))).toMatchObject({
        format: "V2",
        suite: cbcSuite,
        wrap: wraps.kms,
        contentName: content,
      });
    },
  );

  it.each([wraps.kmsContext, wraps.aesGcm, wraps.rsaOaepSha1])(
    "metadata of V3 with the wrap $name decodes",
    (wrap) => {
      const metadata = v3(wrap, user);
      expect(decodeLegacyMetadata(metadata)).toEqual({
        format: "V3",
        suite: committingSuite,
        wrap,
        wrappedKey: field(metadata, "x-amz-3"),
        iv: messageId,
        commitment,
        description: wrap.keyType === "kms" ? { ...user, "aws:x-amz-cek-alg": "115" } : user,
        contentName: "115",
        storage: "metadata",
      });
    },
  );

  it("metadata without a wrapped key leads to the instruction file, with the content fields of V3", () => {
    expect(decodeLegacyMetadata({})).toEqual(nothing);
    expect(decodeLegacyMetadata({ "my-own": "x", "x-amz-unencrypted-content-length": "5" })).toEqual(nothing);
    expect(decodeLegacyMetadata(splitV3(v3(wraps.aesGcm)).onObject)).toEqual({
      needsInstructionFile: true,
      partial: { messageId, commitment },
    });
  });

  it.each<[string, Metadata]>([
    ["the length that some clients tell", { "x-amz-unencrypted-content-length": "5" }],
    ["the digest that some clients tell", { "x-amz-unencrypted-content-md5": "whatever" }],
    ["the mark of an instruction file", { "x-amz-crypto-instr-file": "default instruction file header" }],
    ["others' metadata", { "x-amz-other": "1", owner: "me", __proto__x: "1" }],
    ["empty fields of another version, as absent", { "x-amz-c": "", "x-amz-3": "", "x-amz-t": "" }],
  ])("metadata with %s counts as empty", (_, more) => {
    for (const metadata of [v1(), v2(wraps.kms, user)]) {
      expect(decodeLegacyMetadata({ ...metadata, ...more })).toEqual(decodeLegacyMetadata(metadata));
    }
  });

  it("names in any case are accepted, as the client for Go writes them", () => {
    const metadata = v2(wraps.kmsContext, user);
    const capital = Object.entries(metadata).map(([name, value]) => [
      name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase()),
      value,
    ]);
    expect(decodeLegacyMetadata(Object.fromEntries(capital))).toEqual(decodeLegacyMetadata(metadata));
  });

  it.each<[string, Metadata]>([
    ["V2 that lost its description in a copy", without(v2(wraps.aesGcm), "x-amz-matdesc")],
    ["a description that is null", { ...v2(wraps.aesGcm), "x-amz-matdesc": "null" }],
    ["V3 without one", without(v3(wraps.aesGcm), "x-amz-m")],
    ["V3 of Ruby, with an empty one", { ...v3(wraps.aesGcm), "x-amz-m": "{}" }],
    ["V3 with an empty one of the other kind", { ...v3(wraps.rsaOaepSha1), "x-amz-t": "{}" }],
  ])("metadata with %s decodes", (_, metadata) =>
    expect(decodeLegacyMetadata(metadata)).toMatchObject({ description: {} }),
  );

  it("the description of a raw key is read where the client for C++ writes it", () => {
    for (const wrap of [wraps.aesGcm, wraps.rsaOaepSha1]) {
      const metadata = { ...without(v3(wrap), "x-amz-m"), "x-amz-t": JSON.stringify(user) };
      expect(decodeLegacyMetadata(metadata)).toMatchObject({ description: user });
    }
  });

  it.each<[string, Metadata]>([
    ["GCM without a tag length", without(v2(wraps.kms), "x-amz-tag-len")],
    [
      "CBC of C++ with the tag length 0",
      { ...v2(wraps.kms, {}, "AES/CBC/PKCS5Padding"), "x-amz-tag-len": "0" },
    ],
  ])("metadata of %s decodes", (_, metadata) =>
    expect(decodeLegacyMetadata(metadata)).toMatchObject({ format: "V2" }),
  );

  it.each([
    '=?UTF-8?Q?{"a":"=C3=83=C2=A5"}?=',
    `=?UTF-8?B?${Buffer.from('{"a":"\u00c3\u00a5"}').toString("base64")}?=`,
    '{"a":"\u00c3\u00a5"}',
    '{ "a": "\\u00e5" }\n',
  ])("a description beyond ASCII decodes: %s", (text) => {
    for (const metadata of [
      { ...v1(), "x-amz-matdesc": text },
      { ...v2(wraps.aesGcm), "x-amz-matdesc": text },
      { ...v3(wraps.aesGcm), "x-amz-m": text },
      { ...without(v3(wraps.kmsContext), "x-amz-t"), "x-amz-t": text },
    ]) {
      expect(decodeLegacyMetadata(metadata)).toMatchObject({ description: { a: "å" } });
    }
  });
});

const bytesFault = (length: number) => `expected base64 of ${length} bytes, padded, without line breaks`;

describe("refusals of decodeLegacyMetadata", () => {
  it.each([
    ["V1", v1(), "x-amz-iv"],
    ["V2", v2(wraps.aesGcm), "x-amz-iv"],
    ["V2", v2(wraps.aesGcm), "x-amz-cek-alg"],
    ["V2", v2(wraps.aesGcm), "x-amz-wrap-alg"],
    ["V3", v3(wraps.aesGcm), "x-amz-c"],
    ["V3", v3(wraps.aesGcm), "x-amz-d"],
    ["V3", v3(wraps.aesGcm), "x-amz-i"],
    ["V3", v3(wraps.aesGcm), "x-amz-w"],
  ])("metadata of %s without %s is refused", async (_, metadata, name) => {
    await refused(without(metadata, name), name, "it is missing");
    await refused({ ...metadata, [name]: "" }, name, "it is missing");
  });

  it.each([
    ["x-amz-iv", "AAAA"],
    ["x-amz-matdesc", "{}"],
    ["x-amz-wrap-alg", "kms"],
    ["x-amz-cek-alg", "AES/GCM/NoPadding"],
    ["x-amz-tag-len", "128"],
    ["x-amz-w", "02"],
    ["x-amz-t", "{}"],
    ["x-amz-m", "{}"],
  ])("%s without a wrapped key is refused", (name, value) =>
    refused({ [name]: value }, name, "it is there without a wrapped data key"),
  );

  it.each(["x-amz-c", "x-amz-d", "x-amz-i"])(
    "metadata with two of x-amz-c, x-amz-d and x-amz-i, without %s, is refused",
    (name) => refused(without(splitV3(v3(wraps.aesGcm)).onObject, name), name, "it is missing"),
  );

  it("metadata with two wrapped keys is refused", async () => {
    const [first, second, third] = [v1(), v2(wraps.aesGcm), v3(wraps.aesGcm)];
    const fault = (name: string) => `expected none beside ${name}, as an object has one wrapped key`;
    await refused({ ...first, "x-amz-key-v2": "AAAA" }, "x-amz-key-v2", fault("x-amz-key"));
    await refused({ ...first, ...second }, "x-amz-key-v2", fault("x-amz-key"));
    await refused({ ...second, ...third }, "x-amz-3", fault("x-amz-key-v2"));
    await refused({ ...third, "x-amz-key": "AAAA" }, "x-amz-3", fault("x-amz-key"));
  });

  it.each(["x-amz-c", "x-amz-d", "x-amz-i", "x-amz-w", "x-amz-t", "x-amz-m"])(
    "%s of V3 beside V1 and V2 is refused",
    async (name) => {
      const value = v3(wraps.aesGcm)[name] ?? "{}";
      const fault = (format: string) =>
        `it does not belong to format ${format}, the format of the other fields`;
      await refused({ ...v1(), [name]: value }, name, fault("V1"));
      await refused({ ...v2(wraps.kms), [name]: value }, name, fault("V2"));
    },
  );

  it.each([
    "x-amz-iv",
    "x-amz-matdesc",
    "x-amz-wrap-alg",
    "x-amz-cek-alg",
    "x-amz-tag-len",
    "x-amz-unencrypted-content-length",
    "x-amz-unencrypted-content-md5",
  ])("%s beside V3, with and without an instruction file, is refused", async (name) => {
    const fault = "it does not belong to format V3, the format of the other fields";
    const metadata = v3(wraps.kmsContext);
    await refused({ ...metadata, [name]: "1" }, name, fault);
    await refused({ ...splitV3(metadata).onObject, [name]: "1" }, name, fault);
  });

  it.each(["x-amz-wrap-alg", "x-amz-cek-alg", "x-amz-tag-len"])("%s beside V1 is refused", (name) =>
    refused(
      { ...v1(), [name]: "1" },
      name,
      "it does not belong to format V1, the format of the other fields",
    ),
  );

  it.each(["x-amz-w", "x-amz-t", "x-amz-m"])(
    "%s on an object of V3 with an instruction file is refused",
    (name) =>
      refused(
        { ...splitV3(v3(wraps.aesGcm)).onObject, [name]: "02" },
        name,
        "it does not belong to format V3",
      ),
  );

  it.each<[string, Metadata, string, string]>([
    ["V2 with V3's code", v2(wraps.aesGcm), "x-amz-wrap-alg", "02"],
    ["V2 with V1's AES", v2(wraps.aesGcm), "x-amz-wrap-alg", "AES"],
    ["V2 with V1's RSA", v2(wraps.aesGcm), "x-amz-wrap-alg", "RSA"],
    ["another case", v2(wraps.aesGcm), "x-amz-wrap-alg", "KMS"],
    ["a name of Object.prototype", v2(wraps.aesGcm), "x-amz-wrap-alg", "constructor"],
    ["V3 with V2's name", v3(wraps.aesGcm), "x-amz-w", "AES/GCM"],
    ["V3 with kms", v3(wraps.kmsContext), "x-amz-w", "kms"],
    ["V3 with Ruby's 01", v3(wraps.aesGcm), "x-amz-w", "01"],
    ["V3 with 11", v3(wraps.aesGcm), "x-amz-w", "11"],
    ["V3 with 21", v3(wraps.aesGcm), "x-amz-w", "21"],
    ["V3 with a code without its zero", v3(wraps.aesGcm), "x-amz-w", "2"],
  ])("an unknown wrap is refused: %s", (_, metadata, name, value) =>
    refused({ ...metadata, [name]: value }, name, 'expected "'),
  );

  it.each<[Metadata, string, string]>([
    [v2(wraps.aesGcm), "x-amz-cek-alg", "115"],
    [v2(wraps.aesGcm), "x-amz-cek-alg", "AES/CTR/NoPadding"],
    [v2(wraps.aesGcm), "x-amz-cek-alg", "aes/gcm/nopadding"],
    [v3(wraps.aesGcm), "x-amz-c", "114"],
    [v3(wraps.aesGcm), "x-amz-c", "116"],
    [v3(wraps.aesGcm), "x-amz-c", "0115"],
    [v3(wraps.aesGcm), "x-amz-c", "AES/GCM/NoPadding"],
  ])("an unknown content algorithm is refused: %#", (metadata, name, value) =>
    refused({ ...metadata, [name]: value }, name, 'expected "'),
  );

  it("an unknown content algorithm of V3 is refused before its instruction file is requested", () =>
    refused({ ...splitV3(v3(wraps.aesGcm)).onObject, "x-amz-c": "114" }, "x-amz-c", 'expected "115"'));

  it.each([
    ["96", v2(wraps.kms), '"128" or nothing'],
    ["16", v2(wraps.kms), '"128" or nothing'],
    ["0", v2(wraps.kms), '"128" or nothing'],
    ["128.0", v2(wraps.kms), '"128" or nothing'],
    ["128", v2(wraps.kms, {}, "AES/CBC/PKCS5Padding"), '"0" or nothing'],
  ])("the tag length %s is refused", (length, metadata, expected) =>
    refused({ ...metadata, "x-amz-tag-len": length }, "x-amz-tag-len", `expected ${expected}`),
  );

  it.each<[string, Metadata, string, number]>([
    ["x-amz-iv", v1(), "V1", 16],
    ["x-amz-iv", v2(wraps.kms, {}, "AES/CBC/PKCS5Padding"), "CBC", 16],
    ["x-amz-iv", v2(wraps.kms), "GCM", 12],
    ["x-amz-i", v3(wraps.aesGcm), "V3", 28],
    ["x-amz-d", v3(wraps.aesGcm), "V3", 28],
  ])("%s of a wrong length or not in base64 is refused (%#)", async (name, metadata, _, length) => {
    const good = metadata[name] ?? "";
    const sized = (bytes: number) => Buffer.alloc(bytes, 1).toString("base64");
    for (const bad of [
      sized(length - 1),
      sized(length + 1),
      sized(12) === sized(length) ? sized(16) : sized(12),
      `${good.slice(0, 4)}\n${good.slice(4)}`,
      ` ${good}`,
      `${good}\n`,
      `${good.slice(0, -1)}!`,
      good.replaceAll("=", ""),
      `${good}=`,
      "=",
      "æ",
    ]) {
      if (bad !== good) await refused({ ...metadata, [name]: bad }, name, bytesFault(length));
    }
  });

  it.each([
    ["x-amz-key", v1()],
    ["x-amz-key-v2", v2(wraps.kms)],
    ["x-amz-3", v3(wraps.aesGcm)],
  ])("%s that is not a wrapped key is refused", async (name, metadata) => {
    const fault = "expected base64 of 1 to 8192 bytes, padded, without line breaks";
    for (const bad of [
      "AA",
      "AAA",
      "A",
      "=",
      "AB==",
      "AA==\n",
      "-_8=",
      Buffer.alloc(8193).toString("base64"),
    ]) {
      await refused({ ...metadata, [name]: bad }, name, fault);
    }
  });

  it.each([
    ["no JSON", "tenant=42", "expected JSON"],
    ["half of it", '{"a":"b"', "expected JSON"],
    ["an array", "[]", "expected a JSON object"],
    ["a string", '"x"', "expected a JSON object"],
    ["a number", "5", "expected a JSON object"],
    ["a number as a value", '{"a":1}', "expected strings as its values"],
    ["null as a value", '{"a":null}', "expected strings as its values"],
    ["an object as a value", '{"a":{"b":"c"}}', "expected a JSON object without objects or arrays in it"],
    ["an array as a value", '{"a":["b"]}', "expected a JSON object without objects or arrays in it"],
    ["a name twice", '{"a":"1","b":"2","a":"1"}', "one of its names occurs twice"],
    ["a name twice, once escaped", '{"a":"1","\\u0061":"2"}', "one of its names occurs twice"],
    ["__proto__", '{"__proto__":"x"}', "one of its entries: this name cannot be used"],
    ["an object as __proto__", '{"__proto__":{"a":"b"}}', "expected a JSON object without objects"],
    ["an empty name", '{"":"x"}', "one of its entries: expected a non-empty name"],
    ["a lone surrogate", '{"a":"\\ud800"}', "one of its entries: expected well-formed Unicode"],
    ["two objects", "{}{}", "expected JSON"],
    ["another charset", "=?ISO-8859-1?Q?{}?=", "expected RFC 2047 words in UTF-8"],
  ])("a description that is %s is refused, and the error does not reveal it", async (_, text, fault) => {
    await refused({ ...v1(), "x-amz-matdesc": text }, "x-amz-matdesc", fault);
    await refused({ ...v2(wraps.kms), "x-amz-matdesc": text }, "x-amz-matdesc", fault);
    await refused({ ...v3(wraps.aesGcm), "x-amz-m": text }, "x-amz-m", fault);
    await refused({ ...v3(wraps.kmsContext), "x-amz-t": text }, "x-amz-t", fault);
  });

  it("colons, quotes and braces in a description are accepted", () => {
    const description = { 'a":"b': '{"a":"b"}', "c\\": '\\":', d: " : " };
    const metadata = { ...v1(), "x-amz-matdesc": JSON.stringify(description) };
    expect(decodeLegacyMetadata(metadata)).toMatchObject({ description });
  });

  it("a material description beside a context, or with KMS, is refused", async () => {
    const fault = 'expected none beside x-amz-t, or with the wrap "kms+context"';
    const both = { "x-amz-m": '{"a":"b"}', "x-amz-t": '{"a":"b"}' };
    await refused({ ...v3(wraps.aesGcm), ...both }, "x-amz-m", fault);
    await refused({ ...v3(wraps.kmsContext), ...both }, "x-amz-m", fault);
    await refused({ ...without(v3(wraps.kmsContext), "x-amz-t"), "x-amz-m": '{"a":"b"}' }, "x-amz-m", fault);
  });

  it("a field that occurs twice in different cases is refused", () =>
    refused({ ...v1(), "X-Amz-IV": v1()["x-amz-iv"] ?? "" }, "x-amz-iv", "it occurs twice"));

  it("a field that is not a string is refused", () =>
    refused({ ...v1(), "x-amz-iv": 5 }, "x-amz-iv", "expected a string"));

  it("metadata with more characters than any client writes is refused", () =>
    refused(
      { ...v1(), "x-amz-matdesc": `{"a":"${"x".repeat(65_536)}"}` },
      "x-amz-matdesc",
      "expected at most 65536 characters in total",
    ));

  it("messages of decodeLegacyMetadata have no values of the description", async () => {
    for (const text of [
      '{"tenant":"secret-42"}x',
      '{"tenant":"secret-42","n":1}',
      '{"a":"secret-42","a":"1"}',
    ]) {
      const error = await errorOf(() => decodeLegacyMetadata({ ...v1(), "x-amz-matdesc": text }));
      expect(JSON.stringify([error.message, error, error.cause])).not.toContain("secret-42");
    }
  });
});

describe("isLegacyMetadata", () => {
  it.each([
    "x-amz-key",
    "X-Amz-Key-V2",
    "x-amz-3",
    "x-amz-c",
    "x-amz-iv",
    "x-amz-unencrypted-content-length",
  ])("isLegacyMetadata recognizes %s", (name) => {
    expect(isLegacyMetadata({ [name]: "1", other: "2" })).toBe(true);
    expect(isLegacyMetadata({ [name]: "" })).toBe(false);
  });

  it("isLegacyMetadata recognizes nothing else", () => {
    expect(isLegacyMetadata({})).toBe(false);
    expect(isLegacyMetadata({ "x-amz-crypto-instr-file": "header", "s3e-version": "1", key: "2" })).toBe(
      false,
    );
  });
});
