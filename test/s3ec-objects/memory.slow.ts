/** The memory that reading holds; in a file of its own, since what other tests have left would count. */
import { createCipheriv } from "node:crypto";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { expect, it } from "vitest";
import { decryptLegacyObject, type LegacyReadingOptions, legacyAesKeyring } from "../../src/legacy.js";
import { heldBytes } from "../support/gc.js";
import { allowAll, kek, localShapes, writeLegacy } from "../support/legacy-objects.js";

const mebibyte = 1024 * 1024;
const plaintext = Buffer.alloc(48 * mebibyte, 7);

/** What is held once all garbage is gone: what has just been let go of takes another round. */
async function settled(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    heldBytes();
    await new Promise(setImmediate);
  }
  return heldBytes();
}

/** The most that is held while so many bytes are read, and how many came out. */
async function mostHeld(
  content: keyof typeof localShapes,
  bytes: number,
  options: Partial<LegacyReadingOptions>,
): Promise<{ most: number; read: number }> {
  const { body, metadata } = await writeLegacy(plaintext.subarray(0, bytes), localShapes[content]);
  const before = await settled();
  let most = 0;
  let read = 0;
  let pieces = 0;
  const look = () => {
    if (pieces++ % 32 === 0) most = Math.max(most, heldBytes() - before);
  };
  async function* source() {
    for (let start = 0; start < body.length; start += 65_536) {
      look();
      // As it comes from a connection: each piece is memory of its own.
      yield Buffer.from(body.subarray(start, start + 65_536));
    }
  }
  const keyring = legacyAesKeyring({ wrappingKey: kek });
  const input = { Body: source(), ContentLength: body.length, Metadata: metadata };
  const { Body } = await decryptLegacyObject(input, { keyring, ...allowAll, ...options });
  for await (const piece of Body) {
    if (read === 0) most = Math.max(most, heldBytes() - before);
    read += (piece as Buffer).length;
  }
  return { most, read };
}

it("is a few pieces for AES/CBC, for delayed authentication and through a temporary file", async () => {
  const ways = [
    ["cbc", {}],
    ["115", { releaseUnverifiedPlaintext: true }],
    ["115", { largeObjects: "temporary-file", maxBufferedObjectBytes: mebibyte }],
  ] as const;
  const files = readdirSync(tmpdir()).filter((name) => name.startsWith(".s3e-"));
  for (const [content, options] of ways) {
    const { most, read } = await mostHeld(content, plaintext.length, options);
    expect(read).toBe(plaintext.length);
    expect(most).toBeLessThan(16 * mebibyte);
  }
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith(".s3e-"))).toEqual(files);
});

it("is the size of the object, once, for one that is verified in memory", async () => {
  const { most, read } = await mostHeld("gcm", 48 * mebibyte, {});
  expect(read).toBe(48 * mebibyte);
  expect(most).toBeGreaterThan(40 * mebibyte);
  expect(most).toBeLessThan(56 * mebibyte);
});

it("grows with what has come, not with the size that was stated", async () => {
  const cipher = createCipheriv("aes-256-gcm", kek, Buffer.alloc(12, 1));
  const { metadata } = await writeLegacy(cipher.update("x"), localShapes["115"]);
  const before = await settled();
  let most = 0;
  async function* source() {
    yield Buffer.alloc(1000);
    await new Promise(setImmediate);
    most = heldBytes() - before;
  }
  const keyring = legacyAesKeyring({ wrappingKey: kek });
  const input = { Body: source(), ContentLength: 60 * mebibyte, Metadata: metadata };
  const { Body } = await decryptLegacyObject(input, { keyring });
  await expect(Body.transformToByteArray()).rejects.toMatchObject({ code: "SOURCE_LENGTH_MISMATCH" });
  expect(most).toBeLessThan(8 * mebibyte);
});
