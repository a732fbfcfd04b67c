import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { GetObjectCommand, HeadObjectCommand, S3Client } from "@aws-sdk/client-s3";
import fc from "fast-check";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { ciphertextLength } from "../../../src/index.js";
import { collectUntilError, expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, keyring, useLocalAws } from "../../support/local.js";
import { until } from "../../support/until.js";

const local = useLocalAws();
const sizes = [0, 1, 16_383, 16_384, 16_385, 32_768, 100_000];
const plain = (size: number) => testBytes(size, size);
const encryptionContext = { tenant: "42" };

beforeAll(async () => {
  for (const size of sizes) await local.client.put({ Bucket, Key: `size-${size}`, Body: plain(size) });
  await local.kmsClient.put({ Bucket, Key: "kms", Body: plain(40_000), encryptionContext });
  await local.putRaw("plain", plain(100), { note: "not encrypted" });
  local.operations();
});

const read = async (Key: string, Range?: string) =>
  Buffer.from(
    await (
      await local.client.get({ Bucket, Key, ...(Range !== undefined && { Range }) })
    ).Body.transformToByteArray(),
  );

/** Stores a changed copy of an object under the key "tampered". */
async function tamper(
  Key: string,
  change: (object: { bytes: Buffer; metadata: Record<string, string> }) => unknown,
): Promise<void> {
  const object = await local.getRaw(Key);
  const bytes = change(object);
  await local.putRaw("tampered", Buffer.isBuffer(bytes) ? bytes : object.bytes, object.metadata);
}

