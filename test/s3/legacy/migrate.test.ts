import {
  CreateBucketCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
} from "@aws-sdk/client-s3";
import { beforeEach, describe, expect, it } from "vitest";
import { legacyAesKeyring, legacyReading, migrateObject } from "../../../src/legacy.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import {
  allowAll,
  kek,
  type LegacyFiles,
  localShapes,
  oldNetFile,
  shapes,
  writeLegacy,
} from "../../support/legacy-objects.js";
import { Bucket, partBytes, useLocalAws } from "../../support/local.js";
import { readerOf, store } from "./support.js";

const local = useLocalAws();
const kms = () => ({ client: local.aws.kms, keyId: local.keyArn });
const plain = testBytes(100_000, 3);
const other = { Bucket, Key: "new" };

/** Empties the bucket. */
beforeEach(async () => {
  const { keys } = await local.contents();
  for (const Key of keys) await local.client.delete({ Bucket, Key });
  local.operations();
});

async function readNative(Key: string, encryptionContext: Record<string, string> = {}, from = Bucket) {
  const { Body, ...output } = await local.client.get({ Bucket: from, Key, encryptionContext });
  return { bytes: Buffer.from(await Body.transformToByteArray()), ...output };
}

describe.each(["metadata", "instruction-file"] as const)("with the envelope in the %s", (storage) => {
  it.each(shapes)("every object becomes a native one: $format, $content, $wrap", async (shape) => {
    const context: Record<string, string> = shape.wrap.startsWith("kms") ? { tenant: "caf\u00e9" } : {};
    const client = readerOf(local, allowAll);
    for (const size of [0, 1, 16, 100_000]) {
      const bytes = plain.subarray(0, size);
      await store(local, "k", await writeLegacy(bytes, shape, { storage, context, kms: kms() }));
      const output = await migrateObject(client, {
        Bucket,
        Key: "k",
        ...(shape.wrap.startsWith("kms") && { encryptionContext: context }),
      });
      expect(output).toMatchObject({
        migrated: true,
        Bucket,
        Key: "k",
        plaintextLength: size,
        encryptionContext: context,
        legacy: { format: shape.format, wrapAlgorithm: shape.wrap, storage },
        authenticated: shape.content !== "cbc",
      });
      expect(output).not.toHaveProperty("orphanedKeys");
      const native = await readNative("k", context);
      expectBytes(native.bytes, bytes);
      expect(native.ETag).toBe(output.ETag);
      expect(native.Metadata).toEqual({});
      expect(await local.contents()).toEqual({ keys: ["k"], uploads: [] });
    }
  });
});

it("an object of several parts is migrated in its place and elsewhere", async () => {
  const bytes = testBytes(2 * partBytes + 12_345, 8);
  for (const shape of [localShapes["115"], localShapes.cbc]) {
    const client = readerOf(local, { ...allowAll, releaseUnverifiedPlaintext: true });
    await store(local, "k", await writeLegacy(bytes, shape));
    await migrateObject(client, { Bucket, Key: "k", target: { Key: "new" } });
    expectBytes((await readNative("new")).bytes, bytes);
    expect((await local.contents()).keys).toEqual(["k", "new"]);
    await migrateObject(client, { Bucket, Key: "k" });
    expectBytes((await readNative("k")).bytes, bytes);
    expect(await local.contents()).toEqual({ keys: ["k", "new"], uploads: [] });
    await local.client.delete({ Bucket, Key: "new" });
  }
});

