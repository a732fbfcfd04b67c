import { describe, expect, it } from "vitest";
import type { Envelope } from "../../src/envelope/envelope.js";
import { encodeSidecarReference } from "../../src/envelope/metadata.js";
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
  it("carries the object's key and the body's salt", () => {
    expect(sidecarKey("dir/a b", header)).toBe(`dir/a b.${header.subarray(0, 24).toString("hex")}.envelope`);
  });

  it("is refused to a writer whose key leaves no room for it; a reader is told that there is none", () => {
    expect(Buffer.byteLength(newSidecarKey("é".repeat(483), header))).toBe(1024);
    expect(sidecarKey("é".repeat(483), header)).toBe(newSidecarKey("é".repeat(483), header));
    expect(sidecarKey("é".repeat(484), header)).toBe(undefined);
    expect(() => newSidecarKey("é".repeat(484), header)).toThrow(
      new RangeError("Key: expected at most 966 bytes with a sidecar, got 968"),
    );
  });
});

describe("encodeSidecar and decodeSidecar", () => {
  it("agree", () => expect(decodeSidecar(text, header)).toEqual(envelope));

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
