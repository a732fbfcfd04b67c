import { createSecretKey } from "node:crypto";
import { expect, it } from "vitest";
import { batchOf, type ChunkBatch, outputBytes, processInPlace } from "../../src/cobblestone/batch.js";
import { openChunk, sealChunk } from "../../src/cobblestone/chunk.js";
import { deriveMessageKeys } from "../../src/cobblestone/derivation.js";
import { chunkBytes, sealedBytes, sealedChunkBytes } from "../../src/cobblestone/layout.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";

const keys = deriveMessageKeys(createSecretKey(testBytes(32, 1)), testBytes(24, 2), Buffer.alloc(0));
const run = (kind: ChunkBatch["kind"], chunks: number): ChunkBatch => ({
  kind,
  key: keys.key,
  baseNonce: Uint8Array.from(keys.baseNonce),
  firstChunk: 5,
  chunks,
});
const slabOf = (bytes: Buffer, chunks: number) => {
  const slab = Buffer.alloc(sealedBytes(chunks), 0xee);
  bytes.copy(slab);
  return slab;
};
const plaintext = testBytes(3 * chunkBytes);
const sealed = Buffer.concat(
  [0, 1, 2].flatMap((chunk) => {
    const { ciphertext, tag } = sealChunk(
      keys,
      5 + chunk,
      plaintext.subarray(chunk * chunkBytes, (chunk + 1) * chunkBytes),
    );
    return [ciphertext, tag];
  }),
);

it("chunks sealed in place are those sealed one by one", () => {
  const slab = slabOf(plaintext, 3);
  processInPlace(run("seal", 3), slab);
  expect(outputBytes(run("seal", 3))).toBe(sealed.length);
  expectBytes(slab, sealed);
});

it("chunks are opened in place", () => {
  const slab = slabOf(sealed, 3);
  processInPlace(run("open", 3), slab);
  expect(outputBytes(run("open", 3))).toBe(plaintext.length);
  expectBytes(slab.subarray(0, plaintext.length), plaintext);
});

it("a run leaves the rest of a larger slab as it is", () => {
  const slab = slabOf(plaintext.subarray(0, chunkBytes), 3);
  processInPlace(run("seal", 1), slab);
  expectBytes(slab.subarray(0, sealedChunkBytes), sealed.subarray(0, sealedChunkBytes));
  expect(slab.subarray(sealedChunkBytes).every((byte) => byte === 0xee)).toBe(true);
});

it.each([0, 1, 2])("nothing is left of chunks of which number %i does not verify", async (chunk) => {
  const slab = slabOf(sealed, 3);
  slab.writeUInt8(slab.readUInt8(chunk * sealedChunkBytes) ^ 1, chunk * sealedChunkBytes);
  expect(await errorOf(() => processInPlace(run("open", 3), slab))).toEqual(coded("DECRYPTION_FAILED"));
  expect(slab.every((byte) => byte === 0)).toBe(true);
});

it("a chunk sealed in place opens by itself", () => {
  const slab = slabOf(plaintext, 3);
  processInPlace(run("seal", 3), slab);
  const second = slab.subarray(sealedChunkBytes, 2 * sealedChunkBytes);
  expectBytes(openChunk(keys, 6, second), plaintext.subarray(chunkBytes, 2 * chunkBytes));
});

it("a run takes no memory along but its own: a copy for a worker has all that lies behind a view", () => {
  expect(batchOf("open", keys, 0, 1).baseNonce.buffer.byteLength).toBe(12);
});
