/** The error of every call on an object, for every kind of failure, names the object and can be printed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type EnvelopeClient,
  EnvelopeError,
  type ErrorCode,
  kmsKeyring,
  type UploadedPart,
  type UploadTicket,
} from "../../src/index.js";
import {
  decryptSesMail,
  type LegacyWriter,
  legacyAesKeyring,
  legacyKmsKeyring,
  legacyReading,
  migrateObject,
} from "../../src/legacy.js";
import type { Fault } from "../../src/testing/index.js";
import { testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";
import { keysOf, writerWith } from "../support/legacy-writer.js";
import { Bucket, partBytes, useLocalAws } from "../support/local.js";

/** Line ends, terminal sequences, changes of direction and invisible characters, and characters that are printed unchanged. */
const hostile = "a\nb\r\u0085\u2028\u001b[31m\u009b1m\u202ecba\u2066\u200f\u200b\ufeff\u{e0041}é文😀\"'\\";
const Key = `keys/${hostile}`;
const legacyKey = `legacy/${hostile}`;
/** An error code of five million characters, which a store may send. */
const endless = `Code${hostile.replace("\u001b", "").replace("\u009b", "")}`.padEnd(5_000_000, "x");
const small = testBytes(100_000);
const large = testBytes(partBytes + 1);
const encryptionContext = { tenant: "42" };

const local = useLocalAws();
const folder = mkdtempSync(join(tmpdir(), "s3-envelope-errors-"));
let native: EnvelopeClient;
let reader: EnvelopeClient;
let writer: LegacyWriter;
let ticket: UploadTicket;
let part: UploadedPart;
let files = 0;

beforeAll(async () => {
  const keyring = kmsKeyring({ kms: local.aws.kms, keyId: local.keyArn });
  const legacyKeyring = legacyKmsKeyring({ kms: local.aws.kms, keyId: local.keyArn });
  native = local.clientWith({ keyring });
  reader = local.clientWith({ keyring, legacy: legacyReading({ keyring: legacyKeyring }) });
  writer = writerWith(local, { keyring: keysOf(local, "rsa").keyring, instructionFile: true });
  await native.put({ Bucket, Key, Body: small, encryptionContext });
  await writerWith(local, { keyring: legacyKeyring }).put({ Bucket, Key: legacyKey, Body: small });
  ticket = await native.beginUpload({ Bucket, Key, plaintextLength: 10 });
  part = await native.uploadPart({ ticket, PartNumber: 1, Body: testBytes(10), tagDigest: "first-attempt" });
});
afterAll(() => rmSync(folder, { recursive: true }));

const newPath = () => join(folder, `${files++}`);
type Call = readonly [name: string, act: () => Promise<unknown>];

/** Every way to read an object whole or in part. */
function reads(client: EnvelopeClient, key: string, context?: Record<string, string>): Call[] {
  const object = { Bucket, Key: key, encryptionContext: context ?? encryptionContext };
  const body = async (more: object) => (await client.get({ ...object, ...more })).Body.transformToByteArray();
  return [
    ["get", () => body({})],
    ["get of a range", () => body({ Range: "bytes=90000-" })],
    ["get in parallel", () => body({ parallel: true })],
    ["get with its length verified", () => body({ verifyLength: true })],
    [
      "open and read",
      async () => {
        const opened = await client.open(object);
        for (let start = 0; start < opened.plaintextLength; start += 16_384)
          await opened.read(start, start + 16_384);
      },
    ],
    ["download", () => client.download({ ...object, filePath: newPath() })],
  ];
}

/** Every other call on an object. */
function others(): Call[] {
  const object = { Bucket, Key, encryptionContext };
  const source = { length: large.length, read: async (from: number, to: number) => large.subarray(from, to) };
  const legacy = { Bucket, Key: legacyKey };
  const legacyGet = { ...legacy, encryptionContext: "any" } as const;
  const toAes = { newKeyring: legacyAesKeyring({ wrappingKey: testBytes(32, 5) }) };
  return [
    ["head", () => native.head({ Bucket, Key })],
    ["put", () => native.put({ ...object, Body: small })],
    ["put with a sidecar", () => native.put({ ...object, Body: small, envelopeStorage: "sidecar" })],
    ["put in parts", () => native.put({ ...object, Body: large })],
    ["upload", () => native.upload({ ...object, source })],
    ["upload with a checkpoint", () => native.upload({ ...object, source, checkpointPath: newPath() })],
    ["beginUpload", () => native.beginUpload({ ...object, plaintextLength: 10 })],
    [
      "uploadPart",
      () => native.uploadPart({ ticket, PartNumber: 1, Body: testBytes(10), tagDigest: part.tagDigest }),
    ],
    ["completeUpload", () => native.completeUpload({ ticket, parts: [part] })],
    ["abortUpload", () => native.abortUpload({ ticket })],
    ["delete", () => native.delete({ Bucket, Key })],
    ["get of a legacy object", async () => (await reader.get(legacyGet)).Body.transformToByteArray()],
    ["head of a legacy object", () => reader.head(legacy)],
    ["put of a legacy object", () => writer.put({ ...legacy, Body: small })],
    ["delete of a legacy object", () => writer.delete(legacy)],
    ["reEncryptInstructionFile", () => writer.reEncryptInstructionFile({ ...legacy, ...toAes })],
    ["migrateObject", () => migrateObject(reader, legacyGet)],
    ["decryptSesMail", () => decryptSesMail({ s3: local.s3, kms: local.aws.kms, ...legacy })],
  ];
}