describe("what the original has beside its content", () => {
  const headers = {
    ContentType: "text/x-test",
    CacheControl: "max-age=5",
    ContentDisposition: "attachment",
    ContentEncoding: "x-none",
    ContentLanguage: "de",
    WebsiteRedirectLocation: "/elsewhere",
    StorageClass: "STANDARD_IA",
    ServerSideEncryption: "aws:kms",
    SSEKMSKeyId: "arn:aws:kms:us-east-1:000000000000:key/abc",
    BucketKeyEnabled: true,
  } as const satisfies Partial<PutObjectCommandInput>;
  const Expires = new Date("2031-02-03T04:05:06Z");
  const Tagging = "team=a%20b%2Bc&empty=";

  async function original(extra: Partial<PutObjectCommandInput> = {}): Promise<void> {
    const { body, metadata } = await writeLegacy(plain, localShapes["115"]);
    const Metadata = { ...metadata, note: "mine" };
    const input = { Bucket, Key: "k", Body: body, Metadata, ...headers, Expires, Tagging, ...extra };
    await local.s3.send(new PutObjectCommand(input));
  }
  const tags = async (Key: string) =>
    (await local.s3.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;

  it.each(["k", "new"])("is carried over to %j", async (Key) => {
    await original();
    await migrateObject(readerOf(local), { Bucket, Key: "k", target: { Key } });
    const native = await readNative(Key);
    expect(native).toMatchObject({
      ...headers,
      ExpiresString: Expires.toUTCString(),
      Metadata: { note: "mine" },
    });
    expect(await tags(Key)).toEqual([
      { Key: "team", Value: "a b+c" },
      { Key: "empty", Value: "" },
    ]);
  });

  it("is the caller's where the caller states it, undefined included", async () => {
    await original();
    const target = {
      Key: "new",
      ContentType: "b/c",
      CacheControl: undefined,
      ServerSideEncryption: "AES256",
      Tagging: undefined,
      Metadata: { other: "x" },
      Expires: undefined,
      encryptionContext: { a: "b" },
    } as const;
    const output = await migrateObject(readerOf(local), { Bucket, Key: "k", target });
    expect(local.operations()).not.toContain("GetObjectTagging");
    expect(output).toMatchObject({ encryptionContext: { a: "b" } });
    const {
      ContentType,
      CacheControl,
      ContentLanguage,
      ServerSideEncryption,
      SSEKMSKeyId,
      Metadata,
      ExpiresString,
    } = await readNative("new", { a: "b" });
    expect({
      ContentType,
      CacheControl,
      ContentLanguage,
      ServerSideEncryption,
      SSEKMSKeyId,
      Metadata,
    }).toEqual({
      ContentType: "b/c",
      CacheControl: undefined,
      ContentLanguage: "de",
      ServerSideEncryption: "AES256",
      SSEKMSKeyId: undefined,
      Metadata: { other: "x" },
    });
    expect(ExpiresString).toBeUndefined();
    expect(await tags("new")).toEqual([]);
  });

  it("may be an Expires that is no date: it stays in the past", async () => {
    await original();
    const client = readerOf(local);
    local.s3.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        const { headers: answered } = result.response as { headers?: Record<string, string> };
        if (answered?.expires === Expires.toUTCString()) answered.expires = "0";
        return result;
      },
      { step: "deserialize", name: "expires0", priority: "low" },
    );
    try {
      await migrateObject(client, { Bucket, Key: "k" });
    } finally {
      local.s3.middlewareStack.remove("expires0");
    }
    expect((await readNative("k")).ExpiresString).toBe(new Date(0).toUTCString());
  });

  it("is written to an archive by way of an object that can be read", async () => {
    await original({ StorageClass: undefined });
    for (const Key of ["new", "k"]) {
      await migrateObject(readerOf(local), { Bucket, Key: "k", target: { Key, StorageClass: "GLACIER" } });
      const { StorageClass } = await local.s3.send(new HeadObjectCommand({ Bucket, Key }));
      expect(StorageClass).toBe("GLACIER");
    }
    expect(await local.contents()).toEqual({ keys: ["k", "new"], uploads: [] });
  });

  it("takes a permission for tags, or the word to leave them behind", async () => {
    await original();
    local.aws.fault({ operation: "GetObjectTagging", status: 403, code: "AccessDenied" });
    const error = await errorOf(() => migrateObject(readerOf(local), { Bucket, Key: "k" }));
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { operation: "GetObjectTagging" }));
    expect(error.message).toContain('tags: "skip"');
    await migrateObject(readerOf(local), { Bucket, Key: "k", tags: "skip" });
    expect(await tags("k")).toEqual([]);
  });

  it("may be a key of the caller's for encryption by S3", async () => {
    const key = { SSECustomerAlgorithm: "AES256", SSECustomerKey: testBytes(32, 5) as never };
    await original({
      ServerSideEncryption: undefined,
      SSEKMSKeyId: undefined,
      BucketKeyEnabled: undefined,
      ...key,
    });
    await migrateObject(readerOf(local), { Bucket, Key: "k", ...key });
    const { Body } = await local.client.get({ Bucket, Key: "k", ...key });
    expectBytes(await Body.transformToByteArray(), plain);
    expect(await errorOf(() => local.client.get({ Bucket, Key: "k" }))).toEqual(coded("S3_REQUEST_FAILED"));
    expect(await local.contents()).toEqual({ keys: ["k"], uploads: [] });
  });
});

