import { afterEach, describe, expect, it, vi } from "vitest";
import type { Envelope } from "../../src/envelope/envelope.js";
import { decodeEnvelope, encodeEnvelope, encodeSidecarReference } from "../../src/envelope/metadata.js";
import { decodeSidecar, encodeSidecar, newSidecarKey, sidecarKey } from "../../src/envelope/sidecar.js";
import { testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";

const header = testBytes(56, 4);
const envelope: Envelope = {
  header,
  encryptionContext: { a: "1" },
  recipients: [{ provider: "aes", keyId: "k", ciphertext: Buffer.of(1) }],
};
const text = encodeSidecar(envelope);

describe("sidecarKey", () => {
  it("consists of the object's key and the body's salt", () => {
    expect(sidecarKey("dir/a b", header)).toBe(`dir/a b.${header.subarray(0, 24).toString("hex")}.envelope`);
  });

  it("throws for a writer whose key is too long, and is undefined for a reader", () => {
    expect(Buffer.byteLength(newSidecarKey("é".repeat(483), header))).toBe(1024);
    expect(sidecarKey("é".repeat(483), header)).toBe(newSidecarKey("é".repeat(483), header));
    expect(sidecarKey("é".repeat(484), header)).toBe(undefined);
    expect(() => newSidecarKey("é".repeat(484), header)).toThrow(
      new RangeError("Key: expected at most 966 bytes with a sidecar, got 968"),
    );
  });
});

describe("encodeSidecar and decodeSidecar", () => {
  it("round-trip an envelope", () => expect(decodeSidecar(text, header)).toEqual(envelope));

  it.each([
    ["no JSON", "x", "expected JSON"],
    ["null", "null", "expected a JSON object"],
    ["a string", '"x"', "expected a JSON object"],
    ["nothing of ours", "{}", "expected a whole envelope"],
    [
      "a reference to a sidecar",
      `${JSON.stringify(encodeSidecarReference(header), null, 2)}\n`,
      "expected a whole envelope",
    ],
    ["another spacing", text.replaceAll("\n", ""), "not in canonical form"],
    ["a field twice", text.replace("{", '{\n  "s3e-version": "1",'), "not in canonical form"],
    ["far too much", `${text}${" ".repeat(262_145)}`, "at most 262144 characters"],
  ])("refuse %s", async (_, hostile, message) => {
    const error = await errorOf(() => decodeSidecar(hostile, header));
    expect(error).toEqual(coded("ENVELOPE_INVALID"));
    expect(error.message).toContain(message);
  });

  it("refuse the sidecar of another body", async () => {
    const otherCommitment = Buffer.concat([header.subarray(0, 24), testBytes(32, 5)]);
    for (const other of [testBytes(56, 5), otherCommitment]) {
      const error = await errorOf(() => decodeSidecar(text, other));
      expect(error).toEqual(coded("ENVELOPE_INVALID"));
      expect(error.message).toContain("it belongs to another object");
    }
  });
});

describe("a context that is far too large", () => {
  afterEach(() => vi.restoreAllMocks());
  /** So many names, the last of them first. */
  const unsorted = (names: number) =>
    JSON.stringify(
      Object.fromEntries(Array.from({ length: names }, (_, i) => [(99_999 - i).toString(36), ""])),
    );
  const withContext = (context: string) => ({ ...encodeEnvelope(envelope), "s3e-context": context });

  it("with 18,000 names is refused before it is parsed, in a sidecar and in metadata", async () => {
    const fields = withContext(unsorted(18_000));
    const hostile = `${JSON.stringify(fields, null, 2)}\n`;
    expect(hostile.length).toBeGreaterThan(250_000);
    expect(hostile.length).toBeLessThan(262_144);
    const parse = vi.spyOn(JSON, "parse");
    for (const decode of [() => decodeSidecar(hostile, header), () => decodeEnvelope(fields)]) {
      const error = await errorOf(decode);
      expect(error).toEqual(coded("ENVELOPE_INVALID", { field: "s3e-context" }));
      expect(error.message).toContain("at most 8159 bytes");
    }
    expect(parse.mock.calls.map(([given]) => given)).toEqual([hostile]);
  });

  it("with as many names as can be parsed is refused before they are sorted", async () => {
    const fields = withContext(unsorted(4000));
    const sort = vi.spyOn(Array.prototype, "sort");
    const error = await errorOf(() => decodeEnvelope(fields));
    const sorted = sort.mock.contexts.map((names) => (names as unknown[]).length);
    expect(error).toEqual(coded("ENVELOPE_INVALID", { field: "s3e-context" }));
    expect(error.message).toContain("at most 8159 bytes");
    expect(sorted).toEqual([]);
  });

  it("does not include one that merely takes many characters in JSON", () => {
    for (const unit of ["\u0001", "é", "～", "😀"]) {
      const value = unit.repeat(Math.floor(8152 / Buffer.byteLength(unit)));
      const large = { ...envelope, encryptionContext: { a: value } };
      expect(decodeSidecar(encodeSidecar(large), header)).toEqual(large);
    }
  });
});
