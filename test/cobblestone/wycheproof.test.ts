import { createHash, createSecretKey } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { deriveMessageKeys } from "../../src/cobblestone/derivation.js";
import { decrypt, type MessageOptions, sealSource } from "../../src/cobblestone/stream/message.js";
import { decryptDuplex, decryptTransformStream } from "../../src/cobblestone/stream/node-streams.js";
import { openRandomAccess } from "../../src/cobblestone/stream/random-access.js";
import { collect, collectUntilError, cut, expectBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { readVectors } from "../support/foreign-vectors.js";
import { isSlowTier } from "../support/tier.js";

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly key: string;
  readonly ctx: string;
  readonly ct: string;
  readonly aeadKey?: string;
  readonly baseNonce?: string;
  readonly msgLength?: number;
  readonly msgSha512?: string;
  readonly result: "valid" | "invalid";
  readonly flags: readonly string[];
}

const file = readVectors<{
  readonly numberOfTests: number;
  readonly testGroups: readonly { tests: Vector[] }[];
}>("c2sp_chunked_encryption_aes_256_gcm_test.json");
const vectors = file?.testGroups.flatMap(({ tests }) => tests) ?? [];
const sha512 = (bytes: Uint8Array) => createHash("sha512").update(bytes).digest("hex");

describe.skipIf(!file)("Wycheproof vectors of Cobblestone-256", () => {
  it("are all read", () => {
    expect(vectors.length).toBe(file?.numberOfTests);
    expect(vectors.length).toBeGreaterThanOrEqual(35);
  });

  describe.each(vectors.map((vector) => [vector.tcId, vector.comment, vector] as const))(
    "%i: %s",
    (_id, _comment, v) => {
      const message = inflateSync(Buffer.from(v.ct, "hex"));
      const options: MessageOptions = {
        dataKey: Buffer.from(v.key, "hex"),
        context: Buffer.from(v.ctx, "hex"),
      };
      const readers: [string, () => AsyncIterable<Uint8Array>][] = [
        ["whole", () => decrypt(message, options)],
        ["streamed", () => decrypt(cut(message, 1000, 65_536), options)],
        ["a chunk at a time", () => decrypt(cut(message, 56, 16_400), options)],
        ["through a Node stream", () => throughDuplex(cut(message, 10_000), options)],
        ["through a web stream", () => throughWeb(cut(message, 30_000), options)],
      ];
      if (message.length < 1024 * 1024 || isSlowTier) {
        readers.push(["one byte at a time", () => decrypt(cut(message, 1), options)]);
      }
      const source = {
        length: message.length,
        read: async (start: number, end: number) => message.subarray(start, end),
      };

      if (v.result === "valid") {
        it.each(readers)("opens, read %s", async (_name, read) => {
          const plaintext = await collect(read());
          expect(plaintext.length).toBe(v.msgLength);
          expect(sha512(plaintext)).toBe(v.msgSha512);
        });

        it("opens at random", async () => {
          const plaintext = await collect(decrypt(message, options));
          const reader = await openRandomAccess(source, options);
          await reader.verifyLength();
          expect(reader.plaintextLength).toBe(v.msgLength);
          expectBytes(await reader.read(0, plaintext.length), plaintext);
          for (let start = 0; start < plaintext.length; start += 9_999) {
            expectBytes(await reader.read(start, start + 7_000), plaintext.subarray(start, start + 7_000));
          }
        });

        it("seals to the same bytes under its own salt", async () => {
          const plaintext = await collect(decrypt(message, options));
          const dataKey = createSecretKey(Buffer.from(v.key, "hex"));
          const keys = deriveMessageKeys(dataKey, message.subarray(0, 24), Buffer.from(v.ctx, "hex"));
          expect(keys.key.export().toString("hex")).toBe(v.aeadKey);
          expect(keys.baseNonce.toString("hex")).toBe(v.baseNonce);
          expectBytes(await collect(sealSource(cut(plaintext, 5_000), keys)), message);
        });
        return;
      }

      if (v.flags.includes("InvalidKeySize")) {
        it("is refused for its key", async () => {
          expect(() => decrypt(message, options)).toThrow(/^options\.dataKey: expected 32 bytes, got \d+$/);
          expect(await errorOf(() => openRandomAccess(source, options))).toBeInstanceOf(RangeError);
        });
        return;
      }

      it.each(readers)("fails, read %s", async (_name, read) => {
        const { released, error } = await collectUntilError(read());
        expect([coded("DECRYPTION_FAILED"), coded("BODY_TRUNCATED")]).toContainEqual(error);
        const valid = v.flags.includes("PartialPlaintext") ? (v.msgLength ?? 0) : 0;
        expect(released.length).toBeLessThanOrEqual(valid);
        if (released.length > 0 && released.length === valid) expect(sha512(released)).toBe(v.msgSha512);
      });

      it("fails at random, and proves a length only by a valid last chunk", async () => {
        const opened = await openRandomAccess(source, options).catch((error: unknown) => error);
        if (opened instanceof Error) {
          expect([coded("DECRYPTION_FAILED"), coded("BODY_TRUNCATED")]).toContainEqual(opened);
          expect(v.flags).not.toContain("ValidFinalChunk");
          return;
        }
        const reader = opened as Awaited<ReturnType<typeof openRandomAccess>>;
        await expect(reader.read(0, reader.plaintextLength)).rejects.toEqual(coded("DECRYPTION_FAILED"));
        if (v.flags.includes("ValidFinalChunk")) await reader.verifyLength();
        else await expect(reader.verifyLength()).rejects.toEqual(coded("DECRYPTION_FAILED"));
      });
    },
  );
});

async function* throughDuplex(
  source: Iterable<Uint8Array>,
  options: MessageOptions,
): AsyncGenerator<Uint8Array> {
  const duplex = decryptDuplex(options);
  const done = pipeline(source, duplex);
  done.catch(() => undefined);
  for await (const piece of duplex) yield piece as Uint8Array;
  await done;
}

async function* throughWeb(
  source: Iterable<Uint8Array>,
  options: MessageOptions,
): AsyncGenerator<Uint8Array> {
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of source) controller.enqueue(piece);
      controller.close();
    },
  });
  for await (const piece of stream.pipeThrough(decryptTransformStream(options))) yield piece;
}
