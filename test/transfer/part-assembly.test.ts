import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MemoryBudget } from "../../src/transfer/memory-budget.js";
import { PartAssembly } from "../../src/transfer/part-assembly.js";
import type { PartSizes } from "../../src/transfer/part-sizes.js";
import { cut, expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { until } from "../support/until.js";

const mebibyte = 1024 * 1024;

describe("PartAssembly", () => {
  async function* pieces(bytes: Uint8Array, ...lengths: number[]): AsyncGenerator<Buffer> {
    for (const piece of cut(bytes, ...lengths)) yield Buffer.from(piece);
  }
  const assemble = (source: AsyncIterable<Buffer>, sizes: PartSizes, ciphertextLength?: number) => {
    const budget = new MemoryBudget(Number.MAX_SAFE_INTEGER);
    const call = new AbortController();
    const assembly = { call, budget, sizes, ciphertextLength, readAheadBytes: 0 };
    return new PartAssembly({ ...assembly, plaintextBytesFor: (bytes) => bytes }).parts(source);
  };
  const parts = async (source: AsyncIterable<Buffer>, size: number, length?: number) => {
    const made = [];
    for await (const part of assemble(source, () => size, length)) made.push(part);
    return made;
  };

  it("PartAssembly joins pieces of any lengths into parts, each in memory of its own", async () => {
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

  it("PartAssembly reuses the memory of parts that were released as unread, and of no others", async () => {
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

  it("PartAssembly does not reuse memory for parts of another size", async () => {
    const sizes = [100, 200, 200, 100, 300];
    const made: Buffer[] = [];
    for await (const part of assemble(pieces(testBytes(900), 50), (number) => sizes[number - 1] ?? 0)) {
      made.push(Buffer.from(part.bytes));
      part.release(true);
    }
    expect(made.map(({ length }) => length)).toEqual(sizes);
    expectBytes(Buffer.concat(made), testBytes(900));
  });

  it("PartAssembly allocates no more than a small body of known length needs", async () => {
    const [part] = await parts(pieces(testBytes(100)), mebibyte, 100);
    expect(part?.bytes.buffer.byteLength).toBe(100);
  });

  it("PartAssembly rejects at the 10,001st part", async () => {
    expect(await parts(pieces(testBytes(10_000), 1), 1)).toHaveLength(10_000);
    const error = await errorOf(() => parts(pieces(testBytes(10_001), 1), 1));
    expect(error).toEqual(coded("SOURCE_TOO_LARGE"));
    expect(error.message).toContain("state ContentLength, or a larger partSizeBytes");
  });

  it("PartAssembly allows the plaintext of the part being filled and one chunk more to be read, and no further", async () => {
    const budget = new MemoryBudget(250);
    const call = new AbortController();
    const assembly = new PartAssembly({
      call,
      budget,
      sizes: () => 100,
      readAheadBytes: 50,
      plaintextBytesFor: (bytes) => bytes + 16,
    });
    const { allowance } = assembly;
    const made = assembly.parts(pieces(testBytes(250), 10));
    expect([allowance.limit, budget.heldBytes]).toEqual([0, 0]);
    const first = (await made.next()).value;
    expect([allowance.limit, budget.heldBytes]).toEqual([116, 150]);
    await made.next();
    expect([allowance.limit, budget.heldBytes]).toEqual([216, 250]);
    const last = made.next();
    await until(() => expect(budget.hasWaiting).toBe(true));
    expect([allowance.limit, budget.heldBytes]).toEqual([216, 200]);
    const raised = allowance.raised();
    first?.release(true);
    await raised;
    expect([(await last).value?.length, allowance.limit]).toEqual([50, 316]);
    const waiting = errorOf(() => allowance.raised());
    call.abort(new Error("enough"));
    expect((await waiting).message).toBe("enough");
  });
});
