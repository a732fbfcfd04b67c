import { createCipheriv, createDecipheriv } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openContent, openContentRange, sealContent } from "../../../src/s3ec/content/content.js";
import { openContentKeys, sealContentKeys } from "../../../src/s3ec/content/content-keys.js";
import { type ContentSuite, cbcSuite, committingSuite, gcmSuite } from "../../../src/s3ec/suites.js";
import { collect, collectUntilError, cut, expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { contentKeys, legacyEnvelope } from "../../support/legacy.js";
import { countTurns } from "../../support/turns.js";

const dataKey = testBytes(32, 1);
const sizes = [0, 1, 15, 16, 17, 31, 32, 33, 4096, 70_001];
const lengths = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 5 });
const suites: [string, ContentSuite][] = [
  ["AES/GCM", gcmSuite],
  ["115", committingSuite],
];
const modes: [string, ContentSuite, number][] = [
  ["AES/GCM", gcmSuite, 32],
  ["115", committingSuite, 32],
  ["AES-128/CBC", cbcSuite, 16],
  ["AES-192/CBC", cbcSuite, 24],
  ["AES-256/CBC", cbcSuite, 32],
  ["AES-128/GCM", gcmSuite, 16],
  ["AES-192/GCM", gcmSuite, 24],
];

/** An object of a suite: the keys of its content and its body, made by node:crypto where this package has no writer. */
async function sealed(suite: ContentSuite, plaintext: Uint8Array, keyBytes = 32) {
  if (suite === committingSuite) {
    const { keys, iv, commitment } = sealContentKeys(suite, dataKey);
    const body = await collect(sealContent([plaintext], keys));
    return { keys: openContentKeys(legacyEnvelope({ suite, iv, commitment }), dataKey), body };
  }
  const keys = contentKeys(suite, dataKey.subarray(0, keyBytes), testBytes(suite.ivBytes, 3));
  const name = `aes-${keyBytes * 8}-${suite.mode}` as "aes-256-gcm";
  const cipher = createCipheriv(name, keys.key, keys.iv);
  const tag = () => (suite.mode === "gcm" ? cipher.getAuthTag() : Buffer.alloc(0));
  return { keys, body: Buffer.concat([cipher.update(plaintext), cipher.final(), tag()]) };
}

describe.each(modes)("openContent of %s", (_, suite, keyBytes) => {
  it.each(sizes)("%i bytes of content are opened in pieces of any length", async (size) => {
    const plaintext = testBytes(size);
    const { keys, body } = await sealed(suite, plaintext, keyBytes);
    for (const bodyBytes of [undefined, body.length]) {
      for (const pieces of [[1], [15], [16], [17], [3, 0, 16, 16, 1000], [body.length - 16, 16]]) {
        if (pieces.includes(1) && size > 5000) continue;
        expectBytes(await collect(openContent(withGaps(body, pieces), keys, bodyBytes)), plaintext);
      }
    }
  });

  it("the plaintext is the same for all piece lengths", async () => {
    const plaintext = testBytes(20_000);
    const { keys, body } = await sealed(suite, plaintext, keyBytes);
    await fc.assert(
      fc.asyncProperty(lengths, fc.boolean(), async (pieces, isKnown) => {
        const opened = openContent(cut(body, ...pieces), keys, isKnown ? body.length : undefined);
        expectBytes(await collect(opened), plaintext);
      }),
      { numRuns: 30 },
    );
  });

  it("every range has the same plaintext as the whole content", async () => {
    const plaintext = testBytes(1000);
    const { keys, body } = await sealed(suite, plaintext, keyBytes);
    const blocks = Math.floor(1000 / 16) + 1;
    await fc.assert(
      fc.asyncProperty(fc.nat(blocks - 1), fc.nat(blocks - 1), lengths, async (one, two, pieces) => {
        const [first, last] = [Math.min(one, two), Math.max(one, two)];
        const holdsLastBlock = last === blocks - 1;
        const start = suite.mode === "cbc" ? Math.max(0, first - 1) : first;
        const end = holdsLastBlock ? body.length - suite.tagBytes : (last + 1) * 16;
        const source = cut(body.subarray(start * 16, end), ...pieces);
        const opened = openContentRange(source, keys, { firstBlock: first, holdsLastBlock });
        expectBytes(await collect(opened), plaintext.subarray(first * 16, (last + 1) * 16));
      }),
    );
  });

  it("openContent passes on errors of its source, and closes it when reading stops", async () => {
    const { keys, body } = await sealed(suite, testBytes(1000), keyBytes);
    const broken = new Error("the network");
    const failing = async function* () {
      yield body.subarray(0, 500);
      throw broken;
    };
    expect(await errorOf(() => collect(openContent(failing(), keys)))).toBe(broken);

    let isClosed = false;
    const endless = async function* () {
      try {
        while (true) yield body;
      } finally {
        isClosed = true;
      }
    };
    for await (const _piece of openContent(endless(), keys)) break;
    expect(isClosed).toBe(true);
  });

  it("openContent refuses pieces that are not bytes", async () => {
    const { keys } = await sealed(suite, testBytes(1), keyBytes);
    const error = await errorOf(() => collect(openContent(["text"] as never, keys)));
    expect(error).toEqual(new TypeError("source: each piece: expected a Uint8Array, got a string"));
  });
});

