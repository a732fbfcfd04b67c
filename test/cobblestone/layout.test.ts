import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bytesToRequest,
  type ChunkRange,
  chunkOffset,
  chunkRange,
  chunksOfPlaintext,
  ciphertextLength,
  fullChunks,
  lastBytesToRequest,
  maxPlaintextBytes,
  nextChunkOffset,
  plaintextBytesFor,
  plaintextBytesIn,
  plaintextLength,
  unalignedRange,
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
  ])("of %i bytes is %i, and plaintextLength inverts it", (plain, sealed) => {
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

  it("refuses a value that is not a number", () => {
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
  ])("refuses %i bytes, a size that no message has", (length) => {
    expect(() => plaintextLength(length)).toThrow(
      coded("BODY_TRUNCATED", { ciphertextLength: length }) as Error,
    );
  });

  it("accepts exactly the sizes that ciphertextLength returns", () => {
    const sizes = new Set(Array.from({ length: 33_000 }, (_, length) => ciphertextLength(length)));
    for (let size = 0; size <= 32_900; size++) {
      if (sizes.has(size)) expect(ciphertextLength(plaintextLength(size))).toBe(size);
      else expect(() => plaintextLength(size)).toThrow(coded("BODY_TRUNCATED") as Error);
    }
  });

  it("refuses a value that is not a size", () => {
    expect(() => plaintextLength(-1)).toThrow(RangeError);
    expect(() => plaintextLength(undefined as unknown as number)).toThrow(TypeError);
  });
});

describe("chunkRange", () => {
  it("has the offsets of its chunks in the plaintext and in the message", () => {
    expect(chunkRange(3, 2, 100_000)).toEqual({
      firstChunk: 3,
      chunks: 2,
      endsMessage: false,
      plaintextStart: 3 * 16_384,
      plaintextEnd: 5 * 16_384,
      plaintextBytes: 2 * 16_384,
      ciphertextStart: 56 + 3 * 16_400,
      ciphertextEnd: 56 + 5 * 16_400,
      ciphertextBytes: 2 * 16_400,
    });
    expect(chunkRange(5, 9, 100_000)).toEqual({
      firstChunk: 5,
      chunks: 2,
      endsMessage: true,
      plaintextStart: 5 * 16_384,
      plaintextEnd: 100_000,
      plaintextBytes: 100_000 - 5 * 16_384,
      ciphertextStart: 56 + 5 * 16_400,
      ciphertextEnd: ciphertextLength(100_000),
      ciphertextBytes: 100_000 - 5 * 16_384 + 32,
    });
  });

  it("covers a message without gap or overlap, and the last range ends it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 40 * 16_384 }),
        fc.integer({ min: 1, max: 9 }),
        (length, maxChunks) => {
          let [plaintext, ciphertext, firstChunk] = [0, 56, 0];
          let range: ChunkRange;
          do {
            range = chunkRange(firstChunk, maxChunks, length);
            expect([range.plaintextStart, range.ciphertextStart]).toEqual([plaintext, ciphertext]);
            expect(range.plaintextEnd - range.plaintextStart).toBe(range.plaintextBytes);
            expect(range.ciphertextEnd - range.ciphertextStart).toBe(range.ciphertextBytes);
            expect(range.chunks).toBeLessThanOrEqual(maxChunks);
            expect(fullChunks(range)).toBe(Math.floor(range.plaintextBytes / 16_384));
            [plaintext, ciphertext] = [range.plaintextEnd, range.ciphertextEnd];
            firstChunk += range.chunks;
          } while (!range.endsMessage);
          expect([plaintext, ciphertext]).toEqual([length, ciphertextLength(length)]);
        },
      ),
    );
  });

  it("of a message of unknown length has full chunks and does not end it", () => {
    expect(chunkRange(0, 512)).toEqual(chunkRange(0, 512, 2 ** 40));
  });
});

