import { createSecretKey } from "node:crypto";
import { expect, it } from "vitest";
import { batchOf, type ChunkBatch, outputBytes, processInPlace } from "../../src/cobblestone/batch.js";
import { openChunk, sealChunk } from "../../src/cobblestone/chunk.js";
import { deriveMessageKeys } from "../../src/cobblestone/derivation.js";
import { chunkBytes, sealedBytes, sealedChunkBytes } from "../../src/cobblestone/layout.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";

const keys = deriveMessageKeys(createSecretKey(testBytes(32, 1)), testBytes(24, 2), Buffer.alloc(0));
const batch = (kind: ChunkBatch["kind"], chunks: number): ChunkBatch => ({
  kind,
  key: keys.key,
  baseNonce: Uint8Array.from(keys.baseNonce),
  firstChunk: 5,
  chunks,
});
const bufferOf = (bytes: Buffer, chunks: number) => {
  const buffer = Buffer.alloc(sealedBytes(chunks), 0xee);
  bytes.copy(buffer);
  return buffer;
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

it("processInPlace seals the same bytes as sealChunk one by one", () => {
  const buffer = bufferOf(plaintext, 3);
  processInPlace(batch("seal", 3), buffer);
  expect(outputBytes(batch("seal", 3))).toBe(sealed.length);
  expectBytes(buffer, sealed);
});

it("processInPlace opens chunks in place", () => {
  const buffer = bufferOf(sealed, 3);
  processInPlace(batch("open", 3), buffer);
  expect(outputBytes(batch("open", 3))).toBe(plaintext.length);
  expectBytes(buffer.subarray(0, plaintext.length), plaintext);
});

it("processInPlace does not change the rest of a larger buffer", () => {
  const buffer = bufferOf(plaintext.subarray(0, chunkBytes), 3);
  processInPlace(batch("seal", 1), buffer);
  expectBytes(buffer.subarray(0, sealedChunkBytes), sealed.subarray(0, sealedChunkBytes));
  expect(buffer.subarray(sealedChunkBytes).every((byte) => byte === 0xee)).toBe(true);
});

it.each([0, 1, 2])(
  "processInPlace overwrites the whole buffer if chunk %i does not verify",
  async (chunk) => {
    const buffer = bufferOf(sealed, 3);
    buffer.writeUInt8(buffer.readUInt8(chunk * sealedChunkBytes) ^ 1, chunk * sealedChunkBytes);
    expect(await errorOf(() => processInPlace(batch("open", 3), buffer))).toEqual(coded("DECRYPTION_FAILED"));
    expect(buffer.every((byte) => byte === 0)).toBe(true);
  },
);

it("a chunk that processInPlace sealed can be opened alone", () => {
  const buffer = bufferOf(plaintext, 3);
  processInPlace(batch("seal", 3), buffer);
  const second = buffer.subarray(sealedChunkBytes, 2 * sealedChunkBytes);
  expectBytes(openChunk(keys, 6, second), plaintext.subarray(chunkBytes, 2 * chunkBytes));
});

it("batchOf copies the base nonce, because posting a view to a worker copies all the memory behind it", () => {
  expect(batchOf("open", keys, 0, 1).baseNonce.buffer.byteLength).toBe(12);
});