describe.each(suites)("sealed content of %s", (_, suite) => {
  it("sealed content with any byte flipped fails", async () => {
    const plaintext = testBytes(300);
    const { keys, body } = await sealed(suite, plaintext);
    for (let offset = 0; offset < body.length; offset++) {
      const forged = Buffer.from(body);
      forged[offset] = (forged[offset] ?? 0) ^ (1 << (offset % 8));
      for (const bodyBytes of [undefined, body.length]) {
        const { error } = await collectUntilError(openContent(cut(forged, 50), keys, bodyBytes));
        expect(error).toEqual(coded("DECRYPTION_FAILED"));
        expect(error).not.toHaveProperty("cause");
      }
    }
  });

  it("sealed content that is shorter or longer fails", async () => {
    const { keys, body } = await sealed(suite, testBytes(300));
    for (let length = 0; length < body.length; length++) {
      const cutOff = body.subarray(0, length);
      const expected = length < 16 ? "BODY_TRUNCATED" : "DECRYPTION_FAILED";
      expect(await errorOf(() => collect(openContent(cut(cutOff, 7), keys)))).toEqual(coded(expected));
      const known = openContent(cut(cutOff, 7), keys, body.length);
      expect(await errorOf(() => collect(known))).toEqual(coded("BODY_TRUNCATED"));
    }
    const longer = Buffer.concat([body, Buffer.of(0)]);
    for (const bodyBytes of [undefined, body.length]) {
      const error = await errorOf(() => collect(openContent(cut(longer, 7), keys, bodyBytes)));
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
    }
  });

  it.each(sizes)("sealed content of %i bytes opens, and the tag is its last piece", async (size) => {
    const plaintext = testBytes(size);
    for (const pieces of [[16], [17, 1, 5000], [size + 1]]) {
      const { keys, iv, commitment } = sealContentKeys(suite, dataKey);
      const body: Buffer[] = [];
      for await (const piece of sealContent(cut(plaintext, ...pieces), keys)) body.push(piece);
      expect(body.at(-1)?.length).toBe(16);
      const reading = openContentKeys(legacyEnvelope({ suite, iv, commitment }), dataKey);
      expectBytes(await collect(openContent(body, reading)), plaintext);
    }
  });

  it("content that is larger than the suite allows is not sealed", async () => {
    const small = { ...suite, maxPlaintextBytes: 100 };
    const seal = (bytes: number) =>
      collect(sealContent(cut(testBytes(bytes), 30), sealContentKeys(small, dataKey).keys));
    expect((await seal(100)).length).toBe(116);
    expect(await errorOf(() => seal(101))).toEqual(coded("SOURCE_TOO_LARGE"));
    const { keys, body } = await sealed(suite, testBytes(101));
    const error = await errorOf(() => collect(openContent(cut(body, 30), { ...keys, suite: small })));
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
  });

  it("keys seal content only once", async () => {
    const { keys, iv, commitment } = sealContentKeys(suite, dataKey);
    await collect(sealContent([testBytes(1)], keys));
    expect(() => sealContent([testBytes(2)], keys)).toThrow("these keys have been used to seal an object");
    const reading = openContentKeys(legacyEnvelope({ suite, iv, commitment }), dataKey);
    expect(() => sealContent([testBytes(2)], reading)).toThrow("these keys have been used to seal an object");
  });
});

