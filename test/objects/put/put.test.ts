import { Readable } from "node:stream";
import { afterEach, describe, expect, it } from "vitest";
import { bodyContext, wrappingContext } from "../../../src/envelope/envelope.js";
import { decodeEnvelope } from "../../../src/envelope/metadata.js";
import { decrypt, EnvelopeClient, type PutBody } from "../../../src/index.js";
import { maxPartBytes } from "../../../src/transfer/limits.js";
import { collect, cut, expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, keyring, partBytes, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
const text = "naïve \u{1f600} text";
const large = testBytes(2 * partBytes + 12_345, 3);
const get = async (Key: string) =>
  Buffer.from(await (await local.client.get({ Bucket, Key })).Body.transformToByteArray());

describe("bodies of a put", () => {
  const web = (bytes: Uint8Array) =>
    new Blob([Uint8Array.from(bytes)]).stream() as ReadableStream<Uint8Array>;
  const shapes: [string, () => PutBody, Uint8Array, number | undefined][] = [
    ["a Uint8Array", () => Uint8Array.from(testBytes(100)), testBytes(100), undefined],
    [
      "a Buffer that is a view",
      () => testBytes(100).subarray(10, 20),
      testBytes(100).subarray(10, 20),
      undefined,
    ],
    ["a string", () => text, Buffer.from(text), undefined],
    ["an empty string", () => "", Buffer.alloc(0), undefined],
    ["a web stream of known length", () => web(testBytes(50_000)), testBytes(50_000), 50_000],
    ["a large web stream", () => web(large), large, undefined],
    ["a large web stream of known length", () => web(large), large, large.length],
    ["a Blob", () => new Blob([Uint8Array.from(testBytes(50_000))]), testBytes(50_000), undefined],
    ["a Readable", () => Readable.from(cut(testBytes(50_000), 999)), testBytes(50_000), undefined],
    [
      "a Readable of known length",
      () => Readable.from(cut(testBytes(50_000), 999)),
      testBytes(50_000),
      50_000,
    ],
    [
      "a Readable of strings",
      () => Readable.from(["naïve ", "\u{1f600} text"]),
      Buffer.from(text),
      undefined,
    ],
    ["an empty Readable", () => Readable.from([]), Buffer.alloc(0), undefined],
    ["a web stream", () => web(testBytes(50_000)), testBytes(50_000), undefined],
    ["an async iterable", () => iterate(cut(testBytes(50_000), 16_384)), testBytes(50_000), undefined],
    ["an async iterable of known length", () => iterate(cut(testBytes(9), 1)), testBytes(9), 9],
    ["large bytes", () => large, large, undefined],
    ["a large stream of unknown length", () => iterate(cut(large, 100_000)), large, undefined],
    ["a large stream of known length", () => Readable.from(cut(large, 65_536)), large, large.length],
    ["a large Blob", () => new Blob([Uint8Array.from(large)]), large, undefined],
  ];
  it.each(shapes)("put accepts %s", async (_, body, plaintext, ContentLength) => {
    const output = await local.client.put({
      Bucket,
      Key: "shape",
      Body: body(),
      ...(ContentLength !== undefined && { ContentLength }),
    });
    expect(output.plaintextLength).toBe(plaintext.length);
    const { bytes } = await local.getRaw("shape");
    expect(output.ciphertextLength).toBe(bytes.length);
    expectBytes(await get("shape"), plaintext);
  });

  // The message of n plaintext bytes has 56 + n + 16 * chunks; these end within a byte of one and two parts.
  const wholePart = partBytes - 56 - 16 * (partBytes / 16_384);
  it.each([
    [wholePart, ["PutObject"]],
    [wholePart + 1, ["CreateMultipartUpload", "UploadPart", "UploadPart", "CompleteMultipartUpload"]],
    [wholePart - 1, ["PutObject"]],
  ])("put of %i bytes sends the requests %j", async (length, operations) => {
    const plaintext = testBytes(length);
    for (const Body of [plaintext, iterate(cut(plaintext, 1_000_000))]) {
      await local.client.put({ Bucket, Key: "edge", Body });
      expect(local.operations()).toEqual(operations);
      expectBytes(await get("edge"), plaintext);
      local.operations();
    }
  });
});

describe("requests and objects of a put", () => {
  it("put of a small object sends one request to KMS and one to S3", async () => {
    await local.kmsClient.put({ Bucket, Key: "small", Body: "x", encryptionContext: { tenant: "42" } });
    const [kms, s3, ...rest] = local.aws.requests;
    expect(rest).toEqual([]);
    expect(kms).toMatchObject({
      operation: "GenerateDataKey",
      input: {
        KeyId: local.keyArn,
        KeySpec: "AES_256",
        EncryptionContext: { "s3-envelope": "v1 Cobblestone-256", tenant: "42" },
      },
    });
    expect(s3).toMatchObject({ operation: "PutObject", path: `/${Bucket}/small` });
    expect(s3?.headers).toMatchObject({
      "x-amz-meta-s3e-version": "1",
      "x-amz-meta-s3e-context": '{"tenant":"42"}',
    });
  });

  it("the object of a put can be decrypted with the keyring and the frame layer alone", async () => {
    const encryptionContext = { tenant: "42" };
    await local.client.put({ Bucket, Key: "bare", Body: large, encryptionContext });
    const { bytes, metadata } = await local.getRaw("bare");
    const stored = decodeEnvelope(metadata);
    if (stored?.storage !== "metadata") throw new Error("no envelope");
    const { recipients, header } = stored.envelope;
    expect(bytes.subarray(0, 56)).toEqual(header);
    const dataKey = await keyring.unwrapDataKey({
      recipients,
      encryptionContext: wrappingContext(encryptionContext),
    });
    if (!dataKey) throw new Error("no data key");
    expectBytes(await collect(decrypt(bytes, { dataKey, context: bodyContext(encryptionContext) })), large);
  });

  it("put stores the headers and the metadata of the caller, with PutObject and with a multipart upload", async () => {
    const fields = {
      ContentType: "text/x-test",
      CacheControl: "no-store",
      ContentDisposition: "attachment",
      ContentLanguage: "de",
      Metadata: { Author: "me", note: "a  b" },
    };
    for (const Body of ["small", large]) {
      await local.client.put({ Bucket, Key: "fields", Body, ...fields });
      const object = await local.client.get({ Bucket, Key: "fields" });
      object.Body.destroy();
      expect(object).toMatchObject({ ...fields, Metadata: { author: "me", note: "a  b" } });
    }
  });

  it("the output of put has no checksums, which are of the ciphertext", async () => {
    for (const Body of ["small", large]) {
      const output = await local.client.put({ Bucket, Key: "sums", Body, ChecksumAlgorithm: "CRC32" });
      expect(Object.keys(output).filter((field) => field.startsWith("Checksum"))).toEqual([]);
    }
  });

  it("put uses a new data key and a new salt for each object", async () => {
    await local.client.put({ Bucket, Key: "one", Body: "same" });
    await local.client.put({ Bucket, Key: "two", Body: "same" });
    const [one, two] = [await local.getRaw("one"), await local.getRaw("two")];
    expect(one.metadata["s3e-salt"]).not.toBe(two.metadata["s3e-salt"]);
    expect(one.metadata["s3e-recipients"]).not.toBe(two.metadata["s3e-recipients"]);
    expect(one.bytes.subarray(56)).not.toEqual(two.bytes.subarray(56));
  });
});

describe("conditions of a put", () => {
  it.each([
    ["small and new", "x"],
    ["large and new", large],
  ])("put of a %s object with If-None-Match does not replace another", async (Key, Body) => {
    await local.client.put({ Bucket, Key, Body, IfNoneMatch: "*" });
    const error = await errorOf(() =>
      local.client.put({ Bucket, Key, Body: large.subarray(7), IfNoneMatch: "*" }),
    );
    expect(error).toEqual(
      coded("S3_PRECONDITION_FAILED", { serviceError: "PreconditionFailed", httpStatusCode: 412 }),
    );
    expect((await local.contents()).uploads).toEqual([]);
    expectBytes(await get(Key), Buffer.from(Body as string));
  });
});

describe("inputs that put refuses", () => {
  afterEach(() => expect(local.operations()).toEqual([]));

  it("put refuses metadata of more than 2048 bytes before it sends anything", async () => {
    const Metadata = { note: "x".repeat(1800) };
    const error = await errorOf(() => local.client.put({ Bucket, Key: "k", Body: "x", Metadata }));
    expect(error).toEqual(coded("ENVELOPE_TOO_LARGE", { limit: 2048, userBytes: 1804 }));
  });

  const ended = async () => {
    const stream = Readable.from([Buffer.of(1)]);
    await collect(stream);
    return stream;
  };
  const locked = () => {
    const stream = new Blob(["x"]).stream();
    stream.getReader();
    return stream;
  };
  const cases: [string, () => Promise<object> | object, string][] = [
    ["a missing input", () => undefined as unknown as object, "input: expected an object, got undefined"],
    ["an input without Bucket", () => ({ Key: "k", Body: "x" }), "Bucket: expected a string, got undefined"],
    [
      "an empty Key",
      () => ({ Bucket, Key: "", Body: "x" }),
      "Key: expected a non-empty string, got an empty one",
    ],
    [
      "an input without Body",
      () => ({ Bucket, Key: "k" }),
      "Body: expected a Uint8Array, ArrayBuffer, string, Blob, Readable, ReadableStream or async iterable, got undefined",
    ],
    [
      "a Body that was not awaited",
      () => ({ Bucket, Key: "k", Body: Promise.resolve("x") }),
      "Body: expected a Uint8Array, ArrayBuffer, string, Blob, Readable, ReadableStream or async iterable, got a Promise that was not awaited",
    ],
    [
      "a number as Body",
      () => ({ Bucket, Key: "k", Body: 5 }),
      "Body: expected a Uint8Array, ArrayBuffer, string, Blob, Readable, ReadableStream or async iterable, got the number 5",
    ],
    [
      "a string with half a surrogate pair",
      () => ({ Bucket, Key: "k", Body: "x\ud83d" }),
      "Body: expected well-formed Unicode, got a lone surrogate",
    ],
    [
      "an array as Body",
      () => ({ Bucket, Key: "k", Body: [1] }),
      "Body: expected a Uint8Array, ArrayBuffer, string, Blob, Readable, ReadableStream or async iterable, got an instance of Array",
    ],
    [
      "a stream that has ended",
      async () => ({ Bucket, Key: "k", Body: await ended() }),
      "Body: expected a stream that can still be read",
    ],
    [
      "a destroyed stream",
      () => ({ Bucket, Key: "k", Body: new Readable({ read() {} }).destroy() }),
      "Body: expected a stream that can still be read",
    ],
    [
      "a stream that decodes",
      () => ({ Bucket, Key: "k", Body: new Readable({ read() {} }).setEncoding("utf8") }),
      "Body: expected a stream of bytes, got one with setEncoding()",
    ],
    [
      "a locked web stream",
      () => ({ Bucket, Key: "k", Body: locked() }),
      "Body: expected a ReadableStream that no other code reads",
    ],
    [
      "a negative ContentLength",
      () => ({ Bucket, Key: "k", Body: "x", ContentLength: -1 }),
      "ContentLength: expected an integer from 0 to",
    ],
    [
      "a wrong ContentLength",
      () => ({ Bucket, Key: "k", Body: "x", ContentLength: 2 }),
      "ContentLength: expected 1, the length of Body, got 2",
    ],
    [
      "a checksum of the plaintext",
      () => ({ Bucket, Key: "k", Body: "x", ChecksumSHA256: "AA==" }),
      "ChecksumSHA256: it describes the bytes sent, which are ciphertext: leave it out",
    ],
    [
      "Content-MD5",
      () => ({ Bucket, Key: "k", Body: "x", ContentMD5: "AA==" }),
      "ContentMD5: it describes the bytes sent",
    ],
    [
      "a write at an offset",
      () => ({ Bucket, Key: "k", Body: "x", WriteOffsetBytes: 5 }),
      "WriteOffsetBytes: it describes the bytes sent",
    ],
    [
      "reserved metadata",
      () => ({ Bucket, Key: "k", Body: "x", Metadata: { "s3e-salt": "x" } }),
      'Metadata["s3e-salt"]: names that start with "s3e-" are reserved',
    ],
    [
      "a context that is no object",
      () => ({ Bucket, Key: "k", Body: "x", encryptionContext: "x" }),
      "encryptionContext: expected an object, got a string",
    ],
    [
      "an unknown storage",
      () => ({ Bucket, Key: "k", Body: "x", envelopeStorage: "tape" }),
      'envelopeStorage: expected one of "metadata", "sidecar", got another string',
    ],
  ];
  it.each(cases)("put refuses %s before it sends anything", async (_, input, message) => {
    const given = await input();
    const error = await errorOf(() => local.client.put(given as never));
    expect(error.message).toContain(message);
    expect([TypeError, RangeError]).toContain(error.constructor);
  });

  it.each([
    [{ abortSignal: "now" }, "options.abortSignal: expected an AbortSignal, got a string"],
    [{ abortSignal: null }, "options.abortSignal: expected an AbortSignal, got null"],
    [null, "options: expected an object, got null"],
    [AbortSignal.abort(), "options: expected a plain object, got an instance of AbortSignal"],
  ])("put refuses invalid options of a call: %#", async (options, message) => {
    const object = { Bucket, Key: "k", Body: "x" };
    for (const method of ["put", "get", "head", "delete"] as const) {
      const error = await errorOf(() => local.client[method](object, options as never));
      expect(error).toEqual(new TypeError(message));
    }
    expect(local.operations()).toEqual([]);
  });

  it.each(["encryptionContext", "envelopeStorage", "Metadata", "ContentLength"])(
    "put refuses null in place of %s",
    async (field) => {
      const error = await errorOf(() =>
        local.client.put({ Bucket, Key: "k", Body: "x", [field]: null as never }),
      );
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(new RegExp(`^${field}: expected .*, got null$`));
      expect(local.operations()).toEqual([]);
    },
  );
});

describe("bodies of a put in memory", () => {
  it.each([0, 1, 16_383, 16_384, 65_535, 65_536, 65_537])(
    "put of %i bytes in memory sends one PutObject, and get returns them",
    async (length) => {
      const Body = testBytes(length, 9);
      const output = await local.client.put({ Bucket, Key: "k", Body });
      expect(local.operations()).toEqual(["PutObject"]);
      const { bytes } = await local.getRaw("k");
      expect([output.plaintextLength, output.ciphertextLength]).toEqual([length, bytes.length]);
      expectBytes(await get("k"), Body);
    },
  );

  it("put of a small body does not wait for a turn of the event loop between key and request", async () => {
    let turns = 0;
    const immediate = () => {
      turns += 1;
      timer = setImmediate(immediate);
    };
    let timer: NodeJS.Immediate | undefined;
    const send = async () => {
      clearImmediate(timer);
      return { ETag: '"e"' };
    };
    const put = new EnvelopeClient({ s3: { send } as never, keyring }).put({
      Bucket,
      Key: "k",
      Body: "small",
    });
    timer = setImmediate(immediate);
    await put;
    expect(turns).toBe(0);
  });
});

describe("options of EnvelopeClient", () => {
  it.each([
    [undefined, "options: expected an object, got undefined"],
    [{ keyring }, "options.s3: expected an S3Client, got undefined"],
    [{ s3: { send() {} } }, "options.keyring: expected an object, got undefined"],
    [
      { s3: { send() {} }, keyring: {} },
      "options.keyring.generateDataKey: expected a function, got undefined",
    ],
    [
      { s3: { send() {} }, keyring: { send() {} } },
      "options.keyring: expected a keyring, such as kmsKeyring({ kms, keyId }), got an instance of Object",
    ],
    [
      { s3: { send() {} }, keyring, partSizeBytes: 1 },
      `options.partSizeBytes: expected an integer from 1024 to ${maxPartBytes}, got 1`,
    ],
    [
      { s3: { send() {} }, keyring, maxConcurrentParts: 0 },
      "options.maxConcurrentParts: expected an integer from 1 to 64, got 0",
    ],
    [
      { s3: { send() {} }, keyring, idleTimeoutMs: "1" },
      "options.idleTimeoutMs: expected an integer, got a string",
    ],
    [{ s3: { send() {} }, keyring, envelopeStorage: null }, "options.envelopeStorage: expected one of"],
    [{ s3: { send() {} }, keyring, envelopeStorage: 1 }, "options.envelopeStorage: expected one of"],
  ])("an EnvelopeClient refuses invalid options: %#", (options, message) => {
    expect(() => new EnvelopeClient(options as never)).toThrow(message);
  });
});

async function* iterate<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}
