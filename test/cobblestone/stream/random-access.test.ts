import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encrypt } from "../../../src/cobblestone/stream/message.js";
import { openRandomAccess, type RandomAccessSource } from "../../../src/cobblestone/stream/random-access.js";
import { collect, expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";

const dataKey = testBytes(32, 2);
const plaintext = testBytes(100_000);
const sealed = collect(encrypt(plaintext, { dataKey }));

function sourceOf(bytes: Uint8Array): RandomAccessSource & { readonly reads: [number, number][] } {
  const reads: [number, number][] = [];
  return {
    reads,
    length: bytes.length,
    async read(start, end) {
      reads.push([start, end]);
      return bytes.subarray(start, end);
    },
  };
}

describe("openRandomAccess", () => {
  it("reads the same bytes as slice for any offsets", async () => {
    const reader = await openRandomAccess(sourceOf(await sealed), { dataKey });
    await fc.assert(
      fc.asyncProperty(fc.nat(110_000), fc.nat(60_000), async (start, length) => {
        expectBytes(await reader.read(start, start + length), plaintext.subarray(start, start + length));
      }),
    );
  });

  it("reads only the chunks that it needs", async () => {
    const source = sourceOf(await sealed);
    const reader = await openRandomAccess(source, { dataKey });
    await reader.read(20_000, 20_001);
    await reader.read(16_383, 16_385);
    await reader.verifyLength();
    expect(source.reads).toEqual([
      [0, 56],
      [56 + 16_400, 56 + 2 * 16_400],
      [56, 56 + 2 * 16_400],
      [56 + 6 * 16_400, source.length],
    ]);
  });

  it("verifies only the chunks that it reads", async () => {
    const bytes = Buffer.from(await sealed);
    bytes[56 + 2 * 16_400] = (bytes[56 + 2 * 16_400] ?? 0) ^ 1;
    const reader = await openRandomAccess(sourceOf(bytes), { dataKey });
    expectBytes(await reader.read(0, 32_768), plaintext.subarray(0, 32_768));
    await expect(reader.read(32_768, 32_769)).rejects.toEqual(coded("DECRYPTION_FAILED"));
    await expect(reader.read(0, 100_000)).rejects.toEqual(coded("DECRYPTION_FAILED"));
    expectBytes(await reader.read(50_000, 100_000), plaintext.subarray(50_000));
  });

  it("refuses a wrong key before it reads a chunk", async () => {
    const source = sourceOf(await sealed);
    const error = await errorOf(() => openRandomAccess(source, { dataKey: Buffer.alloc(32) }));
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    expect(source.reads).toEqual([[0, 56]]);
  });

  it("proves the length by the last chunk", async () => {
    const cutOff = (await sealed).subarray(0, 56 + 3 * 16_400 + 20);
    const reader = await openRandomAccess(sourceOf(cutOff), { dataKey });
    await expect(reader.verifyLength()).rejects.toEqual(coded("DECRYPTION_FAILED"));
  });

  it("proves the end of a plaintext of whole chunks, whose last chunk is empty", async () => {
    const bytes = await collect(encrypt(plaintext.subarray(0, 32_768), { dataKey }));
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    const reader = await openRandomAccess(sourceOf(bytes), { dataKey });
    expectBytes(await reader.read(0, 32_767), plaintext.subarray(0, 32_767));
    for (const [start, end] of [
      [0, 32_768],
      [32_767, 32_768],
      [20_000, 50_000],
    ] as const) {
      await expect(reader.read(start, end)).rejects.toEqual(coded("DECRYPTION_FAILED"));
    }
    await expect(reader.verifyLength()).rejects.toEqual(coded("DECRYPTION_FAILED"));
  });

  it("refuses a size that no message has", async () => {
    const source = sourceOf((await sealed).subarray(0, 56 + 16_400));
    expect(await errorOf(() => openRandomAccess(source, { dataKey }))).toEqual(coded("BODY_TRUNCATED"));
    expect(source.reads).toEqual([]);
  });

  it("refuses a source that returns fewer bytes than requested", async () => {
    const bytes = await sealed;
    const source = {
      length: bytes.length,
      read: async (start: number, end: number) => bytes.subarray(start, end - 1),
    };
    expect(await errorOf(() => openRandomAccess(source, { dataKey }))).toEqual(coded("BODY_TRUNCATED"));
  });

  it("refuses a source that returns more bytes than requested", async () => {
    const bytes = await sealed;
    const source = {
      length: bytes.length,
      read: async (start: number, end: number) => bytes.subarray(start, end + 1),
    };
    expect(await errorOf(() => openRandomAccess(source, { dataKey }))).toEqual(coded("BODY_TRUNCATED"));
  });

  it("refuses wrong arguments", async () => {
    const reader = await openRandomAccess(sourceOf(await sealed), { dataKey });
    await expect(reader.read(-1, 5)).rejects.toThrow(RangeError);
    await expect(reader.read(6, 5)).rejects.toThrow("end: expected an integer from 6 to");
    await expect(reader.read(0, 1.5)).rejects.toThrow(RangeError);
    const bad = { length: 72, read: undefined } as unknown as RandomAccessSource;
    expect(await errorOf(() => openRandomAccess(bad, { dataKey }))).toEqual(
      new TypeError("source.read: expected a function, got undefined"),
    );
    const text = { length: 72, read: async () => "x" } as unknown as RandomAccessSource;
    expect(await errorOf(() => openRandomAccess(text, { dataKey }))).toBeInstanceOf(TypeError);
  });

  it.each([Number.NaN, -1, "5", undefined])("refuses the length %s and names it", async (length) => {
    const source = { length: length as number, read: async () => Buffer.alloc(0) };
    const error = await errorOf(() => openRandomAccess(source, { dataKey: Buffer.alloc(32, 1) }));
    expect([TypeError, RangeError]).toContain(error.constructor);
    expect(error.message).toMatch(/^source\.length: expected an integer/);
  });
});
