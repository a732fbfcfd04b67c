import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/base/errors.js";
import type { Envelope } from "../../src/envelope/envelope.js";
import { decodeEnvelope, encodeEnvelope, encodeSidecarReference } from "../../src/envelope/metadata.js";
import { testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";

const envelope: Envelope = {
  header: testBytes(56, 9),
  encryptionContext: { tenant: "42", Zoë: "naïve \u{1f600}" },
  recipients: [
    { provider: "aws-kms", keyId: "arn:aws:kms:eu-central-1:1:key/a", ciphertext: Buffer.from("wrapped") },
  ],
};
const metadata = encodeEnvelope(envelope);
const recipients = JSON.parse(metadata["s3e-recipients"] ?? "") as Record<string, string>[];

describe("encodeEnvelope", () => {
  it("writes the documented fields", () => {
    expect(metadata).toEqual({
      "s3e-version": "1",
      "s3e-suite": "Cobblestone-256",
      "s3e-salt": testBytes(56, 9).subarray(0, 24).toString("base64"),
      "s3e-commitment": testBytes(56, 9).subarray(24).toString("base64"),
      "s3e-context": '{"Zo\\u00eb":"na\\u00efve \\ud83d\\ude00","tenant":"42"}',
      "s3e-recipients":
        '[{"provider":"aws-kms","keyId":"arn:aws:kms:eu-central-1:1:key/a","ciphertext":"d3JhcHBlZA=="}]',
    });
  });

  it("sorts the context by bytes where an object would sort by number", () => {
    const encryptionContext = { b: "3", "2": "2", "10": "1" };
    const written = encodeEnvelope({ ...envelope, encryptionContext });
    expect(written["s3e-context"]).toBe('{"10":"1","2":"2","b":"3"}');
    expect(decodeEnvelope(written)).toEqual({
      storage: "metadata",
      envelope: { ...envelope, encryptionContext },
    });
  });

  it("writes printable ASCII for any envelope, and round-trips", () => {
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        fc.dictionary(text, text, { noNullPrototype: true }),
        fc.array(fc.record({ keyId: text, length: fc.integer({ min: 1, max: 300 }) }), {
          minLength: 1,
          maxLength: 16,
        }),
        (context, keys) => {
          const names = Object.keys(context);
          fc.pre(!names.some((name) => name.startsWith("s3-envelope") || name === "__proto__"));
          const given: Envelope = {
            header: testBytes(56),
            encryptionContext: context,
            recipients: keys.map(({ keyId, length }) => ({
              provider: "p-1",
              keyId,
              ciphertext: testBytes(length),
            })),
          };
          const written = encodeEnvelope(given);
          for (const value of Object.values(written)) expect(value).toMatch(/^[\x20-\x7e]*$/);
          expect(decodeEnvelope(written)).toEqual({ storage: "metadata", envelope: given });
        },
      ),
    );
  });
});

