import { createSecretKey } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { batchBufferBytes } from "../../../src/cobblestone/batch.js";
import { deriveMessageKeys } from "../../../src/cobblestone/derivation.js";
import { CryptoEngine } from "../../../src/cobblestone/engine/engine.js";
import { ciphertextLength } from "../../../src/cobblestone/layout.js";
import { sealSource } from "../../../src/cobblestone/stream/message.js";
import {
  checkWindow,
  openWindow,
  type Window,
  windowAt,
} from "../../../src/cobblestone/stream/open-range.js";
import { collect, expectBytes, testBytes } from "../../support/bytes.js";
import { useEngines } from "../../support/engines.js";
import { coded, errorOf } from "../../support/errors.js";

const { startedEngine } = useEngines();
const onThread = new CryptoEngine({ maxWorkers: 0 });
const keys = deriveMessageKeys(createSecretKey(testBytes(32)), testBytes(24), new Uint8Array());
const chunk = 16_384;
const message = (plaintext: Buffer) => collect(sealSource(plaintext, keys, { engine: onThread }));

function slabOf(bytes: Uint8Array, { chunks }: Window): ArrayBuffer {
  const slab = new Uint8Array(batchBufferBytes(chunks)).fill(255);
  slab.set(bytes);
  return slab.buffer;
}

const sealed = (bytes: Buffer, { ciphertextStart, ciphertextBytes }: Window) =>
  bytes.subarray(ciphertextStart, ciphertextStart + ciphertextBytes);
const opened = (bytes: Buffer, { plaintextStart, plaintextBytes }: Window) =>
  bytes.subarray(plaintextStart, plaintextStart + plaintextBytes);

it("windows cover a message without gap or overlap, and the last of them ends it", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 40 * chunk }),
      fc.integer({ min: 1, max: 9 }),
      (length, maxChunks) => {
        let [plain, ciphertext, first] = [0, 56, 0];
        let window: Window;
        do {
          window = windowAt(first, maxChunks, length);
          expect([window.plaintextStart, window.ciphertextStart]).toEqual([plain, ciphertext]);
          expect(window.chunks).toBeLessThanOrEqual(maxChunks);
          plain += window.plaintextBytes;
          ciphertext += window.ciphertextBytes;
          first += window.chunks;
        } while (!window.endsMessage);
        expect([plain, ciphertext]).toEqual([length, ciphertextLength(length)]);
      },
    ),
  );
});

describe.each([
  ["on the calling thread", async () => onThread],
  ["by a worker", () => startedEngine()],
])("%s", (_, engineOf) => {
  it.each([0, 1, chunk - 1, chunk, 3 * chunk, 3 * chunk + 5, 4 * chunk, 9 * chunk + 1])(
    "a message of %i bytes is opened window by window, and recognised afterwards",
    async (length) => {
      const engine = await engineOf();
      const plaintext = testBytes(length);
      const whole = await message(plaintext);
      for (let first = 0; ; first += 3) {
        const window = windowAt(first, 3, length);
        const { slab, tagDigest } = await openWindow(
          engine,
          keys,
          window,
          slabOf(sealed(whole, window), window),
        );
        const result = Buffer.from(slab, 0, window.plaintextBytes);
        expectBytes(result, opened(plaintext, window));
        const same = await checkWindow(engine, keys, window, slabOf(result, window), tagDigest);
        expect(same.isSame).toBe(true);
        // Sealed under nonces that the object has used: other plaintext must not be seen under them.
        const sealedBytes = batchBufferBytes(window.endsMessage ? window.chunks - 1 : window.chunks);
        expect(Buffer.from(same.slab, 0, sealedBytes).every((byte) => byte === 0)).toBe(true);
        for (const at of [0, window.plaintextBytes - 1].filter(
          (index) => index >= 0 && window.plaintextBytes > 0,
        )) {
          const changed = Buffer.from(opened(plaintext, window));
          changed[at] = (changed[at] ?? 0) ^ 1;
          expect((await checkWindow(engine, keys, window, slabOf(changed, window), tagDigest)).isSame).toBe(
            false,
          );
        }
        if (window.endsMessage) break;
      }
    },
  );

  it("no window opens in the place of another, or with a byte changed anywhere", async () => {
    const engine = await engineOf();
    const length = 7 * chunk + 9;
    const whole = await message(testBytes(length));
    const [first, last] = [windowAt(0, 4, length), windowAt(4, 4, length)];
    const moved = slabOf(sealed(whole, first), first);
    const error = await errorOf(() => openWindow(engine, keys, { ...first, firstChunk: 1 }, moved));
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    for (const window of [first, last]) {
      for (const at of [0, 20_000, window.ciphertextBytes - 17, window.ciphertextBytes - 1]) {
        const changed = Buffer.from(sealed(whole, window));
        changed[at] = (changed[at] ?? 0) ^ 4;
        const failure = await errorOf(() => openWindow(engine, keys, window, slabOf(changed, window)));
        expect(failure).toEqual(coded("DECRYPTION_FAILED"));
      }
    }
  });
});