describe("get of a whole object", () => {
  it.each(sizes)("of %i bytes takes one GetObject request", async (size) => {
    const object = await local.client.get({ Bucket, Key: `size-${size}` });
    expect(object).toMatchObject({
      ContentLength: size,
      encrypted: true,
      encryptionContext: {},
      Metadata: {},
    });
    expectBytes(await object.Body.transformToByteArray(), plain(size));
    expect(local.operations()).toEqual(["GetObject"]);
  });

  it("compares the context, then calls KMS once with the pinned key", async () => {
    const object = await local.kmsClient.get({ Bucket, Key: "kms", encryptionContext });
    expect(object.encryptionContext).toEqual(encryptionContext);
    expectBytes(await object.Body.transformToByteArray(), plain(40_000));
    const [, decrypt, ...rest] = local.aws.requests;
    expect(rest).toEqual([]);
    expect(decrypt).toMatchObject({
      operation: "Decrypt",
      input: {
        KeyId: local.keyArn,
        EncryptionContext: { "s3-envelope": "v1 Cobblestone-256", tenant: "42" },
      },
    });
  });

  it("returns a body with all reading methods of an SDK body", async () => {
    await local.client.put({ Bucket, Key: "text", Body: "naïve \u{1f600}" });
    const body = async () => (await local.client.get({ Bucket, Key: "text" })).Body;
    expect(await (await body()).transformToString()).toBe("naïve \u{1f600}");
    await local.client.put({ Bucket, Key: "latin1", Body: Buffer.from("naïve", "latin1") });
    const latin1 = (await local.client.get({ Bucket, Key: "latin1" })).Body;
    expect(await latin1.transformToString("latin1")).toBe("naïve");
    expect(await (await body()).transformToString("base64")).toBe(
      Buffer.from("naïve \u{1f600}").toString("base64"),
    );
    expect(await (await body()).transformToString("hex")).toBe(
      Buffer.from("naïve \u{1f600}").toString("hex"),
    );
    expect(await (await body()).transformToByteArray()).toEqual(
      Uint8Array.from(Buffer.from("naïve \u{1f600}")),
    );
    expect(await new Response((await body()).transformToWebStream()).text()).toBe("naïve \u{1f600}");
    expect(await (await body()).transformToString("binary")).toBe(
      Buffer.from("naïve \u{1f600}").toString("latin1"),
    );
    expect(await (await body()).transformToString("base64url")).toBe(
      Buffer.from("naïve \u{1f600}").toString("base64url"),
    );
    await local.client.put({ Bucket, Key: "bom", Body: Buffer.from("\ufeffa") });
    const bom = (await local.client.get({ Bucket, Key: "bom" })).Body;
    expect(await bom.transformToString()).toBe("\ufeffa");
    await local.client.put({ Bucket, Key: "sjis", Body: Buffer.of(0x82, 0xa0) });
    const sjis = (await local.client.get({ Bucket, Key: "sjis" })).Body;
    expect(await sjis.transformToString("shift_jis")).toBe("あ");
    const misread = await body();
    expect(await errorOf(() => misread.transformToString("no such encoding"))).toEqual(
      new RangeError("encoding: expected one that Buffer or TextDecoder knows, got another string"),
    );
    expect(misread.destroyed).toBe(true);
  });

  it.each(["size-0", "size-100000"])("of %s rejects a second read of the body", async (Key) => {
    const read = async () => (await local.client.get({ Bucket, Key })).Body;
    const body = await read();
    const both = await Promise.allSettled([body.transformToByteArray(), body.transformToString()]);
    expect(both).toMatchObject([{ status: "fulfilled" }, { reason: expect.any(TypeError) }]);
    expect(await errorOf(() => body.transformToByteArray())).toBeInstanceOf(TypeError);
    expect(() => body.transformToWebStream()).toThrow(TypeError);
    if (Key === "size-0") return;
    const started = await read();
    for await (const _ of started) break;
    expect(await errorOf(() => started.transformToByteArray())).toBeInstanceOf(TypeError);
  });

  it("returns a body that can be piped into a file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "s3-envelope-"));
    try {
      const file = join(folder, "out");
      await local.client.put({ Bucket, Key: "self", Body: createReadStream(import.meta.filename) });
      const { Body } = await local.client.get({ Bucket, Key: "self" });
      await pipeline(Body, createWriteStream(file));
      expectBytes(await readFile(file), await readFile(import.meta.filename));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("omits the checksums of S3, which are of the ciphertext", async () => {
    for (const Key of ["size-1", "plain"]) {
      const object = await local.client.get({ Bucket, Key, ChecksumMode: "ENABLED", unencrypted: "allow" });
      object.Body.destroy();
      expect(Object.keys(object).filter((field) => field.startsWith("Checksum"))).toEqual([]);
    }
  });
});

describe("get of a range", () => {
  it("returns the slice with one request for the chunks that hold it", async () => {
    const offsets = fc.nat(101_000);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...sizes), offsets, offsets, fc.nat(2), async (size, a, b, form) => {
        const [first, last] = a < b ? [a, b] : [b, a];
        const Range = [`bytes=${first}-${last}`, `bytes=${first}-`, `bytes=-${last}`][form] ?? "";
        const start = form === 2 ? Math.max(0, size - last) : first;
        const end = form === 0 ? Math.min(last + 1, size) : size;
        local.operations();
        if (start >= end) {
          const error = await errorOf(() => read(`size-${size}`, Range));
          expect(error).toEqual(coded("S3_RANGE_NOT_SATISFIABLE"));
          return;
        }
        const object = await local.client.get({ Bucket, Key: `size-${size}`, Range });
        expect(object.ContentLength).toBe(end - start);
        expect(object.ContentRange).toBe(`bytes ${start}-${end - 1}/${size}`);
        expectBytes(await object.Body.transformToByteArray(), plain(size).subarray(start, end));
        expect(local.operations()).toEqual(["GetObject"]);
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    ["bytes=0-0", "bytes=56-16455"],
    ["bytes=0-16383", "bytes=56-16471"],
    ["bytes=16384-20479", "bytes=16456-32855"],
    ["bytes=20000-24095", "bytes=16456-32855"],
    ["bytes=16383-16384", "bytes=56-32855"],
    ["bytes=30000-", "bytes=16456-"],
    ["bytes=-1", "bytes=-16417"],
  ])("of %s requests %s from S3", async (Range, ciphertext) => {
    (await local.client.get({ Bucket, Key: "size-100000", Range })).Body.destroy();
    expect(local.aws.requests.map(({ headers }) => headers.range)).toEqual([ciphertext]);
  });

  it.each([
    ["size-100000", 0, 16_383],
    ["size-100000", 16_384, 32_767],
    ["size-100000", 5, 81_919],
    ["size-32768", 0, 16_383],
    ["size-32768", 0, 32_767],
    ["size-32768", 32_767, 32_767],
  ])("of %s from %i to %i, at a chunk boundary, returns the slice", async (Key, first, last) => {
    const size = Number(Key.slice(5));
    expectBytes(await read(Key, `bytes=${first}-${last}`), plain(size).subarray(first, last + 1));
  });

  it("beyond the object takes one request", async () => {
    expect(await errorOf(() => read("size-1", "bytes=20000-"))).toEqual(
      coded("S3_RANGE_NOT_SATISFIABLE", { serviceError: "InvalidRange" }),
    );
    expect(local.operations()).toEqual(["GetObject"]);
  });

  it("of 4 KiB transfers at most two chunks", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(95_000), async (start) => {
        local.operations();
        await read("size-100000", `bytes=${start}-${start + 4095}`);
        const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(local.aws.requests[0]?.headers.range ?? "") ?? [];
        expect(Number(last) + 1 - Number(first)).toBeLessThanOrEqual(33 * 1024);
      }),
      { numRuns: 30 },
    );
  });

  it.each([
    ["size-100000", "bytes=100000-100001"],
    ["size-100000", "bytes=4503599627370495-"],
    ["size-100000", "bytes=99999999999999999999-"],
    ["size-100000", "bytes=-0"],
    ["size-16384", "bytes=16384-"],
    ["size-0", "bytes=0-"],
    ["size-0", "bytes=0-0"],
    ["size-0", "bytes=-5"],
  ])("of %s: %s is not satisfiable", async (Key, Range) => {
    expect(await errorOf(() => read(Key, Range))).toEqual(coded("S3_RANGE_NOT_SATISFIABLE"));
  });

  it.each([
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=5-2",
    "bytes=a-b",
    "bytes=0-1,3-4",
    "items=0-1",
    "bytes=0-1 ",
    " bytes=0-1",
    "bytes=-1-2",
  ])("refuses the malformed Range %j instead of ignoring it", async (Range) => {
    expect(await errorOf(() => read("size-1", Range))).toBeInstanceOf(RangeError);
    expect(local.operations()).toEqual([]);
  });

  it("that reaches the end of the object proves that end", async () => {
    // 16,384 bytes are a full chunk and an empty one; without the empty one the size is that of no object.
    await tamper("size-16384", ({ bytes }) => bytes.subarray(0, -16));
    for (const Range of ["bytes=0-16383", "bytes=0-", "bytes=-1", "bytes=0-0"]) {
      expect(await errorOf(() => read("tampered", Range))).toEqual(coded("BODY_TRUNCATED"));
    }
    // Cut to the same size as a shorter object would have: the last chunk does not verify.
    await tamper("size-100000", ({ bytes }) => bytes.subarray(0, ciphertextLength(32_768)));
    for (const Range of ["bytes=0-32767", "bytes=0-", "bytes=-1", "bytes=32767-32767"]) {
      expect(await errorOf(() => read("tampered", Range))).toEqual(coded("DECRYPTION_FAILED"));
    }
    expectBytes(await read("tampered", "bytes=0-32766"), plain(100_000).subarray(0, 32_767));
  });
});

