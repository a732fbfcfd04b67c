import { Readable } from "node:stream";
import { HeadObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { afterEach, describe, expect, it, vi } from "vitest";
import { LegacyWriter } from "../../../src/legacy.js";
import { wraps } from "../../../src/s3ec/suites.js";
import { putLegacy } from "../../../src/s3ec-objects/write/put.js";
import { writerConfigArgument } from "../../../src/s3ec-objects/write/writer-settings.js";
import { cut, expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import {
  formats,
  keysOf,
  keyTypes,
  optionsOf,
  removeAll,
  stored,
  writerWith,
} from "../../support/legacy-writer.js";
import { Bucket, partBytes, useLocalAws } from "../../support/local.js";
import { readS3ec } from "../../support/s3ec.js";
import { readerOf } from "../support.js";

const local = useLocalAws();
const Key = "k";
afterEach(() => removeAll(local));
const base64 = (bytes: number) =>
  expect.stringMatching(new RegExp(`^[A-Za-z0-9+/]{${Math.ceil((bytes * 4) / 3)}}=*$`));
const wrapNames = {
  kms: ["kms+context", "12", "x-amz-t"],
  aes: ["AES/GCM", "02", "x-amz-m"],
  rsa: ["RSA-OAEP-SHA1", "22", "x-amz-m"],
} as const;

describe("objects of LegacyWriter", () => {
  const sizes = [0, 1, 15, 16, 17, 1000];
  const all = keyTypes.flatMap((keyType) =>
    formats.flatMap((format) =>
      [true, false].map((instructionFile) => ({ keyType, format, instructionFile })),
    ),
  );

  it.each(all)(
    "an object with $keyType in $format (instruction file: $instructionFile) is read by independent code",
    async ({ keyType, format, instructionFile }) => {
      const { keyring, key } = keysOf(local, keyType);
      const writer = writerWith(local, { keyring, instructionFile, ...optionsOf[format] });
      for (const size of sizes) {
        const plaintext = testBytes(size, size);
        for (const Body of [plaintext, Readable.from(cut(plaintext, 7, 300))]) {
          const output = await writer.put({ Bucket, Key, Body, Metadata: { mine: "kept" } });
          expect(output).toMatchObject({ plaintextLength: size, ciphertextLength: size + 16 });
          const object = await stored(local, Key);
          expect(object.instructions !== undefined).toBe(instructionFile);
          expect(object.bytes).toHaveLength(size + 16);
          expect(object.metadata.mine).toBe("kept");
          expectBytes(await readS3ec(object, key), plaintext);
        }
      }
    },
    60_000,
  );

  it.each(formats)(
    "an object in %s of several parts is read by independent code",
    async (format) => {
      const { keyring, key } = keysOf(local, "aes");
      const writer = writerWith(local, { keyring, ...optionsOf[format] });
      for (const size of [-17, -16, -15, -1, 0, 1]
        .map((more) => partBytes + more)
        .concat(3 * partBytes - 8)) {
        const plaintext = testBytes(size, 3);
        for (const Body of [plaintext, Readable.from(cut(plaintext, 65_536))]) {
          await writer.put({ Bucket, Key, Body });
          const operations = local.operations();
          const parts = Math.ceil((size + 16) / partBytes);
          expect(operations.filter((one) => one === "UploadPart")).toHaveLength(parts > 1 ? parts : 0);
          expect(operations.includes("PutObject")).toBe(parts === 1);
          expectBytes(await readS3ec(await local.getRaw(Key), key), plaintext);
        }
      }
    },
    120_000,
  );

  /** Not in the order of the names: the reader for PHP compares the context in the order in which its caller states it. */
  const context = { team: "é x", area: "b" };

  it.each(keyTypes)("an object in V3 with %s has exactly the fields of the format", async (keyType) => {
    const { keyring } = keysOf(local, keyType, context);
    const [, code, contextName] = wrapNames[keyType];
    const encryptionContext = keyType === "kms" ? context : undefined;
    await writerWith(local, { keyring }).put({ Bucket, Key, Body: "x", encryptionContext });
    const bound = keyType === "kms" ? ',"aws:x-amz-cek-alg":"115"' : "";
    const wrappedBytes = { kms: expect.any(String), aes: base64(60), rsa: base64(256) };
    const expected = {
      "x-amz-c": "115",
      "x-amz-w": code,
      "x-amz-d": base64(28),
      "x-amz-i": base64(28),
      "x-amz-3": wrappedBytes[keyType],
      [contextName]: `{"team":"\\u00e9 x","area":"b"${bound}}`,
    };
    expect((await stored(local, Key)).metadata).toEqual(expected);
    const { "x-amz-3": wrapped, "x-amz-w": wrap, [contextName]: contextText, ...content } = expected;
    await writerWith(local, { keyring, instructionFile: true }).put({
      Bucket,
      Key,
      Body: "x",
      encryptionContext,
    });
    const object = await stored(local, Key);
    expect(object.metadata).toEqual(content);
    expect(JSON.parse(object.instructions ?? "")).toEqual({
      "x-amz-3": wrapped,
      "x-amz-w": wrap,
      [contextName]: contextText,
    });
    expect(object.instructions).toMatch(/^[!-~]+$/);
  });

  it.each(keyTypes)("an object in V2 with %s has exactly the fields of the format", async (keyType) => {
    const { keyring } = keysOf(local, keyType, context);
    const encryptionContext = keyType === "kms" ? context : undefined;
    const bound = keyType === "kms" ? ',"aws:x-amz-cek-alg":"AES/GCM/NoPadding"' : "";
    const expected = {
      "x-amz-key-v2": expect.any(String),
      "x-amz-iv": base64(12),
      "x-amz-matdesc": `{"team":"\\u00e9 x","area":"b"${bound}}`,
      "x-amz-wrap-alg": wrapNames[keyType][0],
      "x-amz-cek-alg": "AES/GCM/NoPadding",
      "x-amz-tag-len": "128",
    };
    await writerWith(local, { keyring, ...optionsOf.V2 }).put({ Bucket, Key, Body: "x", encryptionContext });
    expect((await stored(local, Key)).metadata).toEqual(expected);
    const writer = writerWith(local, { keyring, instructionFile: true, ...optionsOf.V2 });
    await writer.put({ Bucket, Key, Body: "x", encryptionContext });
    const object = await stored(local, Key);
    expect(object.metadata).toEqual({});
    expect(JSON.parse(object.instructions ?? "")).toEqual(expected);
    expect(object.instructions).toMatch(/^[!-~]+$/);
  });

  it("an object is read with its context stated in any order", async () => {
    const { keyring } = keysOf(local, "kms");
    await writerWith(local, { keyring }).put({ Bucket, Key, Body: "x", encryptionContext: context });
    const encryptionContext = Object.fromEntries(Object.entries(context).reverse());
    const { Body } = await readerOf(local).get({ Bucket, Key, encryptionContext });
    expect(await Body.transformToString()).toBe("x");
  });

  it("an empty description is omitted in V3 and stored as an empty object in V2", async () => {
    await writerWith(local).put({ Bucket, Key, Body: "x" });
    expect((await local.getRaw(Key)).metadata).not.toHaveProperty("x-amz-m");
    await writerWith(local, optionsOf.V2).put({ Bucket, Key, Body: "x" });
    expect((await local.getRaw(Key)).metadata["x-amz-matdesc"]).toBe("{}");
  });

  it("a small object takes one request to KMS and one to S3", async () => {
    const { keyring } = keysOf(local, "kms");
    await writerWith(local, { keyring }).put({ Bucket, Key, Body: "x" });
    expect(local.operations()).toEqual(["GenerateDataKey", "PutObject"]);
  });

  it("the fields of PutObject are sent, and no checksum of the plaintext", async () => {
    const s3 = new S3Client({ region: "eu-central-1" });
    const mock = mockClient(s3);
    mock.on(PutObjectCommand).resolves({ ETag: '"e"' });
    const fields = {
      ContentType: "text/plain",
      StorageClass: "GLACIER",
      Tagging: "a=b",
      IfNoneMatch: "*",
    } as const;
    const writer = writerWith(local, { s3 });
    await writer.put({ Bucket, Key, Body: "hello", ContentLength: 5, ...fields });
    const { Body, Metadata, ...sent } = mock.commandCalls(PutObjectCommand)[0]?.args[0].input ?? {};
    expect(sent).toEqual({ Bucket, Key, ...fields });
    expect(Body).toHaveLength(21);
    expect(Object.keys(Metadata ?? {}).sort()).toEqual([
      "x-amz-3",
      "x-amz-c",
      "x-amz-d",
      "x-amz-i",
      "x-amz-w",
    ]);
  });

  it("progress counts bytes of plaintext, also when the tag spans two parts", async () => {
    const plaintext = testBytes(2 * partBytes - 5);
    const seen: number[] = [];
    await writerWith(local, { maxConcurrentParts: 1 }).put(
      { Bucket, Key, Body: Readable.from(cut(plaintext, 65_536)) },
      { onProgress: ({ bytes }) => void seen.push(bytes) },
    );
    expect(seen.at(-1)).toBe(plaintext.length);
    expect(seen).toEqual([...seen].sort((left, right) => left - right));
  });
});

it("no two of 1000 writes have an IV, a message id or a wrapped key in common", async () => {
  const s3 = new S3Client({ region: "eu-central-1" });
  const mock = mockClient(s3);
  mock.on(PutObjectCommand).resolves({ ETag: '"e"' });
  for (const format of formats) {
    const writer = writerWith(local, { s3, ...optionsOf[format] });
    const same = Buffer.alloc(32);
    await Promise.all(Array.from({ length: 1000 }, () => writer.put({ Bucket, Key, Body: same })));
  }
  const inputs = mock.commandCalls(PutObjectCommand).map(({ args }) => args[0].input);
  const unique = (values: unknown[]) => new Set(values.filter((value) => value !== undefined)).size;
  for (const name of ["x-amz-iv", "x-amz-i", "x-amz-d", "x-amz-3", "x-amz-key-v2"]) {
    expect(unique(inputs.map(({ Metadata }) => Metadata?.[name]))).toBe(1000);
  }
  expect(unique(inputs.map(({ Body }) => (Body as Buffer).toString("hex")))).toBe(2000);
});

describe("options of LegacyWriter", () => {
  const valid = () => ({ s3: local.s3, keyring: keysOf(local, "aes").keyring });
  const v2 = "ALG_AES_256_GCM_IV12_TAG16_NO_KDF";
  const v3 = "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY";
  it.each([
    ["FORBID_ENCRYPT_ALLOW_DECRYPT", undefined, `"${v2}"`],
    ["FORBID_ENCRYPT_ALLOW_DECRYPT", v3, `"${v2}"`],
    ["REQUIRE_ENCRYPT_ALLOW_DECRYPT", v2, `"${v3}"`],
    ["REQUIRE_ENCRYPT_REQUIRE_DECRYPT", v2, `"${v3}"`],
    [undefined, v2, `"${v3}"`],
  ] as const)(
    "LegacyWriter refuses the policy %s with the algorithm %s",
    async (commitmentPolicy, encryptionAlgorithm, expected) => {
      const options = { ...valid(), commitmentPolicy, encryptionAlgorithm } as never;
      const error = await errorOf(() => new LegacyWriter(options));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain(`options.encryptionAlgorithm: expected ${expected}`);
    },
  );

  it.each([
    ["encryptionAlgorithm", "ALG_AES_256_CBC_IV16_NO_KDF", RangeError],
    ["encryptionAlgorithm", 115, TypeError],
    ["commitmentPolicy", "NONE", RangeError],
    ["keyring", {}, TypeError],
    ["keyring", { keyType: "hsm", generateDataKey() {}, unwrapDataKey() {} }, TypeError],
    ["keyring", { keyType: "aes", generateDataKey: 1, unwrapDataKey() {} }, TypeError],
    ["keyring", { keyType: "aes", generateDataKey() {} }, TypeError],
    ["instructionFile", 1, TypeError],
    ["enableLegacyWrappingAlgorithms", "yes", RangeError],
    ["s3", {}, TypeError],
    ["partSizeBytes", 1, RangeError],
  ])("LegacyWriter refuses the option %s: %j", async (name, value, type) => {
    const error = await errorOf(() => new LegacyWriter({ ...valid(), [name]: value } as never));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(new RegExp(`^options\\.${name}`));
  });

  it.each(["REQUIRE_ENCRYPT_ALLOW_DECRYPT", "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"] as const)(
    "LegacyWriter writes V3 under the policy %s",
    async (commitmentPolicy) => {
      await writerWith(local, { commitmentPolicy }).put({ Bucket, Key, Body: "x" });
      expect((await local.getRaw(Key)).metadata["x-amz-c"]).toBe("115");
    },
  );
});

describe("arguments of LegacyWriter.put are refused before any request", () => {
  it.each([
    [
      "a context for a key that binds none",
      { encryptionContext: { a: "b" } },
      TypeError,
      /^encryptionContext: /,
    ],
    [
      "the entry of the format",
      { encryptionContext: { "aws:x-amz-cek-alg": "115" } },
      RangeError,
      /reserved/,
    ],
    ["the entry of V1", { encryptionContext: { kms_cmk_id: "1" } }, RangeError, /reserved/],
    [
      "a name of the format",
      { Metadata: { "X-Amz-Key-V2": "x" } },
      RangeError,
      /^Metadata\["X-Amz-Key-V2"\]/,
    ],
    ["a name of V3", { Metadata: { "x-amz-c": "115" } }, RangeError, /^Metadata\["x-amz-c"\]/],
    ["a name of the native format", { Metadata: { "s3e-salt": "x" } }, RangeError, /^Metadata/],
    ["a checksum of something else", { ContentMD5: "x" }, TypeError, /^ContentMD5: /],
    ["where envelopes go", { envelopeStorage: "sidecar" }, TypeError, /^envelopeStorage: /],
    ["no body", { Body: undefined }, TypeError, /^Body: /],
    ["a key without room", { Key: "k".repeat(1020) }, RangeError, /^Key: expected at most 1012 bytes/],
  ] as const)("%s", async (_, input, type, message) => {
    const { keyring } = keysOf(
      local,
      input && "encryptionContext" in input && !("a" in input.encryptionContext) ? "kms" : "aes",
    );
    const writer = writerWith(local, { keyring, instructionFile: true });
    const error = await errorOf(() => writer.put({ Bucket, Key, Body: "x", ...input } as never));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
    expect(local.operations()).toEqual([]);
  });

  it("a body that is stated to be larger than 64 GiB is refused before any request", async () => {
    const generateDataKey = vi.fn();
    for (const format of formats) {
      const keyring = { ...keysOf(local, "aes").keyring, generateDataKey };
      const writer = writerWith(local, { keyring, ...optionsOf[format] });
      const put = (ContentLength: number) =>
        errorOf(() => writer.put({ Bucket, Key, Body: Readable.from([]), ContentLength }));
      expect(await put(2 ** 36 - 31)).toEqual(coded("SOURCE_TOO_LARGE", { limit: 2 ** 36 - 32 }));
      expect(generateDataKey).not.toHaveBeenCalled();
      generateDataKey.mockRejectedValueOnce(new Error("asked"));
      expect((await put(2 ** 36 - 32)).message).toBe("asked");
      generateDataKey.mockClear();
    }
    expect(local.operations()).toEqual([]);
  });

  it("metadata that is too large for S3 is refused with the advice to use an instruction file, which works", async () => {
    const { keyring, key } = keysOf(local, "kms");
    const encryptionContext = { long: "ü".repeat(300) };
    const put = { Bucket, Key, Body: "x", encryptionContext };
    const error = await errorOf(() => writerWith(local, { keyring }).put(put));
    expect(error).toEqual(coded("ENVELOPE_TOO_LARGE", { limit: 2048, userBytes: 0, contextBytes: 1837 }));
    expect(error.message).toContain("instruction file");
    expect(local.operations()).toEqual(["GenerateDataKey"]);
    await writerWith(local, { keyring, instructionFile: true }).put(put);
    expectBytes(await readS3ec(await stored(local, Key), key), Buffer.from("x"));
    const Metadata = { note: "n".repeat(2000) };
    local.aws.clearRequests();
    const other = await errorOf(() =>
      writerWith(local, { keyring, instructionFile: true }).put({ ...put, Metadata }),
    );
    expect(other).toEqual(
      coded("ENVELOPE_TOO_LARGE", { userBytes: 2004, contextBytes: 0, recipientBytes: 0 }),
    );
    expect(other.message).toMatch(/Shorten Metadata$/);
    expect(local.operations()).toEqual(["GenerateDataKey"]);
  });

  it("an instruction file that is too large for readers is refused before any request", async () => {
    const { keyring } = keysOf(local, "kms");
    const writer = writerWith(local, { keyring, instructionFile: true });
    const encryptionContext = { long: "\u0001".repeat(8100) };
    const fits = await errorOf(() =>
      writer.put({ Bucket, Key, Body: "x", encryptionContext: { long: "\u0001".repeat(9000) } }),
    );
    expect(fits).toBeInstanceOf(RangeError);
    const wordy = { ...keysOf(local, "aes").keyring };
    const generate = wordy.generateDataKey;
    wordy.generateDataKey = async (input) => ({
      ...(await generate(input)),
      description: { long: "\u0001".repeat(10_000) },
    });
    const refused = writerWith(local, { keyring: wordy, instructionFile: true });
    expect(await errorOf(() => refused.put({ Bucket, Key, Body: "x" }))).toEqual(
      coded("ENVELOPE_TOO_LARGE", { limit: 65_536 }),
    );
    expect(local.operations()).toEqual([]);
    await writer.put({ Bucket, Key, Body: "x", encryptionContext });
  });

  it.each([
    ["no object", undefined, /its result: expected an object/],
    ["a short key", { plaintext: Buffer.alloc(16, 1) }, /plaintext: expected 32 bytes, got 16/],
    ["zeros for a key", { plaintext: Buffer.alloc(32) }, /plaintext: expected 32 random bytes, got zeros/],
    ["no wrapped key", { wrappedKey: "x" }, /wrappedKey: expected a Uint8Array/],
    ["an empty wrapped key", { wrappedKey: Buffer.alloc(0) }, /wrappedKey: expected 1 to 8192 bytes, got 0/],
    ["a long wrapped key", { wrappedKey: Buffer.alloc(8193) }, /wrappedKey: expected 1 to 8192 bytes/],
    ["a legacy wrap", { wrap: { name: "AESWrap" } }, /wrap: expected the wrap/],
    ["a description of something else", { description: { a: 1 } }, /description: expected strings/],
    ["a description without a name", { description: { "": "x" } }, /expected a non-empty name/],
    ["a description that is no text", { description: { a: "\ud800" } }, /expected well-formed Unicode/],
    [
      "a context of KMS that readers refuse",
      { description: {}, wrap: wraps.kmsContext, keyType: "kms" },
      /expected "aws:x-amz-cek-alg": "115" in it/,
    ],
  ])("a keyring that returns %s is refused before any request", async (_, wrong, message) => {
    const { keyring } = keysOf(local, "aes");
    const generateDataKey = async (input: Parameters<typeof keyring.generateDataKey>[0]) =>
      wrong && { ...(await keyring.generateDataKey(input)), ...wrong };
    const writer = writerWith(local, { keyring: { ...keyring, ...wrong, generateDataKey } as never });
    expect((await errorOf(() => writer.put({ Bucket, Key, Body: "x" }))).message).toMatch(message);
    expect(local.operations()).toEqual([]);
  });
});

describe("a stream of more bytes than the format allows", () => {
  it.each([
    ["in the first part", 1000],
    ["after a part", partBytes + 1000],
  ])(
    "a stream of more bytes than the format allows is refused as soon as that is known (%s), and leaves nothing behind",
    async (_, limit) => {
      const settings = writerConfigArgument({
        s3: local.s3,
        keyring: keysOf(local, "aes").keyring,
        partSizeBytes: partBytes,
        instructionFile: true,
      });
      const suite = { ...settings.suite, maxPlaintextBytes: limit };
      const put = (bytes: number) => {
        const Body = Readable.from(cut(testBytes(bytes), 65_536));
        return putLegacy({ ...settings, suite }, { Bucket, Key, Body }, {});
      };
      expect(await errorOf(() => put(limit + 1))).toEqual(coded("SOURCE_TOO_LARGE"));
      expect(await local.contents()).toEqual({ keys: [], uploads: [] });
      expect((await put(limit)).plaintextLength).toBe(limit);
    },
  );
});

describe("LegacyWriter.delete", () => {
  const writer = () => writerWith(local, { instructionFile: true });
  it("delete removes the object, then its instruction file", async () => {
    await writer().put({ Bucket, Key, Body: "x" });
    local.operations();
    await writer().delete({ Bucket, Key });
    expect(local.aws.requests.map(({ operation, path }) => [operation, path])).toEqual([
      ["DeleteObject", `/${Bucket}/k`],
      ["DeleteObject", `/${Bucket}/k.instruction`],
    ]);
    expect((await local.contents()).keys).toEqual([]);
  });

  it("delete removes objects without an instruction file, whatever the options of the writer", async () => {
    await writerWith(local).put({ Bucket, Key, Body: "x" });
    await writerWith(local).delete({ Bucket, Key });
    expect((await local.contents()).keys).toEqual([]);
  });

  it("delete keeps the instruction file when the object stays, and when one version is removed", async () => {
    await writer().put({ Bucket, Key, Body: "x" });
    local.aws.fault({ operation: "DeleteObject", status: 403, code: "AccessDenied" });
    expect(await errorOf(() => writer().delete({ Bucket, Key }))).toEqual(coded("S3_ACCESS_DENIED"));
    expect((await local.contents()).keys).toEqual(["k", "k.instruction"]);
    local.operations();
    await writer().delete({ Bucket, Key, VersionId: "null" });
    expect(local.operations()).toEqual(["DeleteObject"]);
  });

  it("delete reports an instruction file that could not be removed, and a confirmed deletion that did not happen", async () => {
    await writer().put({ Bucket, Key, Body: "x" });
    local.aws.fault({ operation: "DeleteObject", skip: 1, status: 403, code: "AccessDenied" });
    expect(await writer().delete({ Bucket, Key })).toMatchObject({
      orphanedInstructionFileKey: "k.instruction",
    });
    await writer().put({ Bucket, Key, Body: "x" });
    local.aws.fault({ operation: "DeleteObject", status: 200, body: "<html>all is well</html>" });
    expect(await errorOf(() => writer().delete({ Bucket, Key }))).toEqual(coded("S3_REQUEST_FAILED"));
  });

  it("delete rejects with the reason of an aborted signal", async () => {
    const abortSignal = AbortSignal.abort(new Error("enough"));
    expect(await errorOf(() => writer().delete({ Bucket, Key }, { abortSignal }))).toBe(abortSignal.reason);
    expect(local.operations()).toEqual([]);
  });
});

it("the ciphertextLength of LegacyWriter.put is the size of the object in S3", async () => {
  const { ciphertextLength } = await writerWith(local).put({ Bucket, Key, Body: testBytes(100) });
  const { ContentLength } = await local.s3.send(new HeadObjectCommand({ Bucket, Key }));
  expect(ContentLength).toBe(ciphertextLength);
});
