import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  chunkCount,
  chunkOffset,
  chunkSpan,
  ciphertextLength,
  maxPlaintextBytes,
  plaintextLength,
} from "../../src/cobblestone/layout.js";
import { coded } from "../support/errors.js";

describe("ciphertextLength", () => {
  it.each([
    [0, 72],
    [1, 73],
    [16_383, 16_455],
    [16_384, 16_472],
    [16_385, 16_473],
    [32_767, 32_855],
    [32_768, 32_872],
    [32_769, 32_873],
    [2 ** 52 - 1, 56 + 2 ** 52 - 1 + 2 ** 38 * 16],
  ])("of %i bytes is %i, and back", (plain, sealed) => {
    expect(ciphertextLength(plain)).toBe(sealed);
    expect(plaintextLength(sealed)).toBe(plain);
  });

  it("is inverted by plaintextLength for every size", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (n) => {
        const length = n % (maxPlaintextBytes + 1);
        expect(plaintextLength(ciphertextLength(length))).toBe(length);
      }),
    );
  });

  it.each([[-1], [1.5], [Number.NaN], [2 ** 52], [Number.POSITIVE_INFINITY]])("refuses %d", (length) => {
    expect(() => ciphertextLength(length)).toThrow(
      new RangeError(`plaintextLength: expected an integer from 0 to 4503599627370495, got ${length}`),
    );
  });

  it("refuses what is no number", () => {
    expect(() => ciphertextLength("7" as unknown as number)).toThrow(
      new TypeError("plaintextLength: expected an integer, got a string"),
    );
  });
});

describe("plaintextLength", () => {
  it.each([
    0,
    24,
    55,
    56,
    57,
    71,
    16_456,
    16_457,
    16_471,
    32_856,
    32_857,
    32_871,
    56 + 2 ** 38 * 16_400,
    56 + 2 ** 38 * 16_400 + 16,
  ])("refuses %i bytes, which no message has", (length) => {
    expect(() => plaintextLength(length)).toThrow(
      coded("BODY_TRUNCATED", { ciphertextLength: length }) as Error,
    );
  });

  it("accepts exactly the sizes that ciphertextLength gives", () => {
    const sizes = new Set(Array.from({ length: 33_000 }, (_, length) => ciphertextLength(length)));
    for (let size = 0; size <= 32_900; size++) {
      if (sizes.has(size)) expect(ciphertextLength(plaintextLength(size))).toBe(size);
      else expect(() => plaintextLength(size)).toThrow(coded("BODY_TRUNCATED") as Error);
    }
  });

  it("refuses what is no size", () => {
    expect(() => plaintextLength(-1)).toThrow(RangeError);
    expect(() => plaintextLength(undefined as unknown as number)).toThrow(TypeError);
  });
});

describe("chunkSpan", () => {
  it.each([
    [0, 1, 0, 0, 0],
    [16_383, 16_384, 0, 0, 16_383],
    [16_384, 16_385, 1, 1, 0],
    [16_383, 16_385, 0, 1, 16_383],
    [100_000, 200_000, 6, 12, 1696],
  ])("of bytes %i to %i is chunks %3$i to %4$i", (start, end, firstChunk, lastChunk, skip) => {
    expect(chunkSpan(start, end)).toEqual({
      firstChunk,
      lastChunk,
      skip,
      ciphertextStart: 56 + firstChunk * 16_400,
      ciphertextEnd: 56 + (lastChunk + 1) * 16_400,
    });
  });

  it("lies within the message", () => {
    fc.assert(
      fc.property(fc.nat(1 << 20), fc.nat(1 << 20), (a, b) => {
        const [start, end] = a < b ? [a, b] : [b, a + 1];
        const span = chunkSpan(start, end);
        expect(span.lastChunk).toBeLessThan(chunkCount(end));
        expect(span.ciphertextStart).toBe(chunkOffset(span.firstChunk));
        expect(span.ciphertextEnd).toBe(chunkOffset(span.lastChunk + 1));
      }),
    );
  });
});
