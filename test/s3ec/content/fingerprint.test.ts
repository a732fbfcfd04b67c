import { expect, it } from "vitest";
import { PieceFingerprints } from "../../../src/s3ec/content/fingerprint.js";
import { testBytes } from "../../support/bytes.js";

it("PieceFingerprints recognizes each piece, however its bytes were added, and no other bytes", () => {
  const bytes = testBytes(2_500);
  for (const sizes of [[2_500], [999, 1, 1_000, 500], [1, 1_998, 501], [0, 2_000, 500]]) {
    const hashes = new PieceFingerprints(1_000);
    let at = 0;
    for (const size of sizes) {
      hashes.add(bytes.subarray(at, at + size));
      at += size;
    }
    for (const index of [0, 1, 2]) {
      const piece = Buffer.from(bytes.subarray(index * 1_000, (index + 1) * 1_000));
      // Called twice: a comparison does not end the hash.
      expect([hashes.isPiece(index, piece), hashes.isPiece(index, piece)]).toEqual([true, true]);
      expect(hashes.isPiece(index + 1, piece)).toBe(false);
      expect(hashes.isPiece(index, piece.subarray(1))).toBe(false);
      piece[piece.length - 1] = (piece.at(-1) ?? 0) ^ 1;
      expect(hashes.isPiece(index, piece)).toBe(false);
    }
    expect(hashes.isPiece(3, Buffer.alloc(0))).toBe(false);
  }
});
