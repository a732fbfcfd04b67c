import { createSecretKey, generateKeyPairSync, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chunkOffset, ciphertextLength } from "../../../src/cobblestone/layout.js";
import { type ByteSource, decrypt, encrypt } from "../../../src/cobblestone/stream/message.js";
import { collect, collectUntilError, cut, expectBytes, testBytes } from "../../support/bytes.js";
import { coded } from "../../support/errors.js";

const dataKey = testBytes(32, 1);
const context = Buffer.from("context \0 of any bytes");
const seal = (source: ByteSource) => collect(encrypt(source, { dataKey, context }));
const open = (source: ByteSource) => collect(decrypt(source, { dataKey, context }));
const boundaries = [0, 1, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769];

describe("encrypt and decrypt", () => {
  describe.each(boundaries)("%i bytes", (length) => {
    const plaintext = testBytes(length);

    it.each([
      [[1, 16_384]],
      [[7]],
      [[1000, 1, 16_383]],
      [[16_383]],
      [[16_384]],
      [[16_385]],
      [[16_400]],
      [[40_000]],
    ])("restore the plaintext from pieces of %j bytes", async (lengths) => {
      const sealed = await seal(cut(plaintext, ...lengths));
      expect(sealed.length).toBe(ciphertextLength(length));
      expectBytes(await open(cut(sealed, ...lengths)), plaintext);
    });

    it("restore the plaintext byte by byte", async () => {
      expectBytes(await open(cut(await seal(cut(plaintext, 1)), 1)), plaintext);
    });
  });

  it("restore the plaintext from pieces of any lengths, including empty ones", async () => {
    const lengths = fc.array(fc.nat(40_000), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.nat(100_000), lengths, lengths, async (length, before, after) => {
        const plaintext = testBytes(length, length);
        const sealed = await seal(cut(plaintext, ...before, 1 + (length % 30_000)));
        expectBytes(await open(cut(sealed, ...after, 1 + (length % 20_000))), plaintext);
      }),
      { numRuns: 60 },
    );
  });

  it("make a different message each time", async () => {
    const [first, second] = [await seal(Buffer.from("same")), await seal(Buffer.from("same"))];
    expect(first.subarray(0, 24)).not.toEqual(second.subarray(0, 24));
    expect(first.subarray(56)).not.toEqual(second.subarray(56));
  });

  it("do not depend on the caller's key and context after the call", async () => {
    const key = Buffer.from(dataKey);
    const bound = Buffer.from(context);
    const iterable = encrypt(Buffer.from("secret"), { dataKey: key, context: bound });
    key.fill(0);
    bound.fill(0);
    const reader = Buffer.from(dataKey);
    const expected = Buffer.from(context);
    const opened = decrypt(await collect(iterable), { dataKey: reader, context: expected });
    reader.fill(0);
    expected.fill(0);
    expect((await collect(opened)).toString()).toBe("secret");
  });

  it("accept a KeyObject and no context", async () => {
    const key = createSecretKey(dataKey);
    const sealed = await collect(encrypt(Buffer.from("x"), { dataKey: key }));
    expect((await collect(decrypt(sealed, { dataKey: key }))).toString()).toBe("x");
  });

  it("return pieces of at most a chunk", async () => {
    const sealed: number[] = [];
    for await (const piece of encrypt(testBytes(1_000_000), { dataKey })) sealed.push(piece.length);
    expect(Math.max(...sealed)).toBe(16_384);
  });

  it("read no more of the source than requested", async () => {
    let taken = 0;
    const source = (function* () {
      for (; taken < 100; taken++) yield testBytes(65_536);
    })();
    const iterator = encrypt(source, { dataKey });
    for (let piece = 0; piece < 5; piece++) await iterator.next();
    expect(taken).toBeLessThan(2);
    await iterator.return?.();
    expect((await iterator.next()).done).toBe(true);
  });
});