/** One line of characters that can be seen. */
const line = (most: number) => new RegExp(`^[^\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}\\p{Cs}]{1,${most}}$`, "u");

function expectPrintable(name: string, error: Error): asserts error is EnvelopeError {
  expect(error, name).toBeInstanceOf(EnvelopeError);
  const { message, details, stack = "" } = error as EnvelopeError;
  expect(message, name).toMatch(line(4096));
  expect(stack.startsWith(`EnvelopeError: ${message}\n    at `), name).toBe(true);
  for (const value of Object.values(details).flat()) {
    if (typeof value === "string") expect(value, name).toMatch(line(4096));
  }
  expect(JSON.stringify(details).length, name).toBeLessThan(50_000);
}

/** Makes all calls, which must fail, and checks each error; returns the codes. */
async function expectErrors(calls: Call[]): Promise<Set<ErrorCode>> {
  const codes = new Set<ErrorCode>();
  for (const [name, act] of calls) {
    const error = await errorOf(act).catch((cause: unknown) => {
      throw new Error(`${name} did not fail`, { cause });
    });
    expectPrintable(name, error);
    expect(error.details.bucket, name).toBe(Bucket);
    // The key of a sidecar and of an instruction file begins with the object's.
    expect(String(error.details.key), name).toMatch(/^(keys|legacy)\/a\\nb\\r\\u0085\\u2028\\u001b\[31m/);
    expect(String(error.details.key), name).toContain("\\u{e0041}é文😀\"'\\");
    codes.add(error.code);
  }
  return codes;
}

describe("errors of S3", () => {
  const responses: [string, Fault][] = [
    ["403", { status: 403, code: "AccessDenied" }],
    ["404", { status: 404, code: "NoSuchKey" }],
    ["412", { status: 412, code: "PreconditionFailed" }],
    ["416", { status: 416, code: "InvalidRange" }],
    ["500", { status: 500, code: "InternalError" }],
    ["301", { status: 301, code: "PermanentRedirect", message: hostile }],
    ["a page of a proxy", { status: 502, body: `<html>${hostile}</html>` }],
    ["a hostile code", { status: 400, code: endless.slice(0, 5000), message: hostile }],
    ["a broken connection", { reset: "before" }],
  ];
  it.each(responses)(
    "an error of S3 names the object and can be printed, for every call: %s",
    async (_, fault) => {
      local.aws.fault({ service: "s3", times: Number.POSITIVE_INFINITY, ...fault });
      await expectErrors([...reads(native, Key), ...others()]);
    },
  );

  it("an error of S3 whose code has five million characters can be printed", async () => {
    local.aws.fault({ service: "s3", times: Number.POSITIVE_INFINITY, status: 400, code: endless });
    await expectErrors(reads(native, Key).slice(0, 1));
  });

  it("an error in the middle of a body names the object and can be printed", async () => {
    const calls = reads(native, Key).filter(([name]) => name.startsWith("get"));
    local.aws.fault({ operation: "GetObject", times: Number.POSITIVE_INFINITY, truncateBodyBytes: 8000 });
    expect(await expectErrors(calls)).toEqual(new Set(["BODY_INTERRUPTED"]));
  });
});

describe("errors of KMS", () => {
  it.each([
    ["denied", { status: 400, code: "AccessDeniedException", message: hostile }, "KMS_ACCESS_DENIED"],
    ["a hostile type", { status: 400, code: endless }, "KMS_REQUEST_FAILED"],
    ["503", { status: 503, code: "KMSInternalException" }, "KMS_UNAVAILABLE"],
  ] as const)(
    "an error of KMS names the object and can be printed, for every call that uses KMS: %s",
    async (_, fault, code) => {
      const kms = local.aws.kms;
      const keyring = kmsKeyring({ kms, keyId: local.keyArn });
      const client = local.clientWith({ keyring });
      local.aws.fault({ service: "kms", times: Number.POSITIVE_INFINITY, ...fault });
      const asking = others().filter(([name]) =>
        /^(put( with| in|$)|upload( |$)|beginUpload|get|migrate)/.test(name),
      );
      expect(asking.length).toBe(8);
      expect(await expectErrors([...reads(client, Key), ...asking])).toEqual(new Set([code]));
    },
  );
});

describe("errors of objects that cannot be opened", () => {
  const at = (name: string) => `keys/${hostile}/${name}`;
  const putRaw = (name: string, Body: Uint8Array, Metadata: Record<string, string> = {}) =>
    local.s3.send(new PutObjectCommand({ Bucket, Key: at(name), Body, Metadata }));
  const stored = async () => {
    const { Body, Metadata } = await local.s3.send(new GetObjectCommand({ Bucket, Key }));
    return { bytes: Buffer.from((await Body?.transformToByteArray()) ?? []), metadata: Metadata ?? {} };
  };

  it("an object with another context than 500 hostile names: the error names it and can be printed", async () => {
    const names = Array.from({ length: 500 }, (_, index) => [`${index}\u202e`, "v"] as const);
    const [name, act] = reads(native, Key, Object.fromEntries(names))[0] ?? [];
    const error = (await errorOf(act ?? (() => undefined))) as EnvelopeError;
    expectPrintable(name ?? "", error);
    expect(error.code).toBe("CONTEXT_MISMATCH");
    const differing = error.details.differing as readonly string[];
    expect(differing).toHaveLength(21);
    expect(differing[20]).toBe("and 481 more");
    expect(error.message).toContain("and 481 more");
    expect(await expectErrors(reads(native, Key, { "tenant\n\u001b[2J": "x" }))).toEqual(
      new Set(["CONTEXT_MISMATCH"]),
    );
  });

  it("an object without an envelope: the error names it and can be printed", async () => {
    await putRaw("plain", small);
    expect(await expectErrors(reads(native, at("plain")))).toEqual(new Set(["ENVELOPE_MISSING"]));
  });

  it("an object with an invalid envelope: the error names it and can be printed", async () => {
    const { bytes, metadata } = await stored();
    await putRaw("broken", bytes, { ...metadata, "s3e-recipients": "[" });
    const head: Call = ["head", () => native.head({ Bucket, Key: at("broken") })];
    const codes = await expectErrors([head, ...reads(native, at("broken"))]);
    expect(codes).toEqual(new Set(["ENVELOPE_INVALID"]));
  });

  it("an object of Amazon's S3 Encryption Client: the error names it and can be printed", async () => {
    const head: Call = ["head", () => native.head({ Bucket, Key: legacyKey })];
    expect(await expectErrors([head, ...reads(native, legacyKey)])).toEqual(new Set(["LEGACY_FORMAT"]));
    const { message } = await errorOf(head[1]);
    expect(message).toMatch(
      /, see https:\/\/github\.com\/s3-envelope\/s3-envelope\/blob\/main\/docs\/guides\/legacy-objects\.md$/,
    );
  });

  it("an object for another key: the error names it, its recipients and the keys of the keyring", async () => {
    const calls = reads(local.client, Key);
    expect(await expectErrors(calls)).toEqual(new Set(["KEY_NOT_FOR_OBJECT"]));
    const error = await errorOf(calls[0]?.[1] ?? (() => undefined));
    expect(error).toMatchObject({
      details: { recipients: [`aws-kms ${local.keyArn}`], keyringKeys: ["aes test"] },
    });
    expect(error.message).toContain("; it has: aes test");
  });

  it("an object whose sidecar is missing: the error names it and can be printed", async () => {
    await native.put({ Bucket, Key: at("lost"), Body: small, envelopeStorage: "sidecar" });
    const { keys } = await local.contents();
    const sidecar = keys.find((key) => key.startsWith(at("lost")) && key !== at("lost"));
    await native.delete({ Bucket, Key: sidecar });
    const head: Call = ["head", () => native.head({ Bucket, Key: at("lost") })];
    const codes = await expectErrors([head, ...reads(native, at("lost"), {})]);
    expect(codes).toEqual(new Set(["ENVELOPE_MISSING"]));
  });

  it("an object with an altered byte: the error names it and the range of the chunks", async () => {
    const { bytes, metadata } = await stored();
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await putRaw("damaged", bytes, metadata);
    const calls = reads(native, at("damaged"));
    expect(await expectErrors(calls)).toEqual(new Set(["DECRYPTION_FAILED"]));
    const range = calls.find(([name]) => name === "get of a range")?.[1] ?? (() => undefined);
    expect(await errorOf(range)).toMatchObject({ details: { range: `bytes=82056-${bytes.length - 1}` } });
    const file = calls.find(([name]) => name === "download")?.[1] ?? (() => undefined);
    expect(await errorOf(file)).toMatchObject({ details: { range: `bytes=0-${bytes.length - 1}` } });
  });

  it("a truncated object: the error names it and can be printed", async () => {
    const { bytes, metadata } = await stored();
    await putRaw("cut", bytes.subarray(0, 56 + 16_400 * 2 + 3), metadata);
    // It has no byte of the range that the others request.
    const calls = reads(native, at("cut")).filter(([name]) => name !== "get of a range");
    expect(await expectErrors(calls)).toEqual(new Set(["BODY_TRUNCATED"]));
  });
});

it("an error of a part, a result or a customer key of another upload names the object", async () => {
  const body = { ticket, PartNumber: 1, Body: testBytes(10), tagDigest: part.tagDigest };
  const calls: Call[] = [
    ["completeUpload without parts", () => native.completeUpload({ ticket, parts: [] })],
    [
      "completeUpload with another's",
      () => native.completeUpload({ ticket, parts: [{ ...part, ETag: "x" }] }),
    ],
    [
      "completeUpload with a key",
      () => native.completeUpload({ ticket, parts: [part], SSECustomerKey: "k" }),
    ],
    ["uploadPart with a key", () => native.uploadPart({ ...body, SSECustomerKey: "k" })],
    ["uploadPart with another context", () => native.uploadPart({ ...body, encryptionContext: { a: "b" } })],
    ["uploadPart of other bytes", () => native.uploadPart({ ...body, Body: testBytes(10, 9) })],
  ];
  expect(await expectErrors(calls)).toEqual(
    new Set(["CHECKPOINT_INVALID", "CONTEXT_MISMATCH", "SOURCE_CHANGED"]),
  );
  expect(await errorOf(calls[3]?.[1] ?? (() => undefined))).toMatchObject({ details: { partNumber: 1 } });
});

describe("errors of callers", () => {
  class OwnError extends EnvelopeError {}

  it("the reason of a signal comes out unchanged, also when it is an EnvelopeError", async () => {
    const reason = new EnvelopeError("S3_UNAVAILABLE", "mine");
    const abortSignal = AbortSignal.abort(reason);
    const read = { Bucket, Key, encryptionContext };
    for (const act of [
      () => native.get(read, { abortSignal }),
      () => native.open(read, { abortSignal }),
      () => native.head({ Bucket, Key }, { abortSignal }),
      () => native.delete({ Bucket, Key }, { abortSignal }),
      () => native.put({ ...read, Body: small }, { abortSignal }),
      () => native.download({ ...read, filePath: newPath() }, { abortSignal }),
      () =>
        native.uploadPart(
          { ticket, PartNumber: 1, Body: testBytes(10), tagDigest: part.tagDigest },
          { abortSignal },
        ),
    ])
      expect(await errorOf(act)).toBe(reason);
    expect(reason.details).toEqual({});
  });

  it("the reason of a signal comes out of a body unchanged, also when it is an EnvelopeError", async () => {
    const reason = new EnvelopeError("S3_UNAVAILABLE", "mine");
    const controller = new AbortController();
    const { Body } = await native.get({ Bucket, Key, encryptionContext }, { abortSignal: controller.signal });
    controller.abort(reason);
    expect(await errorOf(() => Body.transformToByteArray())).toBe(reason);
  });

  const failing = (error: Error) =>
    local.clientWith({
      keyring: { generateDataKey: async () => Promise.reject(error), unwrapDataKey: async () => null },
    });

  it("an error of a keyring whose class extends EnvelopeError comes out unchanged", async () => {
    const thrown = new OwnError("KMS_UNAVAILABLE", "down");
    expect(await errorOf(() => failing(thrown).put({ Bucket, Key, Body: small }))).toBe(thrown);
  });

  it("an error that two calls share is copied for each, with its code, cause and stack", async () => {
    const thrown = new EnvelopeError("KMS_UNAVAILABLE", "down", { cause: "why" });
    for (const key of ["one", "two"]) {
      const error = await errorOf(() => failing(thrown).put({ Bucket, Key: key, Body: small }));
      expect(error).toMatchObject({
        code: "KMS_UNAVAILABLE",
        cause: "why",
        details: { bucket: Bucket, key },
      });
      expect(error.stack).toBe(thrown.stack);
    }
    expect(thrown.details).toEqual({});
  });
});