describe("elsewhere", () => {
  const put = async (storage: "metadata" | "instruction-file" = "metadata"): Promise<LegacyFiles> => {
    const files = await writeLegacy(plain, localShapes["115"], { storage });
    await store(local, "k", files);
    return files;
  };

  it("the original stays, unless it is to be removed", async () => {
    await put("instruction-file");
    await migrateObject(readerOf(local), { Bucket, Key: "k", target: other });
    expect((await local.contents()).keys).toEqual(["k", "k.instruction", "new"]);
    const output = await migrateObject(readerOf(local), {
      Bucket,
      Key: "k",
      target: { Key: "newer" },
      deleteOriginal: true,
    });
    expect(output).not.toHaveProperty("keptInstructionFileKey");
    expect((await local.contents()).keys).toEqual(["new", "newer"]);
    expectBytes((await readNative("newer")).bytes, plain);
  });

  it("nothing is overwritten, and nothing is sent to find that out", async () => {
    await put();
    await local.putRaw("new", Buffer.from("theirs"));
    const migrate = (target: object) => migrateObject(readerOf(local), { Bucket, Key: "k", target });
    expect(await errorOf(() => migrate(other))).toEqual(coded("S3_PRECONDITION_FAILED", { key: "new" }));
    expect(local.operations()).toEqual(["HeadObject", "HeadObject"]);
    local.aws.fault({ operation: "HeadObject", skip: 1, status: 403 });
    expect(await errorOf(() => migrate(other))).toEqual(
      coded("S3_PRECONDITION_FAILED", { operation: "PutObject" }),
    );
    expectBytes((await local.getRaw("new")).bytes, Buffer.from("theirs"));
    const { ETag: IfMatch } = await local.s3.send(new HeadObjectCommand(other));
    await migrate({ ...other, IfMatch });
    expectBytes((await readNative("new")).bytes, plain);
  });

  it("may be another bucket, and the keys of another keyring", async () => {
    await put();
    await local.s3.send(new CreateBucketCommand({ Bucket: "elsewhere" }));
    const target = { Bucket: "elsewhere", Key: "k", encryptionContext: { a: "1" } };
    const client = readerOf(local, {}, { envelopeStorage: "sidecar" });
    expect(await migrateObject(client, { Bucket, Key: "k", target })).toMatchObject(target);
    expectBytes((await readNative("k", { a: "1" }, "elsewhere")).bytes, plain);
  });
});

describe("in its place", () => {
  it("sidecars go along", async () => {
    const client = readerOf(local, {}, { envelopeStorage: "sidecar" });
    await store(local, "k", await writeLegacy(plain, localShapes["115"]));
    await migrateObject(client, { Bucket, Key: "k", target: { encryptionContext: { a: "1" } } });
    expectBytes((await readNative("k", { a: "1" })).bytes, plain);
    const { keys } = await local.contents();
    expect(keys).toEqual(["k", expect.stringMatching(/^k\.[0-9a-f]{48}\.envelope$/)]);
  });

  it("the instruction file of the oldest .NET clients goes, too", async () => {
    const files = await writeLegacy(plain, localShapes.cbc, { storage: "instruction-file" });
    await store(
      local,
      "k",
      { ...files, instructionFile: oldNetFile(files.instructionFile ?? "") },
      "INSTRUCTION_SUFFIX",
    );
    const output = await migrateObject(readerOf(local, allowAll), { Bucket, Key: "k" });
    expect(output).toMatchObject({ legacy: { instructionFileKey: "kINSTRUCTION_SUFFIX" } });
    expect((await local.contents()).keys).toEqual(["k"]);
  });

  it("very long keys and strange ones work", async () => {
    for (const Key of ["\u{1f512}".repeat(256), "a b+c%/?&=\u00e9/../x"]) {
      await store(local, Key, await writeLegacy(plain, localShapes["115"]));
      await migrateObject(readerOf(local), { Bucket, Key });
      expectBytes((await readNative(Key)).bytes, plain);
      expect(await local.contents()).toEqual({ keys: [Key], uploads: [] });
      await local.client.delete({ Bucket, Key });
    }
  });
});

it("a native object is left alone, and no key is asked", async () => {
  const client = readerOf(
    local,
    {},
    {
      keyring: { generateDataKey: () => Promise.reject(), unwrapDataKey: () => Promise.reject() } as never,
    },
  );
  const { ETag } = await local.client.put({ Bucket, Key: "k", Body: plain, encryptionContext: { a: "b" } });
  local.operations();
  const output = await migrateObject(client, { Bucket, Key: "k", target: other, deleteOriginal: true });
  expect(output).toEqual({ migrated: false, Bucket, Key: "k", VersionId: undefined, ETag });
  expect(local.operations()).toEqual(["HeadObject"]);
  expect((await local.contents()).keys).toEqual(["k"]);
});