describe("decrypt", () => {
  const plaintext = testBytes(40_000);
  const sealed = seal(plaintext);

  async function expectFailure(bytes: Uint8Array, verified: number, ...codes: string[]) {
    for (const lengths of [[bytes.length], [16_400], [1, 20_000]]) {
      const { released, error } = await collectUntilError(
        decrypt(cut(bytes, ...lengths), { dataKey, context }),
      );
      expect(codes).toContain((error as { code?: string } | undefined)?.code);
      expect(released.length).toBeLessThanOrEqual(verified);
      expectBytes(released, plaintext.subarray(0, released.length));
    }
  }

  it("refuses any flipped bit and returns only the chunks before it", async () => {
    const bytes = await sealed;
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), async (offset, bit) => {
        const tampered = Buffer.from(bytes);
        tampered[offset] = (tampered[offset] ?? 0) ^ (1 << bit);
        const chunk = Math.max(0, Math.floor((offset - 56) / 16_400));
        await expectFailure(tampered, chunk * 16_384, "DECRYPTION_FAILED");
      }),
      { numRuns: 40 },
    );
  });

  it("refuses any byte dropped, duplicated or swapped with another", async () => {
    const bytes = await sealed;
    const edges = [
      0,
      23,
      24,
      55,
      56,
      ...[0, 1, 2].map((chunk) => chunkOffset(chunk + 1) - 1),
      chunkOffset(1),
    ];
    const offsets = fc.oneof(
      fc.constantFrom(...edges.map((offset) => Math.min(offset, bytes.length - 1))),
      fc.nat(bytes.length - 1),
    );
    const [dropped, duplicated, swapped] = [
      (at: number) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]),
      (at: number) => Buffer.concat([bytes.subarray(0, at + 1), bytes.subarray(at)]),
      (at: number, other: number) => {
        const copy = Buffer.from(bytes);
        copy[at] = bytes[other] ?? 0;
        copy[other] = bytes[at] ?? 0;
        return copy;
      },
    ];
    await fc.assert(
      fc.asyncProperty(offsets, offsets, async (at, other) => {
        for (const tampered of [dropped(at), duplicated(at), swapped(at, other)]) {
          if (tampered.equals(bytes)) continue;
          const changed = bytes.findIndex((byte, offset) => byte !== tampered[offset]);
          const offset = changed < 0 ? bytes.length - 1 : changed;
          const verified = Math.max(0, Math.floor((offset - 56) / 16_400)) * 16_384;
          await expectFailure(tampered, verified, "DECRYPTION_FAILED");
        }
      }),
      { numRuns: 40 },
    );
  });

  it("refuses any truncation", async () => {
    const bytes = await sealed;
    const edges = [0, 1, 23, 24, 55, 56, 71, 72, chunkOffset(1), chunkOffset(2), bytes.length - 1];
    for (const end of [...edges, 20_000, chunkOffset(1) + 15, chunkOffset(2) + 16]) {
      const chunks = Math.max(0, Math.floor((end - 56) / 16_400));
      await expectFailure(bytes.subarray(0, end), chunks * 16_384, "BODY_TRUNCATED", "DECRYPTION_FAILED");
    }
    await expectFailure(bytes.subarray(0, chunkOffset(2)), 32_768, "BODY_TRUNCATED");
  });

  it("refuses any appended byte or chunk", async () => {
    const bytes = await sealed;
    for (const extra of [1, 15, 16, 17, 8633, 8634, 16_400]) {
      await expectFailure(
        Buffer.concat([bytes, testBytes(extra)]),
        32_768,
        "DECRYPTION_FAILED",
        "BODY_TRUNCATED",
      );
    }
    await expectFailure(Buffer.concat([bytes, bytes.subarray(chunkOffset(2))]), 32_768, "DECRYPTION_FAILED");
  });

  it("refuses dropped, duplicated and swapped chunks", async () => {
    const bytes = await sealed;
    const header = bytes.subarray(0, 56);
    const chunks = [0, 1, 2].map((index) => bytes.subarray(chunkOffset(index), chunkOffset(index + 1)));
    for (const order of [
      [1, 2],
      [0, 2],
      [2],
      [0, 0, 1, 2],
      [0, 1, 1, 2],
      [1, 0, 2],
      [0, 2, 1],
      [0, 1, 2, 2],
    ]) {
      const reordered = Buffer.concat([header, ...order.map((index) => chunks[index] ?? Buffer.alloc(0))]);
      const inPlace = order.findIndex((chunk, index) => chunk !== index);
      const verified = (inPlace < 0 ? 2 : Math.min(inPlace, 2)) * 16_384;
      await expectFailure(reordered, verified, "DECRYPTION_FAILED", "BODY_TRUNCATED");
    }
    await expectFailure(
      Buffer.concat([header, chunks[0] ?? header, chunks[1] ?? header]),
      32_768,
      "BODY_TRUNCATED",
    );
  });

  it("reports a wrong key, a wrong context and modified bytes by the same error", async () => {
    const bytes = await sealed;
    const tampered = Buffer.from(bytes);
    tampered[100] = (tampered[100] ?? 0) ^ 1;
    const errors = await Promise.all([
      collectUntilError(decrypt(bytes, { dataKey: randomBytes(32), context })),
      collectUntilError(decrypt(bytes, { dataKey, context: Buffer.from("other") })),
      collectUntilError(decrypt(bytes, { dataKey })),
      collectUntilError(decrypt(tampered, { dataKey, context })),
    ]);
    const messages = new Set(errors.map(({ error }) => (error as Error).message));
    expect(messages.size).toBe(1);
    for (const { released, error } of errors) {
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
      expect(released.length).toBe(0);
    }
  });

  it("keeps failing with the same error after a failure", async () => {
    const iterator = decrypt((await sealed).subarray(0, 20_000), { dataKey, context });
    await iterator.next();
    const error = await iterator.next().catch((reason: unknown) => reason);
    expect(error).toEqual(coded("DECRYPTION_FAILED"));
    for (let again = 0; again < 3; again++) await expect(iterator.next()).rejects.toBe(error);
  });

  it("passes on the error of its source, and keeps rejecting with it", async () => {
    const failure = new Error("source broke");
    const bytes = await sealed;
    const iterator = decrypt(
      (async function* () {
        yield bytes.subarray(0, 30_000);
        throw failure;
      })(),
      { dataKey, context },
    );
    expect((await iterator.next()).value).toEqual(plaintext.subarray(0, 16_384));
    await expect(iterator.next()).rejects.toBe(failure);
    await expect(iterator.next()).rejects.toBe(failure);
  });
});