describe("get of a tampered object", () => {
  it("fails at any changed byte of the body, after the chunks before it", async () => {
    const { bytes, metadata } = await local.getRaw("size-100000");
    for (const offset of [0, 23, 24, 55, 56, 16_455, 16_456, 16_471, 50_000, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[offset] = (changed[offset] ?? 0) ^ 0x80;
      await local.putRaw("tampered", changed, metadata);
      const { Body } = await local.client.get({ Bucket, Key: "tampered" });
      const { released, error } = await collectUntilError(Body);
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
      const verified = Math.max(0, Math.floor((offset - 56) / 16_400)) * 16_384;
      expect(released.length).toBeLessThanOrEqual(verified);
      expectBytes(released, plain(100_000).subarray(0, released.length));
    }
  });

  it("detects a changed length by the size or by the last chunk", async () => {
    await tamper("size-100000", ({ bytes }) => bytes.subarray(0, 56 + 16_400));
    expect(await errorOf(() => read("tampered"))).toEqual(coded("BODY_TRUNCATED"));
    await tamper("size-100000", ({ bytes }) => bytes.subarray(0, 20_000));
    expect(await errorOf(() => read("tampered"))).toEqual(coded("DECRYPTION_FAILED"));
    await tamper("size-100000", ({ bytes }) => Buffer.concat([bytes, Buffer.of(0)]));
    expect(await errorOf(() => read("tampered"))).toEqual(coded("DECRYPTION_FAILED"));
    await tamper("size-0", () => Buffer.alloc(0));
    expect(await errorOf(() => read("tampered"))).toEqual(coded("BODY_TRUNCATED"));
  });

  it("never yields other plaintext when the envelope was changed", async () => {
    const other = (await local.getRaw("size-16385")).metadata;
    const fields = ["s3e-salt", "s3e-commitment", "s3e-recipients"];
    for (const field of fields) {
      await tamper("size-100000", ({ metadata }) => Object.assign(metadata, { [field]: other[field] }));
      expect(await errorOf(() => read("tampered"))).toEqual(coded("DECRYPTION_FAILED"));
      expect(await errorOf(() => read("tampered", "bytes=0-0"))).toEqual(coded("DECRYPTION_FAILED"));
    }
    await tamper("size-100000", ({ metadata }) => Object.assign(metadata, other));
    expect(await errorOf(() => read("tampered"))).toEqual(coded("DECRYPTION_FAILED"));
    expect(await errorOf(() => read("tampered", "bytes=0-0"))).toEqual(coded("DECRYPTION_FAILED"));
  });

  it('fails on a changed encryption context, even with encryptionContext: "any"', async () => {
    await tamper("kms", ({ metadata }) => Object.assign(metadata, { "s3e-context": '{"tenant":"43"}' }));
    const get = (context: Record<string, string> | "any") =>
      local.kmsClient.get({ Bucket, Key: "tampered", encryptionContext: context });
    expect(await errorOf(() => get("any"))).toEqual(coded("KMS_CIPHERTEXT_REJECTED"));
    expect(await errorOf(() => get({ tenant: "43" }))).toEqual(coded("KMS_CIPHERTEXT_REJECTED"));
    expect(await errorOf(() => get({ tenant: "42" }))).toEqual(coded("CONTEXT_MISMATCH"));
  });
});

describe("the expected encryption context", () => {
  it.each([
    ["another value", { tenant: "43" }],
    ["a missing entry", {}],
    ["nothing, which means none", undefined],
    ["one entry more", { tenant: "42", more: "1" }],
  ])("with %s is refused before KMS is called", async (_, expected) => {
    const error = await errorOf(() =>
      local.kmsClient.get({ Bucket, Key: "kms", encryptionContext: expected as never }),
    );
    expect(error).toEqual(coded("CONTEXT_MISMATCH"));
    expect(error.message).not.toContain("42");
    expect(local.operations()).toEqual(["GetObject"]);
  });

  it('may be "any": the result then has the context', async () => {
    const object = await local.kmsClient.get({ Bucket, Key: "kms", encryptionContext: "any" });
    object.Body.destroy();
    expect(object.encryptionContext).toEqual(encryptionContext);
  });
});

describe("get of an object without an envelope", () => {
  it("is refused by default", async () => {
    expect(await errorOf(() => read("plain"))).toEqual(coded("ENVELOPE_MISSING"));
    expect(await errorOf(() => read("plain", "bytes=0-1"))).toMatchObject({ name: "EnvelopeError" });
  });

  it('with unencrypted: "allow" returns the object, whole or a range, with encrypted: false', async () => {
    const get = (Range?: string) =>
      local.client.get({ Bucket, Key: "plain", unencrypted: "allow", ...(Range !== undefined && { Range }) });
    const whole = await get();
    expect(whole).toMatchObject({
      encrypted: false,
      ContentLength: 100,
      Metadata: { note: "not encrypted" },
    });
    expect(whole.encryptionContext).toBe(undefined);
    expectBytes(await whole.Body.transformToByteArray(), plain(100));
    for (const [Range, start, end] of [
      ["bytes=10-19", 10, 20],
      ["bytes=90-", 90, 100],
      ["bytes=-5", 95, 100],
      ["bytes=0-500", 0, 100],
    ] as const) {
      const part = await get(Range);
      expect(part).toMatchObject({ encrypted: false, ContentRange: `bytes ${start}-${end - 1}/100` });
      expectBytes(await part.Body.transformToByteArray(), plain(100).subarray(start, end));
    }
    expect(await errorOf(() => get("bytes=100-"))).toEqual(coded("S3_RANGE_NOT_SATISFIABLE"));
  });

  it("larger than a chunk requests the plain range of the same version", async () => {
    await local.putRaw("plain-large", plain(50_000));
    const part = await local.client.get({
      Bucket,
      Key: "plain-large",
      unencrypted: "allow",
      Range: "bytes=17000-17009",
    });
    expectBytes(await part.Body.transformToByteArray(), plain(50_000).subarray(17_000, 17_010));
    const [first, second, ...rest] = local.aws.requests;
    expect(rest).toEqual([]);
    expect(first?.headers.range).toBe("bytes=16456-32855");
    expect(second?.headers).toMatchObject({ range: "bytes=17000-17009", "if-match": part.ETag });
  });

  it('with unencrypted: "allow" does not weaken the checks of encrypted objects', async () => {
    const get = (Range?: string) =>
      local.client.get({
        Bucket,
        Key: "size-1",
        unencrypted: "allow",
        ...(Range !== undefined && { Range }),
      });
    expect(await (await get()).Body.transformToByteArray()).toEqual(Uint8Array.from(plain(1)));
    // S3 itself answers 416 to the ciphertext range; the plain range would have been satisfiable.
    expect(await errorOf(() => get("bytes=20000-"))).toEqual(coded("S3_RANGE_NOT_SATISFIABLE"));
    // 16,380 bytes make a message of 16,452: chunk 1, at 16,456, is outside, byte 16,400 is not.
    await local.kmsClient.put({ Bucket, Key: "short", Body: plain(16_380) });
    local.operations();
    const beyond = { Bucket, Key: "short", unencrypted: "allow", Range: "bytes=16400-16410" } as const;
    expect(await errorOf(() => local.kmsClient.get(beyond))).toEqual(coded("S3_RANGE_NOT_SATISFIABLE"));
    expect(local.operations()).toEqual(["GetObject", "GetObject"]);
    await local.client.put({ Bucket, Key: "grown", Body: plain(16_384) });
    expect(
      await errorOf(() =>
        local.client.get({ Bucket, Key: "grown", unencrypted: "allow", Range: "bytes=16400-16410" }),
      ),
    ).toEqual(coded("S3_RANGE_NOT_SATISFIABLE"));
  });

  it.each([
    [{ "x-amz-key-v2": "a", "x-amz-iv": "b" }, "V2"],
    [{ "x-amz-key": "a", "x-amz-iv": "b" }, "V1"],
    [{ "x-amz-3": "a", "x-amz-i": "b" }, "V3"],
    [{ "x-amz-i": "b", "x-amz-c": "115" }, "V3"],
  ])(
    "with the metadata %j is refused as a legacy object, whatever unencrypted says",
    async (metadata, format) => {
      await local.putRaw("legacy", Buffer.from("ciphertext"), metadata as Record<string, string>);
      for (const unencrypted of ["refuse", "allow"] as const) {
        const error = await errorOf(() => local.client.get({ Bucket, Key: "legacy", unencrypted }));
        expect(error).toEqual(coded("LEGACY_FORMAT", { format }));
      }
    },
  );

  it("with part of an envelope is refused as broken, not returned as plaintext", async () => {
    await local.putRaw("partial", plain(100), { "s3e-salt": "AAAA" });
    const error = await errorOf(() => local.client.get({ Bucket, Key: "partial", unencrypted: "allow" }));
    expect(error).toEqual(coded("ENVELOPE_INVALID", { field: "s3e-version" }));
    await local.putRaw("partial", plain(100), { "s3e-version": "2" });
    expect(await errorOf(() => local.client.get({ Bucket, Key: "partial", unencrypted: "allow" }))).toEqual(
      coded("ENVELOPE_VERSION_UNSUPPORTED"),
    );
  });
});

describe("fields of get", () => {
  it("keep the names of the SDK and the meaning of S3", async () => {
    const { ETag, LastModified } = await local.client.head({ Bucket, Key: "size-1" });
    const get = (input: object) => local.client.get({ Bucket, Key: "size-1", ...input });
    expect(await errorOf(() => get({ IfNoneMatch: ETag }))).toEqual(coded("S3_NOT_MODIFIED"));
    expect(await errorOf(() => get({ IfMatch: '"other"' }))).toEqual(coded("S3_PRECONDITION_FAILED"));
    expect(await errorOf(() => get({ IfModifiedSince: LastModified }))).toEqual(coded("S3_NOT_MODIFIED"));
    expect(await errorOf(() => get({ Key: "nowhere" }))).toEqual(
      coded("S3_NOT_FOUND", { serviceError: "NoSuchKey" }),
    );
    expect(await errorOf(() => get({ Bucket: "no-bucket" }))).toEqual(
      coded("S3_NOT_FOUND", { serviceError: "NoSuchBucket" }),
    );
    const object = await get({ IfMatch: ETag, ResponseContentType: "text/other" });
    object.Body.destroy();
    expect(object.ContentType).toBe("text/other");
  });

  it.each([
    [{ PartNumber: 1 }, TypeError, "PartNumber: parts are of the ciphertext: use Range"],
    [{ Range: 5 }, TypeError, "Range: expected a string, got the number 5"],
    [{ plaintext: "allow" }, TypeError, 'plaintext: use unencrypted: "refuse" or "allow"'],
    [{ unencrypted: true }, TypeError, 'unencrypted: expected one of "refuse", "allow", got a boolean'],
    [{ unencrypted: null }, TypeError, 'unencrypted: expected one of "refuse", "allow", got null'],
    [{ encryptionContext: null }, TypeError, "encryptionContext: expected an object, got null"],
    [{ encryptionContext: "all" }, TypeError, "encryptionContext: expected an object, got a string"],
    [{ Key: undefined }, TypeError, "Key: expected a string, got undefined"],
    [{ Key: "a\ud800" }, RangeError, "Key: expected well-formed Unicode, got a lone surrogate"],
    [{ Bucket: "\udc00" }, RangeError, "Bucket: expected well-formed Unicode, got a lone surrogate"],
  ])("refuse %j", async (input, type, message) => {
    const error = await errorOf(() => local.client.get({ Bucket, Key: "size-1", ...input } as never));
    expect(error.constructor).toBe(type);
    expect(error.message).toBe(message);
    expect(local.operations()).toEqual([]);
  });
});

describe("an impossible response to GetObject", () => {
  it.each([
    ["Content-Length", { ContentLength: Number.NaN }],
    ["Content-Length", { ContentLength: -1 }],
    ["Content-Length", { ContentLength: 2 ** 53 }],
    ["Content-Range", { ContentRange: "bytes 56-100071/9999999999999999" }],
    ["Content-Range", { ContentRange: "bytes 56-100071/*", ContentLength: 7 }],
  ])("is refused for its %s: %j", async (what, change) => {
    const send = async (command: GetObjectCommand, options: object) => ({
      ...(await local.s3.send(command, options)),
      ...change,
    });
    const s3 = { config: local.s3.config, send } as unknown as S3Client;
    const Range = what === "Content-Range" ? "bytes=0-" : undefined;
    for (const Key of ["size-100000", "plain"]) {
      if (Key === "plain" && Range) continue;
      const read = async () => {
        const given = { Bucket, Key, unencrypted: "allow", ...(Range && { Range }) } as const;
        await (await local.clientWith({ s3 }).get(given)).Body.transformToByteArray();
      };
      const error = await errorOf(read);
      expect(error).toEqual(coded("S3_REQUEST_FAILED", { operation: "GetObject", key: Key }));
      expect(error.message).toContain(what);
    }
  });

  it("to HeadObject is refused as well", async () => {
    const send = async (command: HeadObjectCommand) => ({
      ...(await local.s3.send(command)),
      ContentLength: Number.NaN,
    });
    const s3 = { config: local.s3.config, send } as unknown as S3Client;
    expect(await errorOf(() => local.clientWith({ s3 }).head({ Bucket, Key: "size-1" }))).toEqual(
      coded("S3_REQUEST_FAILED", { operation: "HeadObject" }),
    );
  });
});

describe("the body of a get", () => {
  it("that breaks off fails with BODY_INTERRUPTED and is never short", async () => {
    local.aws.fault({ operation: "GetObject", truncateBodyBytes: 50_000 });
    const { Body } = await local.client.get({ Bucket, Key: "size-100000" });
    const { released, error } = await collectUntilError(Body);
    expect(error).toEqual(coded("BODY_INTERRUPTED"));
    expect(error).toMatchObject({ retryable: true, cause: expect.any(Error) });
    expectBytes(released, plain(100_000).subarray(0, released.length));
    expect(released.length).toBeLessThan(50_000);
  });

  it("of a range that breaks off fails with BODY_INTERRUPTED", async () => {
    local.aws.fault({ operation: "GetObject", truncateBodyBytes: 16_400 });
    const { Body } = await local.client.get({ Bucket, Key: "size-100000", Range: "bytes=0-32000" });
    const { released, error } = await collectUntilError(Body);
    expect(error).toEqual(coded("BODY_INTERRUPTED"));
    expect(released.length).toBeLessThanOrEqual(16_384);
  });

  it.each([
    ["size-100000", undefined],
    ["size-100000", "bytes=0-32000"],
    ["plain", undefined],
  ])("that ends early without an error fails with BODY_INTERRUPTED: %s, range %s", async (Key, Range) => {
    const send = async (command: GetObjectCommand) => {
      const output = await local.s3.send(command);
      const bytes = (await output.Body?.transformToByteArray()) ?? new Uint8Array(0);
      return { ...output, Body: Readable.from([bytes.subarray(0, -10)]) };
    };
    const s3 = { config: local.s3.config, send } as unknown as S3Client;
    const { Body } = await local
      .clientWith({ s3 })
      .get({ Bucket, Key, unencrypted: "allow", ...(Range !== undefined && { Range }) });
    expect((await collectUntilError(Body)).error).toEqual(coded("BODY_INTERRUPTED"));
  });

  it.each([
    ["size-100000", "bytes=0-32000"],
    ["size-100000", undefined],
  ])("with more bytes than stated fails with BODY_INTERRUPTED: %s, range %s", async (Key, Range) => {
    let sent = 0;
    const send = async (command: GetObjectCommand) => {
      const output = await local.s3.send(command);
      const bytes = (await output.Body?.transformToByteArray()) ?? new Uint8Array(0);
      async function* endless() {
        yield bytes;
        for (; sent < 1_000_000; sent++) yield Buffer.of(1);
      }
      return { ...output, ContentLength: undefined, Body: endless() };
    };
    const s3 = { config: local.s3.config, send } as unknown as S3Client;
    const given = { Bucket, Key, ...(Range !== undefined && { Range }) };
    const { released, error } = await collectUntilError((await local.clientWith({ s3 }).get(given)).Body);
    expect(error).toEqual(coded(Range === undefined ? "DECRYPTION_FAILED" : "BODY_INTERRUPTED"));
    expectBytes(released, plain(100_000).subarray(0, released.length));
    expect(sent).toBeLessThan(20_000);
  });

  it("that stalls fails after the idle timeout", async () => {
    local.aws.fault({ operation: "GetObject", stallBodyBytes: 20_000 });
    const { Body } = await local.clientWith({ idleTimeoutMs: 2000 }).get({ Bucket, Key: "size-100000" });
    const { released, error } = await collectUntilError(Body);
    expect(error).toEqual(coded("BODY_STALLED", { bytesRead: 20_000, expected: ciphertextLength(100_000) }));
    expectBytes(released, plain(100_000).subarray(0, 16_384));
    await until(async () => expect(await local.aws.s3Connections()).toBeLessThanOrEqual(1));
  });

  it("with a bit flipped in transit fails to verify", async () => {
    local.aws.fault({ operation: "GetObject", corrupt: { offset: 20_000, xor: 1 } });
    expect(await errorOf(() => read("size-100000"))).toEqual(coded("DECRYPTION_FAILED"));
  });

  it("that fails while it is piped emits an error event", async () => {
    local.aws.fault({ operation: "GetObject", truncateBodyBytes: 50_000 });
    const { Body } = await local.client.get({ Bucket, Key: "size-100000" });
    const heard = new Promise((resolve) => Body.once("error", resolve));
    const sink = new PassThrough();
    Body.pipe(sink).resume();
    expect(await heard).toEqual(coded("BODY_INTERRUPTED"));
    expect(sink.writableFinished).toBe(false);
    expect(Body.listenerCount("error")).toBe(0);
  });

  it("whose listener throws is destroyed with that error", async () => {
    const { Body } = await local.client.get({ Bucket, Key: "size-100000" });
    const error = new Error("listener");
    const heard = new Promise((resolve) => Body.once("error", resolve));
    Body.on("data", () => {
      throw error;
    });
    expect(await heard).toBe(error);
  });

  it("does not time out while nobody reads it", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const { Body } = await local.clientWith({ idleTimeoutMs: 240_000 }).get({ Bucket, Key: "size-100000" });
    vi.advanceTimersByTime(720_000);
    await new Promise(setImmediate);
    vi.useRealTimers();
    expectBytes(await Body.transformToByteArray(), plain(100_000));
  });
});

