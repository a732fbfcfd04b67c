import { createSecretKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { deriveMessageKeys, openHeader } from "../../src/cobblestone/derivation.js";
import { testBytes } from "../support/bytes.js";
import { coded } from "../support/errors.js";

const dataKey = createSecretKey(testBytes(32));
const context = Buffer.from("ctx");
const { header, key } = deriveMessageKeys(dataKey, testBytes(24, 1), context);

describe("openHeader", () => {
  it("opens an unchanged header", () =>
    expect(openHeader(dataKey, header, context).key.equals(key)).toBe(true));

  it("refuses a header with any bit flipped", () => {
    for (let bit = 0; bit < 8 * header.length; bit++) {
      const tampered = Buffer.from(header);
      tampered[bit >> 3] = (tampered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => openHeader(dataKey, tampered, context)).toThrow(coded("DECRYPTION_FAILED") as Error);
    }
  });

  it("refuses a header of another length", () => {
    for (const bytes of [header.subarray(0, 55), Buffer.concat([header, Buffer.of(0)]), Buffer.alloc(0)]) {
      expect(() => openHeader(dataKey, bytes, context)).toThrow(coded("DECRYPTION_FAILED") as Error);
    }
  });
});