describe("a bucket with versions", () => {
  const versioned = "versioned-bucket";
  const at = { Bucket: versioned, Key: "k" };
  beforeEach(async () => {
    await local.s3.send(new CreateBucketCommand({ Bucket: versioned })).catch(() => undefined);
    const VersioningConfiguration = { Status: "Enabled" } as const;
    await local.s3.send(new PutBucketVersioningCommand({ Bucket: versioned, VersioningConfiguration }));
  });
  const put = async () => {
    const { body, metadata, instructionFile } = await writeLegacy(plain, localShapes["115"], {
      storage: "instruction-file",
    });
    const file = { Bucket: versioned, Key: "k.instruction", Body: instructionFile };
    await local.s3.send(new PutObjectCommand(file));
    return local.s3.send(new PutObjectCommand({ ...at, Body: body, Metadata: metadata }));
  };

  it("keeps the original as a version, and its instruction file for it", async () => {
    const { VersionId } = await put();
    const output = await migrateObject(readerOf(local), at);
    expect(output).toMatchObject({ migrated: true, keptInstructionFileKey: "k.instruction" });
    expect(output.VersionId).not.toBe(VersionId);
    const { Body } = await readerOf(local).get({ ...at, VersionId });
    expectBytes(await Body.transformToByteArray(), plain);
    expectBytes((await readNative("k", {}, versioned)).bytes, plain);
  });

  it("loses the named version only", async () => {
    const { VersionId } = await put();
    await put();
    const input = { ...at, VersionId, target: { Key: `from-${VersionId}` } };
    const output = await migrateObject(readerOf(local), { ...input, deleteOriginal: true });
    expect(output).toMatchObject({ keptInstructionFileKey: "k.instruction" });
    expect(await errorOf(() => local.s3.send(new HeadObjectCommand({ ...at, VersionId })))).toMatchObject({
      $metadata: { httpStatusCode: 404 },
    });
    const { Body } = await readerOf(local).get(at);
    expectBytes(await Body.transformToByteArray(), plain);
  });

  it("does not get an old version for a newer one", async () => {
    const { VersionId } = await put();
    await local.s3.send(new PutObjectCommand({ ...at, Body: "newer" }));
    local.operations();
    expect(await errorOf(() => migrateObject(readerOf(local), { ...at, VersionId }))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
    expect(local.operations()).toEqual(["HeadObject", "HeadObject"]);
  });
});

describe("arguments", () => {
  it.each([
    [{}, TypeError, "Bucket"],
    [{ Bucket, Key: "k", tags: "all" }, RangeError, "tags"],
    [{ Bucket, Key: "k", deleteOriginal: true }, TypeError, "deleteOriginal"],
    [{ Bucket, Key: "k", deleteOriginal: 1, target: other }, TypeError, "deleteOriginal"],
    [{ Bucket, Key: "k", target: { IfMatch: '"x"' } }, TypeError, "IfMatch"],
    [{ Bucket, Key: "k", target: { ...other, IfNoneMatch: "*" } }, TypeError, "IfNoneMatch"],
    [{ Bucket, Key: "k", target: { ...other, Body: "x" } }, TypeError, "Body"],
    [{ Bucket, Key: "k", target: { ...other, ContentMD5: "x" } }, TypeError, "ContentMD5"],
    [{ Bucket, Key: "k", target: { ...other, encryptionContext: { a: 1 } } }, TypeError, "encryptionContext"],
    [{ Bucket, Key: "k", target: 1 }, TypeError, "target"],
    [{ Bucket, Key: "k", encryptionContext: 1 }, TypeError, "encryptionContext"],
  ])("%j are refused before any request", async (input, type, named) => {
    const error = await errorOf(() => migrateObject(readerOf(local), input as never));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toContain(named);
    expect(local.operations()).toEqual([]);
  });

  it("are a client that reads what is to be migrated", async () => {
    expect(await errorOf(() => migrateObject({} as never, { Bucket, Key: "k" }))).toBeInstanceOf(TypeError);
    expect(await errorOf(() => migrateObject(local.client, { Bucket, Key: "k" }))).toBeInstanceOf(TypeError);
    const legacy = legacyReading({ keyring: legacyAesKeyring({ wrappingKey: kek }) });
    await local.putRaw("k", plain);
    expect(await errorOf(() => migrateObject(local.clientWith({ legacy }), { Bucket, Key: "k" }))).toEqual(
      coded("ENVELOPE_MISSING"),
    );
    await store(local, "k", await writeLegacy(plain, localShapes.cbc));
    expect(await errorOf(() => migrateObject(local.clientWith({ legacy }), { Bucket, Key: "k" }))).toEqual(
      coded("LEGACY_REFUSED"),
    );
  });
});