describe("connections of get", () => {
  const connections = () => local.aws.s3Connections();
  const settled = () => until(async () => expect(await connections()).toBeLessThanOrEqual(1));
  const large = () => local.client.put({ Bucket, Key: "large", Body: testBytes(4_000_000) });

  it("are closed when an unread or half-read body is destroyed", async () => {
    await large();
    for (let round = 0; round < 10; round++) {
      const unread = await local.client.get({ Bucket, Key: "large" });
      unread.Body.destroy();
      const halfRead = await local.client.get({ Bucket, Key: "large" });
      for await (const _ of halfRead.Body) break;
      const disposed = await local.client.get({ Bucket, Key: "large", Range: "bytes=0-3000000" });
      await disposed.Body[Symbol.asyncDispose]();
    }
    await settled();
  });

  it("are closed when the body is destroyed during a read that never returns", async () => {
    for (const Range of [undefined, "bytes=0-90000"]) {
      local.aws.fault({ operation: "GetObject", stallBodyBytes: 20_000 });
      const { Body } = await local
        .clientWith({ idleTimeoutMs: 0 })
        .get({ Bucket, Key: "size-100000", ...(Range !== undefined && { Range }) });
      const closed = new Promise((resolve) => Body.once("close", resolve));
      Body.resume();
      await until(() => expect(Body.readableDidRead).toBe(true));
      Body.destroy();
      await closed;
    }
    await settled();
  });

  it("are closed when the object is refused", async () => {
    await large();
    for (let round = 0; round < 10; round++) {
      await errorOf(() => local.client.get({ Bucket, Key: "large", encryptionContext: { not: "this" } }));
    }
    await settled();
  });

  it("are closed for a response that the plain range replaces", async () => {
    await local.putRaw("plain-large", testBytes(4_000_000));
    for (let round = 0; round < 10; round++) {
      const input = { Bucket, Key: "plain-large", unencrypted: "allow", Range: "bytes=0-3000000" } as const;
      await (await local.client.get(input)).Body.transformToByteArray();
    }
    await settled();
  });

  it("are kept alive after bodies that were read to their end", async () => {
    for (let round = 0; round < 5; round++) await read("size-100000");
    expect(await connections()).toBeLessThanOrEqual(2);
  });
});

