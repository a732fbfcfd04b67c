import { createSecretKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { openChunk, sealChunk } from "../../src/cobblestone/chunk.js";
import { deriveMessageKeys } from "../../src/cobblestone/derivation.js";
import { maxChunks } from "../../src/cobblestone/layout.js";
import { Opener } from "../../src/cobblestone/stream/codecs.js";
import { testBytes } from "../support/bytes.js";
import { coded } from "../support/errors.js";

const keys = deriveMessageKeys(createSecretKey(testBytes(32)), testBytes(24), Buffer.alloc(0));
const join = ({ ciphertext, tag }: { ciphertext: Buffer; tag: Buffer }) => Buffer.concat([ciphertext, tag]);

describe("sealChunk and openChunk", () => {
  it.each([0, 1, 255, 256, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 38 - 1])("agree on chunk %i", (index) => {
    const sealed = join(sealChunk(keys, index, Buffer.from("plain")));
    expect(openChunk(keys, index, sealed).toString()).toBe("plain");
    for (const other of [
      index + 1,
      index - 1,
      index % 2 ** 32 === index ? index + 2 ** 32 : index - 2 ** 32,
    ]) {
      if (other < 0 || other >= maxChunks) continue;
      expect(() => openChunk(keys, other, sealed)).toThrow(coded("DECRYPTION_FAILED") as Error);
    }
  });

  it("never use one nonce for two chunks", () => {
    const first = sealChunk(keys, 0, Buffer.alloc(64)).ciphertext.toString("hex");
    for (const index of [1, 255, 256, 2 ** 24, 2 ** 31, 2 ** 32, 2 ** 37]) {
      expect(sealChunk(keys, index, Buffer.alloc(64)).ciphertext.toString("hex")).not.toBe(first);
    }
  });

  it("refuse a shortened tag", () => {
    for (const [length, tagLength] of [
      [8, 4],
      [0, 8],
    ] as const) {
      const { ciphertext, tag } = sealChunk(keys, 0, testBytes(length));
      const cut = Buffer.concat([ciphertext, tag.subarray(0, tagLength)]);
      expect(() => openChunk(keys, 0, cut)).toThrow();
    }
  });

  it("refuse chunk 2^38", () => {
    expect(() => sealChunk(keys, maxChunks, Buffer.alloc(1))).toThrow(RangeError);
    expect(() => openChunk(keys, maxChunks, Buffer.alloc(17))).toThrow(RangeError);
  });
});

describe("Opener", () => {
  const chunk = join(sealChunk(keys, 3, testBytes(16_384)));

  it("opens consecutive chunks from the middle of a message", () => {
    const opener = new Opener({ keys, firstChunk: 3, endsMessage: false });
    expect(Buffer.concat(opener.update(chunk))).toEqual(testBytes(16_384));
    expect(opener.final()).toEqual([]);
  });

  it("refuses input that ends inside a chunk, or before the stated end of the message", () => {
    const cutOff = new Opener({ keys, firstChunk: 3, endsMessage: false });
    cutOff.update(chunk.subarray(0, 100));
    expect(() => cutOff.final()).toThrow(coded("BODY_TRUNCATED") as Error);
    const endless = new Opener({ keys, firstChunk: 3, endsMessage: true });
    endless.update(chunk);
    expect(() => endless.final()).toThrow(coded("BODY_TRUNCATED") as Error);
  });

  it("keeps failing after a failure", () => {
    const opener = new Opener({ keys, firstChunk: 4, endsMessage: false });
    expect(() => opener.update(chunk)).toThrow(coded("DECRYPTION_FAILED") as Error);
    expect(() => opener.update(Buffer.alloc(0))).toThrow(coded("DECRYPTION_FAILED") as Error);
    expect(() => opener.final()).toThrow(coded("DECRYPTION_FAILED") as Error);
  });
});