it("decrypt closes its source when the reader stops", async () => {
  const bytes = await seal(testBytes(40_000));
  let closed = false;
  const iterator = decrypt(
    (async function* () {
      try {
        yield bytes;
      } finally {
        closed = true;
      }
    })(),
    { dataKey, context },
  );
  await iterator.next();
  await iterator.return?.();
  expect(closed).toBe(true);
});

describe("arguments of encrypt and decrypt", () => {
  const secret = createSecretKey(Buffer.alloc(16));
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const cases: [string, unknown, unknown, Error][] = [
    ["no options", Buffer.of(1), undefined, new TypeError("options: expected an object, got undefined")],
    [
      "no key",
      Buffer.of(1),
      {},
      new TypeError("options.dataKey: expected a Uint8Array or a secret KeyObject, got undefined"),
    ],
    [
      "a short key",
      Buffer.of(1),
      { dataKey: Buffer.alloc(31) },
      new RangeError("options.dataKey: expected 32 bytes, got 31"),
    ],
    [
      "a long key",
      Buffer.of(1),
      { dataKey: Buffer.alloc(33) },
      new RangeError("options.dataKey: expected 32 bytes, got 33"),
    ],
    [
      "a short KeyObject",
      Buffer.of(1),
      { dataKey: secret },
      new RangeError("options.dataKey: expected 32 bytes, got 16"),
    ],
    [
      "a long KeyObject",
      Buffer.of(1),
      { dataKey: createSecretKey(Buffer.alloc(64)) },
      new RangeError("options.dataKey: expected 32 bytes, got 64"),
    ],
    [
      "a public key",
      Buffer.of(1),
      { dataKey: publicKey },
      new TypeError(
        "options.dataKey: expected a Uint8Array or a secret KeyObject, got an instance of PublicKeyObject",
      ),
    ],
    [
      "an imitation of a KeyObject",
      Buffer.of(1),
      { dataKey: { type: "secret", symmetricKeySize: 32 } },
      new TypeError(
        "options.dataKey: expected a Uint8Array or a secret KeyObject, got an instance of Object",
      ),
    ],
    [
      "a string context",
      Buffer.of(1),
      { dataKey, context: "x" },
      new TypeError("options.context: expected a Uint8Array, got a string"),
    ],
    [
      "a number as source",
      5,
      { dataKey },
      new TypeError("source: expected a Uint8Array or an iterable of them, got the number 5"),
    ],
    [
      "null as source",
      null,
      { dataKey },
      new TypeError("source: expected a Uint8Array or an iterable of them, got null"),
    ],
  ];
  it.each(cases)("refuse %s", (_, source, options, error) => {
    for (const call of [encrypt, decrypt]) {
      expect(() => call(source as ByteSource, options as never)).toThrow(error);
    }
  });

  it.each([["text"], [5], [null], [[1, 2]], [new Uint16Array(2)]])("refuse a source of %j", async (piece) => {
    for (const call of [encrypt, decrypt]) {
      const source = [piece] as unknown as ByteSource;
      await expect(collect(call(source, { dataKey }))).rejects.toThrow(
        /^source: each piece: expected a Uint8Array/,
      );
    }
  });
});