describe("chunksOfPlaintext", () => {
  it.each([
    [0, 1, 0, 0],
    [16_383, 16_384, 0, 0],
    [16_384, 16_385, 1, 1],
    [16_383, 16_385, 0, 1],
    [100_000, 200_000, 6, 12],
  ])("for bytes %i to %i is chunks %i to %i", (start, end, firstChunk, lastChunk) => {
    const range = chunkRange(firstChunk, lastChunk - firstChunk + 1);
    expect(chunksOfPlaintext(start, end)).toEqual(range);
    expect(chunksOfPlaintext(start, end, 2 ** 30)).toEqual(range);
  });

  it.each([
    [0, 16_384, 0, 2],
    [16_384, 32_768, 1, 2],
    [16_383, 32_767, 0, 2],
    [40_000, 40_001, 2, 1],
  ])("for bytes %i to %i, the last of all, includes the last chunk", (start, end, firstChunk, chunks) => {
    expect(chunksOfPlaintext(start, end, end)).toMatchObject({
      firstChunk,
      chunks,
      endsMessage: true,
      ciphertextEnd: ciphertextLength(end),
    });
  });

  it("lies within what bytesToRequest and lastBytesToRequest fetch, whatever the length of the message", () => {
    const near = fc.oneof(
      fc.nat(100_000),
      fc.nat(6).map((chunks) => chunks * 16_384),
    );
    fc.assert(
      fc.property(near, fc.nat(50_000), fc.nat(50_000), (start, more, rest) => {
        const end = start + more + 1;
        const length = end + rest;
        const { ciphertextStart, ciphertextEnd } = chunksOfPlaintext(start, end, length);
        const requested = bytesToRequest(start, end);
        expect(requested.start).toBe(ciphertextStart);
        expect(requested.end).toBeGreaterThanOrEqual(ciphertextEnd);
        const last = chunksOfPlaintext(start, length, length);
        const total = ciphertextLength(length);
        expect(total - lastBytesToRequest(length - start)).toBeLessThanOrEqual(last.ciphertextStart);
      }),
    );
  });
});

describe("unalignedRange", () => {
  it.each([
    [0, 56, 0, 1],
    [0, 57, 0, 1],
    [56, 56 + 16_400, 0, 1],
    [56, 56 + 16_401, 0, 2],
    [56 + 16_399, 56 + 16_401, 0, 2],
    [56 + 16_400, 56 + 16_401, 1, 1],
  ])("of bytes %i to %i touches chunk %i and so on, %i in all", (start, end, firstChunk, chunks) => {
    expect(unalignedRange(start, end, 100_000)).toMatchObject({ start, end, firstChunk, chunks });
  });
});

describe("nextChunkOffset", () => {
  it.each([
    [0, 56],
    [56, 56],
    [57, 16_456],
    [16_456, 16_456],
    [16_457, 32_856],
  ])("at or after byte %i is %i", (offset, next) => {
    expect(nextChunkOffset(offset)).toBe(next);
  });
});

describe("plaintextBytesIn", () => {
  it("counts the ciphertext bytes of a partial chunk: 8 MiB of a message hold 8,380,376 plaintext bytes", () => {
    // 511 whole chunks and the first 8,152 bytes of the next one. The tag of a chunk follows its ciphertext, so each of
    // these bytes stands for a byte of plaintext. Subtracting 16 bytes for a tag, which gives 8,380,360, would be wrong.
    expect(plaintextBytesIn(8 * 2 ** 20, 25 * 2 ** 20)).toBe(511 * 16_384 + 8152);
    expect(511 * 16_384 + 8152).toBe(8_380_376);
  });

  it.each([
    [0, 0],
    [56, 0],
    [57, 1],
    [56 + 16_384, 16_384],
    [56 + 16_385, 16_384],
    [56 + 16_400, 16_384],
    [56 + 16_401, 16_385],
  ])("of the first %i bytes is %i", (ciphertextBytes, plaintextBytes) => {
    expect(plaintextBytesIn(ciphertextBytes, 100_000)).toBe(plaintextBytes);
  });

  it("never exceeds the plaintext, grows, and is exact at the end", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 200_000 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true })),
        (length, places) => {
          const total = ciphertextLength(length);
          expect(plaintextBytesIn(total, length)).toBe(length);
          const counts = places
            .sort((left, right) => left - right)
            .map((at) => plaintextBytesIn(Math.floor(at * total), length));
          const ordered = [0, ...counts, length];
          expect(ordered).toEqual([...ordered].sort((left, right) => left - right));
        },
      ),
    );
  });
});

describe("plaintextBytesFor", () => {
  it("is the number of plaintext bytes that yield one more byte of the message", () => {
    for (const ciphertextBytes of [0, 1, 55, 56, 57, 16_455, 16_456, 16_457, 100_000]) {
      const needed = plaintextBytesFor(ciphertextBytes);
      expect(chunkOffset(needed / 16_384)).toBeGreaterThan(ciphertextBytes);
      expect(chunkOffset(Math.max(0, needed / 16_384 - 1))).toBeLessThanOrEqual(
        Math.max(56, ciphertextBytes),
      );
    }
  });
});
