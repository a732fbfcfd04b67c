import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EncryptionContext } from "../../src/index.js";
import { encodeLegacyEnvelope } from "../../src/s3ec/encode.js";
import type { LegacyEnvelope } from "../../src/s3ec/envelope.js";
import { decodeInstructionFile } from "../../src/s3ec/instruction-file.js";
import { decodeLegacyMetadata, type InInstructionFile } from "../../src/s3ec/metadata.js";
import { committingSuite, gcmSuite, wraps } from "../../src/s3ec/suites.js";
import { testBytes } from "../support/bytes.js";

const written = [wraps.kmsContext, wraps.aesGcm, wraps.rsaOaepSha1];

function envelopeOf(
  format: "V2" | "V3",
  wrap: (typeof written)[number],
  description: EncryptionContext,
  storage: LegacyEnvelope["storage"],
): LegacyEnvelope {
  const suite = format === "V3" ? committingSuite : gcmSuite;
  return {
    format,
    suite,
    wrap,
    wrappedKey: testBytes(60),
    iv: testBytes(suite.ivBytes, 1),
    commitment: format === "V3" ? testBytes(28, 2) : undefined,
    description,
    contentName: suite.contentNames[0],
    storage,
  };
}

describe("encodeLegacyEnvelope", () => {
  const text = fc.string({
    unit: fc.oneof(fc.constantFrom(" ", "\t", "\n", '"', "\\", "\u2028", "é", "😀"), fc.string()),
  });
  const name = text.filter((one) => one !== "" && one !== "__proto__");
  const description = fc.dictionary(name, text, { maxKeys: 5 }).map((entries) => ({ ...entries }));

  it("an encoded envelope decodes to the same envelope, and is ASCII without white space", () => {
    const format = fc.constantFrom("V2", "V3");
    const storage = fc.constantFrom("metadata", "instruction-file");
    fc.assert(
      fc.property(
        format,
        fc.constantFrom(...written),
        description,
        storage,
        (version, wrap, entries, where) => {
          const envelope = envelopeOf(version, wrap, entries, where);
          const { metadata, instructions } = encodeLegacyEnvelope(envelope);
          for (const value of Object.values(metadata)) expect(value).toMatch(/^[\x20-\x7e]+$/);
          expect(instructions === undefined).toBe(where === "metadata");
          if (instructions === undefined) {
            expect(decodeLegacyMetadata(metadata)).toEqual(envelope);
            return;
          }
          expect(instructions).toMatch(/^[\x21-\x7e]+$/);
          const found = decodeLegacyMetadata(metadata) as InInstructionFile;
          expect(found.needsInstructionFile).toBe(true);
          expect(decodeInstructionFile(Buffer.from(instructions), found)).toEqual(envelope);
        },
      ),
    );
  });

  it("an encoded envelope has exactly these texts", () => {
    const envelope = envelopeOf("V3", wraps.aesGcm, { b: "1 2", a: "é" }, "instruction-file");
    const wrapped = testBytes(60).toString("base64");
    expect(encodeLegacyEnvelope(envelope).instructions).toBe(
      `{"x-amz-3":"${wrapped}","x-amz-m":"{\\"b\\":\\"1\\u00202\\",\\"a\\":\\"\\\\u00e9\\"}","x-amz-w":"02"}`,
    );
    expect(encodeLegacyEnvelope({ ...envelope, storage: "metadata" }).metadata).toMatchObject({
      "x-amz-m": '{"b":"1 2","a":"\\u00e9"}',
    });
  });

  it("encodeLegacyEnvelope refuses an envelope that its format cannot express", () => {
    const v3 = envelopeOf("V3", wraps.aesGcm, {}, "metadata");
    expect(() => encodeLegacyEnvelope({ ...v3, wrap: wraps.aesWrap })).toThrow("unreachable");
    expect(() => encodeLegacyEnvelope({ ...v3, commitment: undefined })).toThrow("unreachable");
    expect(() => encodeLegacyEnvelope({ ...v3, format: "V2", wrap: undefined })).toThrow("unreachable");
  });
});
