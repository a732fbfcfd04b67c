import { describe, expect, it } from "vitest";
import { maxPartBytes } from "../../src/transfer/limits.js";
import { defaultPartBytes, maxParts, partSizes } from "../../src/transfer/part-sizes.js";
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
  ])("partSizes: %i bytes with partSizeBytes %s make equal parts of %i bytes", (length, fixed, size) => {
    const sizes = partSizes(length, fixed);
    expect(new Set([1, 2, 1000, 1001, maxParts].map(sizes))).toEqual(new Set([size]));
    expect(total(sizes)).toBeGreaterThanOrEqual(length);
  });

  it("partSizes rejects a length that no S3 object can have", async () => {
    expect(await errorOf(() => partSizes(maxParts * maxPartBytes + 1, undefined))).toEqual(
      coded("SOURCE_TOO_LARGE"),
    );
  });

  it("partSizes for an unknown length double every 1,000 parts, up to 128 MiB", () => {
    const sizes = partSizes(undefined, undefined);
    const steps = [1, 1000, 1001, 2000, 2001, 3001, 4001, 5001, maxParts].map(
      (part) => sizes(part) / mebibyte,
    );
    expect(steps).toEqual([8, 8, 16, 16, 32, 64, 128, 128, 128]);
    expect(total(sizes) / gibibyte).toBeGreaterThan(740);
  });

  it("partSizes for an unknown length stay equal when the caller sets a size", () => {
    const sizes = partSizes(undefined, 6 * mebibyte);
    expect(new Set([1, 1001, maxParts].map(sizes))).toEqual(new Set([6 * mebibyte]));
  });

  it("partSizes start at the documented default", () =>
    expect(partSizes(undefined, undefined)(1)).toBe(defaultPartBytes));
});