describe("decodeEnvelope", () => {
  it("reads an encoded envelope, whatever the case of the names and the other metadata", () => {
    const beside = { Author: "me", "x-s3e-salt": "not ours" };
    const upperCase = Object.fromEntries(
      Object.entries(metadata).map(([name, value]) => [name.toUpperCase(), value]),
    );
    for (const given of [metadata, { ...beside, ...metadata }, upperCase]) {
      expect(decodeEnvelope(given)).toEqual({ storage: "metadata", envelope });
    }
  });

  it("returns undefined for metadata without a name of the envelope", () => {
    expect(decodeEnvelope({})).toBe(undefined);
    expect(decodeEnvelope({ author: "me", s3e: "x" })).toBe(undefined);
  });

  it("accepts the largest context", () => {
    const encryptionContext = { a: "x".repeat(8152) };
    expect(decodeEnvelope(encodeEnvelope({ ...envelope, encryptionContext }))).toEqual({
      storage: "metadata",
      envelope: { ...envelope, encryptionContext },
    });
  });

  it("reads a reference to a sidecar", () => {
    expect(decodeEnvelope(encodeSidecarReference(envelope.header))).toEqual({
      storage: "sidecar",
      header: envelope.header,
    });
  });

  const json = (value: unknown) => JSON.stringify(value);
  const cases: [string, Record<string, string | undefined>, ErrorCode, string][] = [
    ...Object.keys(metadata).map(
      (name) =>
        [`without ${name}`, { [name]: undefined }, "ENVELOPE_INVALID", `${name}: it is missing`] as [
          string,
          Record<string, undefined>,
          ErrorCode,
          string,
        ],
    ),
    [
      "version 2",
      { "s3e-version": "2" },
      "ENVELOPE_VERSION_UNSUPPORTED",
      's3e-version: this release reads "1" only',
    ],
    ["version 01", { "s3e-version": "01" }, "ENVELOPE_VERSION_UNSUPPORTED", "s3e-version"],
    ["another suite", { "s3e-suite": "Cobblestone-128" }, "ENVELOPE_VERSION_UNSUPPORTED", "s3e-suite"],
    [
      "a field twice, by case",
      { "S3E-Salt": metadata["s3e-salt"] },
      "ENVELOPE_INVALID",
      "s3e-salt: it appears twice",
    ],
    ["an unknown field", { "s3e-extra": "x" }, "ENVELOPE_INVALID", "one is not part of format version 1"],
    [
      "a value joined by a proxy",
      { "s3e-salt": `${metadata["s3e-salt"]}, ${metadata["s3e-salt"]}` },
      "ENVELOPE_INVALID",
      "s3e-salt",
    ],
    [
      "a short salt",
      { "s3e-salt": "AAAA" },
      "ENVELOPE_INVALID",
      "s3e-salt: expected canonical base64 of 24 bytes",
    ],
    [
      "base64url",
      { "s3e-commitment": "_".repeat(43) },
      "ENVELOPE_INVALID",
      "s3e-commitment: expected canonical base64",
    ],
    ["loose base64", { "s3e-salt": `${"A".repeat(31)} ` }, "ENVELOPE_INVALID", "s3e-salt"],
    ["an empty salt", { "s3e-salt": "" }, "ENVELOPE_INVALID", "s3e-salt"],
    [
      "a storage beside an envelope",
      { "s3e-storage": "sidecar" },
      "ENVELOPE_INVALID",
      "not part of format version 1",
    ],
    [
      "an unknown storage",
      { "s3e-storage": "elsewhere" },
      "ENVELOPE_INVALID",
      's3e-storage: expected "sidecar"',
    ],
    ["a context that is no JSON", { "s3e-context": "{" }, "ENVELOPE_INVALID", "s3e-context: expected JSON"],
    [
      "a context that is an array",
      { "s3e-context": "[]" },
      "ENVELOPE_INVALID",
      "s3e-context: expected a JSON object",
    ],
    [
      "a context that is null",
      { "s3e-context": "null" },
      "ENVELOPE_INVALID",
      "s3e-context: expected a JSON object",
    ],
    [
      "a number in the context",
      { "s3e-context": '{"a":1}' },
      "ENVELOPE_INVALID",
      "s3e-context: expected string values",
    ],
    [
      "a name twice in the context",
      { "s3e-context": '{"a":"1","a":"2"}' },
      "ENVELOPE_INVALID",
      "not in canonical form",
    ],
    [
      "an unsorted context",
      { "s3e-context": '{"b":"1","a":"2"}' },
      "ENVELOPE_INVALID",
      "not in canonical form",
    ],
    ["space in the context", { "s3e-context": '{"a": "1"}' }, "ENVELOPE_INVALID", "not in canonical form"],
    ["a raw non-ASCII letter", { "s3e-context": '{"a":"é"}' }, "ENVELOPE_INVALID", "not in canonical form"],
    ["a needless escape", { "s3e-context": '{"a":"\\u0062"}' }, "ENVELOPE_INVALID", "not in canonical form"],
    [
      "an upper-case escape",
      { "s3e-context": '{"a":"\\u00E9"}' },
      "ENVELOPE_INVALID",
      "not in canonical form",
    ],
    [
      "a prototype name",
      { "s3e-context": '{"__proto__":"x"}' },
      "ENVELOPE_INVALID",
      "this name cannot be used",
    ],
    [
      "a prototype object",
      { "s3e-context": '{"__proto__":{"a":"1"}}' },
      "ENVELOPE_INVALID",
      "expected string values",
    ],
    ["a reserved name", { "s3e-context": '{"s3-envelope":"x"}' }, "ENVELOPE_INVALID", "reserved"],
    ["a lone surrogate", { "s3e-context": '{"a":"\\ud800"}' }, "ENVELOPE_INVALID", "well-formed"],
    [
      "a context too large",
      { "s3e-context": json({ a: "x".repeat(70_000) }) },
      "ENVELOPE_INVALID",
      "at most 8159 bytes",
    ],
    [
      "a context one byte too large",
      { "s3e-context": json({ a: "x".repeat(8153) }) },
      "ENVELOPE_INVALID",
      "at most 8159 bytes",
    ],
    ["no recipient", { "s3e-recipients": "[]" }, "ENVELOPE_INVALID", "1 to 16 recipients"],
    [
      "17 recipients",
      { "s3e-recipients": json(Array(17).fill(recipients[0])) },
      "ENVELOPE_INVALID",
      "1 to 16 recipients",
    ],
    [
      "10,000 recipients",
      { "s3e-recipients": json(Array(10_000).fill({})) },
      "ENVELOPE_INVALID",
      "1 to 16 recipients",
    ],
    ["recipients that are an object", { "s3e-recipients": "{}" }, "ENVELOPE_INVALID", "1 to 16 recipients"],
    [
      "a recipient that is null",
      { "s3e-recipients": "[null]" },
      "ENVELOPE_INVALID",
      "s3e-recipients[0]: expected a JSON object",
    ],
    [
      "a recipient without provider",
      { "s3e-recipients": '[{"keyId":"k","ciphertext":"AA=="}]' },
      "ENVELOPE_INVALID",
      "expected the strings",
    ],
    [
      "a recipient with another field",
      { "s3e-recipients": json([{ ...recipients[0], extra: "x" }]) },
      "ENVELOPE_INVALID",
      "not in canonical form",
    ],
    [
      "a provider in capitals",
      { "s3e-recipients": json([{ ...recipients[0], provider: "AWS" }]) },
      "ENVELOPE_INVALID",
      "provider",
    ],
    [
      "an empty key id",
      { "s3e-recipients": json([{ ...recipients[0], keyId: "" }]) },
      "ENVELOPE_INVALID",
      "keyId",
    ],
    [
      "a long key id",
      { "s3e-recipients": json([{ ...recipients[0], keyId: "k".repeat(1025) }]) },
      "ENVELOPE_INVALID",
      "keyId",
    ],
    [
      "a lone surrogate in a key id",
      { "s3e-recipients": json([{ ...recipients[0], keyId: "\ud800" }]) },
      "ENVELOPE_INVALID",
      "well-formed Unicode",
    ],
    [
      "an empty wrapped key",
      { "s3e-recipients": json([{ ...recipients[0], ciphertext: "" }]) },
      "ENVELOPE_INVALID",
      "ciphertext",
    ],
    [
      "loose base64 in a recipient",
      { "s3e-recipients": json([{ ...recipients[0], ciphertext: "d3JhcHBlZA" }]) },
      "ENVELOPE_INVALID",
      "canonical base64",
    ],
    [
      "a huge wrapped key",
      { "s3e-recipients": json([{ ...recipients[0], ciphertext: Buffer.alloc(8193).toString("base64") }]) },
      "ENVELOPE_INVALID",
      "1 to 8192 bytes",
    ],
    [
      "an oversized envelope",
      { "s3e-context": "x".repeat(262_145) },
      "ENVELOPE_INVALID",
      "at most 262144 characters",
    ],
    [
      "an envelope whose fields together are oversized",
      { "s3e-context": "x".repeat(140_000), "s3e-recipients": "x".repeat(140_000) },
      "ENVELOPE_INVALID",
      "at most 262144 characters",
    ],
    [
      "a value that is not a string",
      { "s3e-salt": 5 as unknown as string },
      "ENVELOPE_INVALID",
      "s3e-salt: expected a string",
    ],
  ];
  it.each(cases)("refuses %s", async (_, change, code, message) => {
    const hostile = Object.fromEntries(
      Object.entries({ ...metadata, ...change }).filter(([, value]) => value !== undefined),
    ) as Record<string, string>;
    const error = await errorOf(() => decodeEnvelope(hostile));
    expect(error).toEqual(coded(code));
    expect(error.message).toContain(message);
  });

  it("throws only coded errors, whatever one field contains", () => {
    const value = fc.oneof(fc.string(), fc.json(), fc.base64String());
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(metadata)), value, (name, text) => {
        try {
          decodeEnvelope({ ...metadata, [name]: text });
        } catch (error) {
          expect([coded("ENVELOPE_INVALID"), coded("ENVELOPE_VERSION_UNSUPPORTED")]).toContainEqual(error);
        }
      }),
      { numRuns: 500 },
    );
  });
});
