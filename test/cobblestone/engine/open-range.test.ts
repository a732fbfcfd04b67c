import { createSecretKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { deriveMessageKeys } from "../../../src/cobblestone/derivation.js";
import { CryptoEngine } from "../../../src/cobblestone/engine/engine.js";
import { checkRange, openRange } from "../../../src/cobblestone/engine/ranges.js";
import { type ChunkRange, chunkRange, fullChunks, sealedBytes } from "../../../src/cobblestone/layout.js";
import { sealSource } from "../../../src/cobblestone/stream/message.js";
import { collect, expectBytes, testBytes } from "../../support/bytes.js";
import { useEngines } from "../../support/engines.js";
import { coded, errorOf } from "../../support/errors.js";

const { startedEngine } = useEngines();
const onThread = new CryptoEngine({ maxWorkers: 0 });
const keys = deriveMessageKeys(createSecretKey(testBytes(32)), testBytes(24), new Uint8Array());
const chunk = 16_384;
const message = (plaintext: Buffer) => collect(sealSource(plaintext, keys, { engine: onThread }));

function bufferOf(bytes: Uint8Array, { chunks }: ChunkRange): ArrayBuffer {
  const memory = new Uint8Array(sealedBytes(chunks)).fill(255);
  memory.set(bytes);
  return memory.buffer;
}

const sealed = (bytes: Buffer, { ciphertextStart, ciphertextBytes }: ChunkRange) =>
  bytes.subarray(ciphertextStart, ciphertextStart + ciphertextBytes);
const opened = (bytes: Buffer, { plaintextStart, plaintextBytes }: ChunkRange) =>
  bytes.subarray(plaintextStart, plaintextStart + plaintextBytes);

describe.each([
  ["on the calling thread", async () => onThread],
  ["by a worker", () => startedEngine()],
])("%s", (_, engineOf) => {
  it.each([0, 1, chunk - 1, chunk, 3 * chunk, 3 * chunk + 5, 4 * chunk, 9 * chunk + 1])(
    "openRange opens a message of %i bytes range by range, and checkRange accepts its plaintext afterwards",
    async (length) => {
      const engine = await engineOf();
      const plaintext = testBytes(length);
      const whole = await message(plaintext);
      for (let first = 0; ; first += 3) {
        const range = chunkRange(first, 3, length);
        const { buffer, tagDigest } = await openRange(
          engine,
          keys,
          range,
          bufferOf(sealed(whole, range), range),
        );
        const result = Buffer.from(buffer, 0, range.plaintextBytes);
        expectBytes(result, opened(plaintext, range));
        const same = await checkRange(engine, keys, range, bufferOf(result, range), tagDigest);
        expect(same.isSame).toBe(true);
        // Sealed under nonces of the object: nobody may see other plaintext under them.
        const filled = sealedBytes(fullChunks(range));
        expect(Buffer.from(same.buffer, 0, filled).every((byte) => byte === 0)).toBe(true);
        for (const at of [0, range.plaintextBytes - 1].filter(
          (index) => index >= 0 && range.plaintextBytes > 0,
        )) {
          const changed = Buffer.from(opened(plaintext, range));
          changed[at] = (changed[at] ?? 0) ^ 1;
          expect((await checkRange(engine, keys, range, bufferOf(changed, range), tagDigest)).isSame).toBe(
            false,
          );
        }
        if (range.endsMessage) break;
      }
    },
  );

  it("openRange refuses a range in the place of another, or with any byte changed", async () => {
    const engine = await engineOf();
    const length = 7 * chunk + 9;
    const whole = await message(testBytes(length));
    const [first, last] = [chunkRange(0, 4, length), chunkRange(4, 4, length)];
    const moved = bufferOf(sealed(whole, first), first);
    const error = await errorOf(() => openRange(engine, keys, { ...first, firstChunk: 1 }, moved));
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    for (const range of [first, last]) {
      for (const at of [0, 20_000, range.ciphertextBytes - 17, range.ciphertextBytes - 1]) {
        const changed = Buffer.from(sealed(whole, range));
        changed[at] = (changed[at] ?? 0) ^ 4;
        const failure = await errorOf(() => openRange(engine, keys, range, bufferOf(changed, range)));
        expect(failure).toEqual(coded("DECRYPTION_FAILED"));
      }
    }
  });
});
