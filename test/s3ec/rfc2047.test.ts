import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeMetadataText } from "../../src/s3ec/rfc2047.js";

const widened = (text: string) => Buffer.from(text).toString("latin1");
const q = (bytes: Buffer) =>
  `=?UTF-8?Q?${[...bytes].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("")}?=`;
const b = (bytes: Buffer) => `=?UTF-8?B?${bytes.toString("base64")}?=`;

describe("decodeMetadataText", () => {
  it.each([
    ["the example of the reference", "=?UTF-8?Q?=C3=83=C2=A5?=", "å"],
    ["the same in base64", "=?UTF-8?B?w4PCpQ==?=", "å"],
    ["names of encoding and charset in any case", "=?utf-8?b?w4PCpQ==?= =?Utf-8?q?=c3=83=c2=a5?=", "åå"],
    ["a store that encodes once", "=?UTF-8?Q?=C3=A5?=", "å"],
    ["a store that encodes not at all, read as Latin-1", '{"a":"\u00c3\u00a5"}', '{"a":"å"}'],
    [
      "words with nothing, a space and a fold between them",
      "=?UTF-8?Q?a?==?UTF-8?Q?b?= \r\n =?UTF-8?Q?c?=",
      "abc",
    ],
    ["a character that two words share", `${q(Buffer.of(0xc3, 0x83, 0xc2))} ${q(Buffer.of(0xa5))}`, "å"],
    ["an underscore as a space, an encoded one as itself", "=?UTF-8?Q?a_b=5Fc?=", "a b_c"],
    ["a word of nothing", "=?UTF-8?Q??=", ""],
    ["Latin-1 that is no UTF-8, left as it is", "caf\u00e9", "caf\u00e9"],
    ["each run by itself", "\u00e9 \u00c3\u00a5", "\u00e9 å"],
    ["ASCII with a question mark", '{"a":"=?UTF-8?Q?x?="}', '{"a":"=?UTF-8?Q?x?="}'],
    ["text beyond Latin-1 as it is", "日本 🙂", "日本 🙂"],
    ["nothing", "", ""],
  ])("decodeMetadataText decodes %s", (_, text, expected) => expect(decodeMetadataText(text)).toBe(expected));

  it.each([
    ["another charset", "=?ISO-8859-1?Q?=E5?="],
    ["another encoding", "=?UTF-8?X?abc?="],
    ["bytes that are no UTF-8", "=?UTF-8?Q?=C3=28?="],
    ["Q with half a byte", "=?UTF-8?Q?=C?="],
    ["Q with what is no hex", "=?UTF-8?Q?=ZZ?="],
    ["base64 of a wrong length", "=?UTF-8?B?w4P?="],
    ["base64 of another alphabet", "=?UTF-8?B?w4P-?="],
    ["a word that does not end", "=?UTF-8?Q?abc"],
    ["text between words", "=?UTF-8?Q?a?= b =?UTF-8?Q?c?="],
    ["text after the last word", "=?UTF-8?Q?a?= b"],
    ["a space in a word", "=?UTF-8?Q?a b?="],
    ["just the beginning", "=?"],
  ])("decodeMetadataText refuses %s", (_, text) => expect(decodeMetadataText(text)).toBeUndefined());

  it("decodeMetadataText restores any text that S3 has encoded, and leaves ASCII unchanged", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 40 });
    fc.assert(
      fc.property(text, fc.constantFrom(q, b), fc.integer({ min: 1, max: 30 }), (original, encode, cut) => {
        const bytes = Buffer.from(widened(original));
        const words = [encode(bytes.subarray(0, cut)), encode(bytes.subarray(cut))].join(" ");
        expect(decodeMetadataText(words)).toBe(original);
        // Text in Latin-1 that is also valid UTF-8 is the only ambiguous case.
        const ascii = original.replace(/[^\0-\x7f]/g, "");
        if (!ascii.startsWith("=?")) expect(decodeMetadataText(ascii)).toBe(ascii);
      }),
    );
  });

  it("decodeMetadataText never throws, and takes linear time", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        expect(["string", "undefined"]).toContain(typeof decodeMetadataText(`=?UTF-8?Q?${text}`));
      }),
    );
    expect(decodeMetadataText("=?UTF-8?Q?".repeat(20_000))).toBeUndefined();
    expect(decodeMetadataText(`=?UTF-8?Q?a?=${" ".repeat(60_000)}x`)).toBeUndefined();
  });
});