describe("AES/CBC", () => {
  it("all failures of AES/CBC have the same error", async () => {
    const { keys, body } = await sealed(cbcSuite, testBytes(100));
    const wrongKey = contentKeys(cbcSuite, testBytes(32, 9), keys.iv);
    const badPadding = (last: number) => {
      const cipher = createCipheriv("aes-256-cbc", keys.key, keys.iv).setAutoPadding(false);
      return Buffer.concat([cipher.update(Buffer.alloc(32, last)), cipher.final()]);
    };
    const range = { firstBlock: 2, holdsLastBlock: true };
    const opens = [
      () => openContent([body], wrongKey),
      () => openContent([body.subarray(0, -16)], keys),
      () => openContent([body.subarray(0, -1)], keys),
      () => openContent([Buffer.concat([body, Buffer.of(1)])], keys),
      () => openContent([Buffer.alloc(0)], keys),
      () => openContent([], keys),
      () => openContent([badPadding(0)], keys),
      () => openContent([badPadding(17)], keys),
      () => openContent([badPadding(0xff)], keys),
      () => openContentRange([body.subarray(16, -1)], keys, range),
      () => openContentRange([body.subarray(16)], wrongKey, range),
      () => openContentRange([body.subarray(16, 50)], keys, { ...range, holdsLastBlock: false }),
      () => openContentRange([], keys, range),
    ];
    const errors: Error[] = [];
    for (const open of opens) errors.push(await errorOf(() => collect(open())));
    const [first] = errors;
    expect(first).toEqual(coded("DECRYPTION_FAILED"));
    for (const error of errors) {
      expect(error).toEqual(first);
      expect(error.message).toBe(first?.message);
      expect(error).toMatchObject({ details: {} });
      expect(Object.keys((error as Error & { details: object }).details)).toEqual([]);
      expect("cause" in error).toBe(false);
    }
  });
});

describe("the block counter of GCM", () => {
  const keys = contentKeys(gcmSuite, dataKey, testBytes(12, 3));
  const lastBlock = 2 ** 32 - 3;
  const at = (firstBlock: number, bytes: number) =>
    openContentRange([Buffer.alloc(bytes)], keys, { firstBlock, holdsLastBlock: true });

  it("blocks of GCM are counted in 32 bits, up to the last block of the largest object", async () => {
    const counter = Buffer.concat([keys.iv, Buffer.alloc(4, 0xff)]);
    const block = createCipheriv("aes-256-ecb", keys.key, null).update(counter);
    expect(await collect(at(lastBlock, 16))).toEqual(block);
    expect((await collect(at(lastBlock - 1, 32))).subarray(16)).toEqual(block);
  });

  it("the block counter of GCM never carries into the IV", async () => {
    expect(await errorOf(() => collect(at(lastBlock, 17)))).toEqual(coded("DECRYPTION_FAILED"));
    expect(await errorOf(() => collect(at(lastBlock - 1, 48)))).toEqual(coded("DECRYPTION_FAILED"));
    for (const block of [lastBlock + 1, 2 ** 32, 2 ** 53, -1, 0.5, Number.NaN]) {
      expect(() => at(block, 16)).toThrow(
        /^range\.firstBlock: expected an integer from 0 to 4294967293, got/,
      );
    }
  });
});

it("opening a large piece lets other work run", async () => {
  const { keys, body } = await sealed(gcmSuite, Buffer.alloc(16 * 1024 * 1024));
  const { turns, result } = await countTurns(async () => {
    let pieces = 0;
    for await (const piece of openContent([body], keys)) {
      expect(piece.length).toBeLessThanOrEqual(256 * 1024);
      pieces += 1;
    }
    return pieces;
  });
  expect(result).toBe(64);
  expect(turns).toBeGreaterThan(5);
});

it("only the tag is held back, as a copy", async () => {
  const { keys, body } = await sealed(gcmSuite, testBytes(1000));
  const memory = Buffer.alloc(100);
  const reused = function* () {
    for (const piece of cut(body, 100)) {
      memory.set(piece);
      yield memory.subarray(0, piece.length);
      memory.fill(0);
    }
  };
  const opened: number[] = [];
  for await (const piece of openContent(reused(), keys, body.length)) opened.push(piece.length);
  expect(opened).toEqual([...Array<number>(10).fill(100)]);
  const decipher = createDecipheriv("aes-256-gcm", keys.key, keys.iv);
  expectBytes(await collect(openContent(reused(), keys)), decipher.update(body.subarray(0, -16)));
});

/** Bytes in pieces of these lengths, empty ones included. */
function* withGaps(bytes: Uint8Array, pieces: readonly number[]): Generator<Uint8Array> {
  let start = 0;
  for (let index = 0; start < bytes.length; index++) {
    const length = pieces[index] ?? pieces.at(-1) ?? 1;
    yield bytes.subarray(start, start + length);
    start += length;
  }
}
