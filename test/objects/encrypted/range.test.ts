import { describe, expect, it } from "vitest";
import { chunkRange } from "../../../src/cobblestone/layout.js";
import { planRange } from "../../../src/objects/encrypted/range.js";
import { coded } from "../../support/errors.js";

const attempt = { operation: "GetObject", bucket: "b", key: "k" };

describe("planRange", () => {
  // The message of one plaintext byte has 73 bytes: 56 of header, 17 of its one chunk.
  it("accepts a response that holds the chunks", () => {
    for (const [answer, skipCiphertext] of [
      ["bytes 56-72/73", 0],
      ["bytes 0-72/73", 56],
    ] as const) {
      expect(planRange({ first: 0, last: 0 }, answer, attempt)).toEqual({
        start: 0,
        length: 1,
        plaintextLength: 1,
        totalBytes: 73,
        skipCiphertext,
        chunkRange: chunkRange(0, 1, 1),
        skipPlaintext: 0,
      });
    }
  });

  it.each([
    ["starts too late", "bytes 57-72/73"],
    ["ends too early", "bytes 56-71/73"],
    ["is missing", undefined],
    ["names no range", "bytes */73"],
    ["has another unit", "items 56-72/73"],
    ["has no total", "bytes 56-72/*"],
    ["has a number out of bounds", "bytes 56-72/99999999999999999999"],
  ])("refuses a response that %s", (_, answer) => {
    expect(() => planRange({ first: 0, last: 0 }, answer, attempt)).toThrow(
      coded("S3_REQUEST_FAILED") as Error,
    );
  });

  it("refuses a response without the empty chunk after the last full one", () => {
    const all = { first: 0, last: undefined };
    expect(planRange(all, "bytes 56-16471/16472", attempt).chunkRange.endsMessage).toBe(true);
    expect(() => planRange(all, "bytes 56-16455/16472", attempt)).toThrow(
      coded("S3_REQUEST_FAILED") as Error,
    );
  });
});
