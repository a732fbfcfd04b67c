import { createHash, createSecretKey } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { deriveMessageKeys, type MessageKeys } from "../../../src/cobblestone/derivation.js";
import { CryptoEngine } from "../../../src/cobblestone/engine/engine.js";
import { type SealedRange, sealRange } from "../../../src/cobblestone/engine/ranges.js";
import {
  chunkBytes,
  ciphertextLength,
  headerBytes,
  maxBufferBytes,
  sealedChunkBytes,
  unalignedRange,
} from "../../../src/cobblestone/layout.js";
import { sealSource } from "../../../src/cobblestone/stream/message.js";
import { collect, expectBytes, testBytes } from "../../support/bytes.js";
import { useEngines, workerOf } from "../../support/engines.js";
import { coded, errorOf } from "../../support/errors.js";

const { startedEngine } = useEngines();
const onThread = new CryptoEngine({ maxWorkers: 0 });
const keys: MessageKeys = deriveMessageKeys(
  createSecretKey(testBytes(32, 1)),
  testBytes(24, 2),
  testBytes(5, 3),
);

function seal(plaintext: Buffer, start: number, end: number, engine = onThread): Promise<SealedRange> {
  const range = unalignedRange(start, end, plaintext.length);
  expect(range.bufferBytes).toBeLessThanOrEqual(maxBufferBytes(end - start));
  const buffer = new Uint8Array(range.bufferBytes).fill(255);
  buffer.set(plaintext.subarray(range.plaintextStart, range.plaintextEnd));
  return sealRange(engine, keys, range, buffer.buffer);
}

const lengths = [0, 1, 100, chunkBytes - 1, chunkBytes, chunkBytes + 1, 3 * chunkBytes, 5 * chunkBytes - 1];

describe("sealRange", () => {
  it.each(lengths)(
    "yields the bytes of the whole message, for %i plaintext bytes and every pair of bounds",
    async (length) => {
      const plaintext = testBytes(length, length);
      const message = await collect(sealSource(plaintext, keys, { engine: onThread }));
      const bounds = new Set([
        0,
        1,
        headerBytes - 1,
        headerBytes,
        headerBytes + 1,
        message.length - 1,
        message.length,
      ]);
      for (let chunk = headerBytes; chunk < message.length; chunk += sealedChunkBytes) {
        for (const offset of [-17, -16, -1, 0, 1]) bounds.add(chunk + offset);
      }
      const offsets = [...bounds].filter((bound) => bound >= 0 && bound <= message.length);
      for (const start of offsets) {
        for (const end of offsets.filter((bound) => bound > start)) {
          expectBytes((await seal(plaintext, start, end)).bytes, message.subarray(start, end));
        }
      }
    },
  );

  it("yields the same bytes on the calling thread and on a worker, for any length and any bounds", async () => {
    const engine = await startedEngine();
    await fc.assert(
      fc.asyncProperty(
        fc.nat(8 * chunkBytes),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (length, from, to) => {
          const plaintext = testBytes(length, length);
          const message = await collect(sealSource(plaintext, keys, { engine: onThread }));
          const start = Math.floor(from * message.length);
          const end = start + 1 + Math.floor(to * (message.length - start - 1));
          const here = await seal(plaintext, start, end);
          expectBytes(here.bytes, message.subarray(start, end));
          const there = await seal(plaintext, start, end, engine);
          expectBytes(there.bytes, here.bytes);
          expect({ ...there, bytes: 0, buffer: 0 }).toEqual({ ...here, bytes: 0, buffer: 0 });
        },
      ),
      { numRuns: 60 },
    );
  });

  it("returns the digest of the chunk tags, and the same tag as its neighbour for a shared chunk", async () => {
    const plaintext = testBytes(3 * chunkBytes + 5);
    const message = await collect(sealSource(plaintext, keys, { engine: onThread }));
    const tagOf = (chunk: number) => {
      const end = Math.min(headerBytes + (chunk + 1) * sealedChunkBytes, message.length);
      return message.subarray(end - 16, end);
    };
    const cut = headerBytes + 2 * sealedChunkBytes - 7;
    const [left, right] = [await seal(plaintext, 0, cut), await seal(plaintext, cut, message.length)];
    const sha256 = (...tags: Buffer[]) => createHash("sha256").update(Buffer.concat(tags)).digest("hex");
    expect(left.tagDigest).toBe(sha256(tagOf(0), tagOf(1)));
    expect(right.tagDigest).toBe(sha256(tagOf(1), tagOf(2), tagOf(3)));
    expect([left.firstTag, left.lastTag]).toEqual([tagOf(0).toString("hex"), tagOf(1).toString("hex")]);
    expect([right.firstTag, right.lastTag]).toEqual([tagOf(1).toString("hex"), tagOf(3).toString("hex")]);
    const changed = Buffer.from(plaintext);
    changed[chunkBytes] = (changed[chunkBytes] ?? 0) ^ 1;
    expect((await seal(changed, 0, cut)).tagDigest).not.toBe(left.tagDigest);
    expect((await seal(changed, cut, message.length)).firstTag).not.toBe(right.firstTag);
  });

  it("seals parts of the default size, which are not aligned to chunks", async () => {
    const plaintext = testBytes(20 * 1024 * 1024 + 3);
    const message = await collect(sealSource(plaintext, keys, { engine: onThread }));
    expect(message.length).toBe(ciphertextLength(plaintext.length));
    const partBytes = 8 * 1024 * 1024;
    const engine = await startedEngine();
    for (let start = 0; start < message.length; start += partBytes) {
      const end = Math.min(start + partBytes, message.length);
      expectBytes((await seal(plaintext, start, end, engine)).bytes, message.subarray(start, end));
      expectBytes((await seal(plaintext, start, end)).bytes, message.subarray(start, end));
    }
  });

  it("fails when its worker ends", async () => {
    const workerUrl = workerOf("parentPort.on('message', () => process.exit(3));");
    const engine = await startedEngine({ workerUrl });
    expect(await errorOf(() => seal(testBytes(100_000), 0, 90_000, engine))).toEqual(coded("WORKER_FAILED"));
  });
});
