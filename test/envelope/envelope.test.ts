import { createSecretKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { deriveMessageKeys } from "../../src/cobblestone/derivation.js";
import { bodyContext, openEnvelope, requireContext, wrappingContext } from "../../src/envelope/envelope.js";
import { testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";

describe("the bindings of the encryption context", () => {
  it("wrap the data key under the context and the name of format and suite", () => {
    expect(wrappingContext({ tenant: "42", a: "1" })).toEqual({
      a: "1",
      "s3-envelope": "v1 Cobblestone-256",
      tenant: "42",
    });
  });

  it("bind the body to a label and the canonical context", () => {
    expect(bodyContext({ a: "1" }).toString("latin1")).toBe("s3-envelope/v1\0\0\x01\0\x01a\0\x011");
    expect(bodyContext({}).toString("latin1")).toBe("s3-envelope/v1\0\0\0");
  });

  it("open an envelope only with its data key and context", async () => {
    const dataKey = createSecretKey(testBytes(32));
    const encryptionContext = { tenant: "42" };
    const keys = deriveMessageKeys(dataKey, testBytes(24), bodyContext(encryptionContext));
    const envelope = { header: keys.header, encryptionContext, recipients: [] };
    expect(openEnvelope(envelope, dataKey).key.equals(keys.key)).toBe(true);
    const wrong = [
      () => openEnvelope(envelope, createSecretKey(testBytes(32, 1))),
      () => openEnvelope({ ...envelope, encryptionContext: { tenant: "43" } }, dataKey),
      () => openEnvelope({ ...envelope, encryptionContext: {} }, dataKey),
      () =>
        openEnvelope(
          { ...envelope, header: Buffer.concat([testBytes(24, 1), keys.header.subarray(24)]) },
          dataKey,
        ),
      () =>
        openEnvelope(
          { ...envelope, header: Buffer.concat([keys.header.subarray(0, 24), testBytes(32)]) },
          dataKey,
        ),
    ];
    for (const open of wrong) expect(await errorOf(open)).toEqual(coded("DECRYPTION_FAILED"));
  });
});

describe("requireContext", () => {
  it("accepts equal contexts in any order", () => {
    requireContext({}, {});
    requireContext({ a: "1", b: "2" }, { b: "2", a: "1" });
  });

  it.each([
    [{ a: "1" }, {}, '"a" is in the object but not expected'],
    [{}, { a: "1" }, '"a" is expected but not in the object'],
    [{ a: "secret-1" }, { a: "secret-2" }, '"a" has another value'],
    [{ a: "1" }, { A: "1" }, '"a" is in the object but not expected; "A" is expected but not in the object'],
    [{}, { toString: "1" }, '"toString" is expected but not in the object'],
  ])("refuses %j where %j is expected, without showing a value", async (actual, expected, message) => {
    const error = await errorOf(() => requireContext(actual as never, expected as never));
    expect(error).toEqual(coded("CONTEXT_MISMATCH"));
    expect(error.message).toBe(`the object's encryption context is not the expected one: ${message}`);
    expect(JSON.stringify([error, error.message])).not.toContain("secret");
  });

  it("compares only own entries, whatever objects inherit", () => {
    const inherited = Object.prototype as unknown as Record<string, unknown>;
    inherited.tenant = "42";
    try {
      for (const [actual, expected] of [
        [{}, { tenant: "42" }],
        [{ tenant: "42" }, {}],
      ] as const)
        expect(() => requireContext(actual, expected)).toThrow(coded("CONTEXT_MISMATCH") as Error);
    } finally {
      delete inherited.tenant;
    }
  });
});
