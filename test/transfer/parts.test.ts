import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ciphertextLength, plaintextLength } from "../../src/cobblestone/layout.js";
import { MemoryBudget } from "../../src/transfer/memory-budget.js";
import { PartLeases } from "../../src/transfer/part-leases.js";
import {
  assembleParts,
  defaultPartBytes,
  maxPartBytes,
  maxParts,
  type PartSizes,
  partSizes,
  plaintextBytesBefore,
} from "../../src/transfer/parts.js";
import { cut, expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";

const mebibyte = 1024 * 1024;
const gibibyte = 1024 * mebibyte;
const total = (sizes: (part: number) => number) => {
  let bytes = 0;
  for (let part = 1; part <= maxParts; part++) bytes += sizes(part);
  return bytes;
};

describe("partSizes", () => {
  it.each([
    [72, undefined, 8 * mebibyte],
    [78 * gibibyte, undefined, 8 * mebibyte],
    [100 * gibibyte, undefined, 11 * mebibyte],
    [5 * 1024 * gibibyte, undefined, 525 * mebibyte],
    [maxParts * maxPartBytes, undefined, maxPartBytes],
    [100 * gibibyte, 64 * mebibyte, 64 * mebibyte],
    [1024 * gibibyte, 5 * mebibyte, 105 * mebibyte],
  ])("for %i bytes and a wish of %s are all %i", (length, wish, size) => {
    const sizes = partSizes(length, wish);
    expect(new Set([1, 2, 1000, 1001, maxParts].map(sizes))).toEqual(new Set([size]));
    expect(total(sizes)).toBeGreaterThanOrEqual(length);
  });

  it("refuse what no object of S3 holds", async () => {
    expect(await errorOf(() => partSizes(maxParts * maxPartBytes + 1, undefined))).toEqual(
      coded("SOURCE_TOO_LARGE"),
    );
  });

  it("of an unknown length double every 1,000 parts up to 128 MiB", () => {
    const sizes = partSizes(undefined, undefined);
    const steps = [1, 1000, 1001, 2000, 2001, 3001, 4001, 5001, maxParts].map(
      (part) => sizes(part) / mebibyte,
    );
    expect(steps).toEqual([8, 8, 16, 16, 32, 64, 128, 128, 128]);
    expect(total(sizes) / gibibyte).toBeGreaterThan(740);
  });

  it("of an unknown length stay equal when the caller fixed one", () => {
    const sizes = partSizes(undefined, 6 * mebibyte);
    expect(new Set([1, 1001, maxParts].map(sizes))).toEqual(new Set([6 * mebibyte]));
  });

  it("start at the documented default", () =>
    expect(partSizes(undefined, undefined)(1)).toBe(defaultPartBytes));
});

describe("assembleParts", () => {
  async function* pieces(bytes: Uint8Array, ...lengths: number[]): AsyncGenerator<Buffer> {
    for (const piece of cut(bytes, ...lengths)) yield Buffer.from(piece);
  }
  const assemble = (source: AsyncIterable<Buffer>, sizes: PartSizes, ciphertextLength?: number) => {
    const budget = new MemoryBudget(Number.MAX_SAFE_INTEGER);
    const shares = new PartLeases(budget, new AbortController(), 0);
    const none = () => undefined;
    return assembleParts(source, { sizes, ciphertextLength, shares, onRoom: none, onWait: none });
  };
  const parts = async (source: AsyncIterable<Buffer>, size: number, length?: number) => {
    const made = [];
    for await (const part of assemble(source, () => size, length)) made.push(part);
    return made;
  };

  it("cuts as it should, whatever the pieces, in memory of its own", async () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 700 }),
        lengths,
        fc.boolean(),
        async (length, size, cuts, known) => {
          const bytes = testBytes(length);
          const made = await parts(pieces(bytes, ...cuts), size, known ? length : undefined);
          expectBytes(Buffer.concat(made.map((part) => part.bytes)), bytes);
          expect(made.map(({ partNumber }) => partNumber)).toEqual(made.map((_, index) => index + 1));
          expect(new Set(made.slice(0, -1).map((part) => part.bytes.length))).toEqual(
            new Set(made.length > 1 ? [size] : []),
          );
          expect(made.map(({ isLast }) => isLast)).toEqual(made.map((_, index) => index === made.length - 1));
          expect(made.map(({ start }) => start)).toEqual(made.map((_, index) => index * size));
          expect(made.map((part) => part.length)).toEqual(made.map((part) => part.bytes.length));
          expect(made.at(-1)?.bytes.length).toBeGreaterThan(0);
          // Not a view into the shared pool, which would pin it.
          for (const part of made) expect(part.bytes.buffer.byteLength).toBeLessThanOrEqual(size);
          expect(new Set(made.map((part) => part.bytes.buffer)).size).toBe(made.length);
        },
      ),
    );
  });

  it("uses the memory of parts that were released again, and of no others", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }), async (releases) => {
        const bytes = testBytes(30 * 500, 1);
        const inUse = new Set<ArrayBufferLike>();
        const used = new Set<ArrayBufferLike>();
        for await (const part of assemble(pieces(bytes, 77), () => 500)) {
          const start = (part.partNumber - 1) * 500;
          expectBytes(part.bytes, bytes.subarray(start, start + 500));
          expect(inUse).not.toContain(part.bytes.buffer);
          used.add(part.bytes.buffer);
          const { buffer } = part.bytes;
          const isUnread = releases[part.partNumber - 1] ?? false;
          part.release(isUnread);
          expect(part.bytes.length).toBe(0);
          if (!isUnread) inUse.add(buffer);
        }
        const released = releases.filter(Boolean).length;
        expect(used.size).toBeLessThanOrEqual(30 - released + 2);
      }),
    );
  });

  it("does not use released memory for parts of another size", async () => {
    const sizes = [100, 200, 200, 100, 300];
    const made: Buffer[] = [];
    for await (const part of assemble(pieces(testBytes(900), 50), (number) => sizes[number - 1] ?? 0)) {
      made.push(Buffer.from(part.bytes));
      part.release(true);
    }
    expect(made.map(({ length }) => length)).toEqual(sizes);
    expectBytes(Buffer.concat(made), testBytes(900));
  });

  it("takes no more memory than a small body of known length needs", async () => {
    const [part] = await parts(pieces(testBytes(100)), mebibyte, 100);
    expect(part?.bytes.buffer.byteLength).toBe(100);
  });

  it("stops at the 10,001st part", async () => {
    expect(await parts(pieces(testBytes(10_000), 1), 1)).toHaveLength(10_000);
    const error = await errorOf(() => parts(pieces(testBytes(10_001), 1), 1));
    expect(error).toEqual(coded("SOURCE_TOO_LARGE"));
    expect(error.message).toContain("state ContentLength, or a larger partSizeBytes");
  });
});

it("plaintextBytesBefore never counts too much, grows, and is exact at the end", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 200_000 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true })),
      (length, cuts) => {
        const total = ciphertextLength(length);
        expect(plaintextBytesBefore(total)).toBe(length);
        expect(plaintextBytesBefore(total)).toBe(plaintextLength(total));
        const counts = cuts
          .sort((left, right) => left - right)
          .map((at) => plaintextBytesBefore(Math.floor(at * total)));
        const ordered = [0, ...counts, length];
        expect(ordered).toEqual([...ordered].sort((left, right) => left - right));
      },
    ),
  );
});
