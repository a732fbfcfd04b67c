import { CreateBucketCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
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
import { Bucket, partBytes, s3PartBytes, useLocalAws } from "../../support/local.js";
import { readerOf, store } from "../support.js";

const local = useLocalAws();
const kms = () => ({ client: local.aws.kms, keyId: local.keyArn });
const plain = testBytes(100_000, 3);
const other = { Bucket, Key: "new" };

/** Empties the bucket. */
beforeEach(async () => {
  await local.removeAll();
  local.operations();
});

async function readNative(Key: string, encryptionContext: Record<string, string> = {}, from = Bucket) {
  const { Body, ...output } = await local.client.get({ Bucket: from, Key, encryptionContext });
  return { bytes: Buffer.from(await Body.transformToByteArray()), ...output };
}

describe.each(["metadata", "instruction-file"] as const)(
  "migration of objects with the envelope in the %s",
  (storage) => {
    it.each(shapes)("an object of $format, $content, $wrap becomes a native object", async (shape) => {
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
  },
);

it("an object of several parts is migrated in place and to another key", async () => {
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

describe("migration to another key", () => {
  const put = async (storage: "metadata" | "instruction-file" = "metadata"): Promise<LegacyFiles> => {
    const files = await writeLegacy(plain, localShapes["115"], { storage });
    await store(local, "k", files);
    return files;
  };

  it("the original stays unless deleteOriginal is set", async () => {
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

  it("an existing target is not overwritten, which is found out before the content is sent", async () => {
    await put();
    await local.putRaw("new", Buffer.from("theirs"));
    const client = readerOf(local, {}, { partSizeBytes: s3PartBytes });
    const migrate = (target: object) => migrateObject(client, { Bucket, Key: "k", target });
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

  it("the target may be another bucket, under the keyring of another client", async () => {
    await put();
    await local.s3.send(new CreateBucketCommand({ Bucket: "elsewhere" }));
    const target = { Bucket: "elsewhere", Key: "k", encryptionContext: { a: "1" } };
    const client = readerOf(local, {}, { envelopeStorage: "sidecar" });
    expect(await migrateObject(client, { Bucket, Key: "k", target })).toMatchObject(target);
    expectBytes((await readNative("k", { a: "1" }, "elsewhere")).bytes, plain);
  });
});

describe("migration in place", () => {
  it("a migration in place writes and removes sidecars", async () => {
    const client = readerOf(local, {}, { envelopeStorage: "sidecar" });
    await store(local, "k", await writeLegacy(plain, localShapes["115"]));
    await migrateObject(client, { Bucket, Key: "k", target: { encryptionContext: { a: "1" } } });
    expectBytes((await readNative("k", { a: "1" })).bytes, plain);
    const { keys } = await local.contents();
    expect(keys).toEqual(["k", expect.stringMatching(/^k\.[0-9a-f]{48}\.envelope$/)]);
  });

  it("a migration in place removes the instruction file of the oldest .NET clients", async () => {
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

  it("very long and unusual keys are migrated in place", async () => {
    for (const Key of ["\u{1f512}".repeat(256), "a b+c%/?&=\u00e9/../x"]) {
      await store(local, Key, await writeLegacy(plain, localShapes["115"]));
      await migrateObject(readerOf(local), { Bucket, Key });
      expectBytes((await readNative(Key)).bytes, plain);
      expect(await local.contents()).toEqual({ keys: [Key], uploads: [] });
      await local.client.delete({ Bucket, Key });
    }
  });
});

it("a native object is not changed, and no key is used", async () => {
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

describe("arguments of migrateObject", () => {
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
  ])("migrateObject refuses %j before any request", async (input, type, named) => {
    const error = await errorOf(() => migrateObject(readerOf(local), input as never));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toContain(named);
    expect(local.operations()).toEqual([]);
  });

  it("migrateObject requires a client with legacy reading", async () => {
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