describe("aborting a get", () => {
  const reason = new Error("user went away");

  it("before the call sends nothing", async () => {
    const abortSignal = AbortSignal.abort(reason);
    expect(await errorOf(() => local.client.get({ Bucket, Key: "size-1" }, { abortSignal }))).toBe(reason);
    expect(local.operations()).toEqual([]);
  });

  it.each(["GetObject", "Decrypt"])("while %s runs rejects with the reason", async (operation) => {
    const held = local.aws.hold({ operation });
    const controller = new AbortController();
    const error = errorOf(() =>
      local.kmsClient.get({ Bucket, Key: "kms", encryptionContext }, { abortSignal: controller.signal }),
    );
    await held.arrived;
    controller.abort(reason);
    expect(await error).toBe(reason);
  });

  it("while a keyring runs that ignores the signal rejects with the reason", async () => {
    const controller = new AbortController();
    const { signal: abortSignal } = controller;
    const unwrapDataKey = () => {
      controller.abort(reason);
      return new Promise<never>(() => undefined);
    };
    const deaf = { ...keyring, unwrapDataKey };
    const call = local.clientWith({ keyring: deaf }).get({ Bucket, Key: "size-1" }, { abortSignal });
    expect(await errorOf(() => call)).toBe(abortSignal.reason);
  });

  it("while the body is read rejects with the reason", async () => {
    const controller = new AbortController();
    local.aws.fault({ operation: "GetObject", stallBodyBytes: 20_000 });
    const { Body } = await local.client.get(
      { Bucket, Key: "size-100000" },
      { abortSignal: controller.signal },
    );
    const reading = collectUntilError(Body);
    await until(() => expect(Body.readableDidRead).toBe(true));
    controller.abort(reason);
    expect((await reading).error).toBe(reason);
  });

  it("while nobody reads the body is not an uncaught error, and rejects later reads", async () => {
    const controller = new AbortController();
    const { Body } = await local.client.get(
      { Bucket, Key: "size-100000" },
      { abortSignal: controller.signal },
    );
    controller.abort(reason);
    await until(() => expect(Body.destroyed).toBe(true));
    expect(await errorOf(() => Body.transformToByteArray())).toBe(reason);
  });

  it("makes a web stream that is created from the body afterwards fail as well", async () => {
    const controller = new AbortController();
    const get = () => local.client.get({ Bucket, Key: "size-100000" }, { abortSignal: controller.signal });
    const [aborted, destroyed] = [(await get()).Body, (await get()).Body];
    destroyed.destroy();
    controller.abort(reason);
    expect(await errorOf(() => new Response(aborted.transformToWebStream()).text())).toBe(reason);
    const error = await errorOf(() => new Response(destroyed.transformToWebStream()).text());
    expect(error).toBeInstanceOf(TypeError);
    local.aws.fault({ operation: "GetObject", corrupt: { offset: 60, xor: 1 } });
    const { Body } = await local.client.get({ Bucket, Key: "size-100000" });
    const failed = new Promise((resolve) => Body.once("error", resolve));
    Body.read(0);
    await failed;
    expect(await errorOf(() => new Response(Body.transformToWebStream()).text())).toEqual(
      coded("DECRYPTION_FAILED"),
    );
  });

  it("after the body was read has no effect, and no listener remains", async () => {
    const controller = new AbortController();
    const add = vi.spyOn(controller.signal, "addEventListener");
    const remove = vi.spyOn(controller.signal, "removeEventListener");
    const { Body } = await local.client.get({ Bucket, Key: "size-1" }, { abortSignal: controller.signal });
    expect(await Body.transformToByteArray()).toEqual(Uint8Array.from(plain(1)));
    await until(() => expect(remove.mock.calls.length).toBe(add.mock.calls.length));
    controller.abort(reason);
  });
});
