import {
  CopyObjectCommand,
  CreateBucketCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
} from "@aws-sdk/client-s3";
import { beforeEach, describe, expect, it } from "vitest";
import { migrateObject } from "../../../src/legacy.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { localShapes, writeLegacy } from "../../support/legacy-objects.js";
import { Bucket, useLocalAws } from "../../support/local.js";
import { readerOf } from "../support.js";

const local = useLocalAws();
const plain = testBytes(100_000, 3);

/** Empties the bucket. */
beforeEach(async () => {
  await local.removeAll();
  local.operations();
});

async function readNative(Key: string, encryptionContext: Record<string, string> = {}, from = Bucket) {
  const { Body, ...output } = await local.client.get({ Bucket: from, Key, encryptionContext });
  return { bytes: Buffer.from(await Body.transformToByteArray()), ...output };
}

describe("fields and tags of the original", () => {
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

  it.each(["k", "new"])(
    "metadata, headers, storage class and tags are carried over to the key %j",
    async (Key) => {
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
    },
  );

  it("fields that the caller states, also as undefined, replace those of the original", async () => {
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

  it("an Expires that is not a date becomes a date in the past", async () => {
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

  it("an object for an archive storage class is first written to a readable one and verified", async () => {
    await original({ StorageClass: undefined });
    for (const Key of ["new", "k"]) {
      await migrateObject(readerOf(local), { Bucket, Key: "k", target: { Key, StorageClass: "GLACIER" } });
      const { StorageClass } = await local.s3.send(new HeadObjectCommand({ Bucket, Key }));
      expect(StorageClass).toBe("GLACIER");
    }
    expect(await local.contents()).toEqual({ keys: ["k", "new"], uploads: [] });
  });

  it("reading the tags needs a permission, unless tags are skipped", async () => {
    await original();
    local.aws.fault({ operation: "GetObjectTagging", status: 403, code: "AccessDenied" });
    const error = await errorOf(() => migrateObject(readerOf(local), { Bucket, Key: "k" }));
    expect(error).toEqual(coded("S3_ACCESS_DENIED", { operation: "GetObjectTagging" }));
    expect(error.message).toContain('tags: "skip"');
    await migrateObject(readerOf(local), { Bucket, Key: "k", tags: "skip" });
    expect(await tags("k")).toEqual([]);
  });

  it("an original with a customer-provided key is migrated with the same key", async () => {
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

describe("migration in a bucket with versions", () => {
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

  it("the original stays as a version, and its instruction file stays with it", async () => {
    const { VersionId } = await put();
    const output = await migrateObject(readerOf(local), at);
    expect(output).toMatchObject({ migrated: true, keptInstructionFileKey: "k.instruction" });
    expect(output.VersionId).not.toBe(VersionId);
    const { Body } = await readerOf(local).get({ ...at, VersionId });
    expectBytes(await Body.transformToByteArray(), plain);
    expectBytes((await readNative("k", {}, versioned)).bytes, plain);
  });

  it("with suspended versioning, the instruction file stays for older versions", async () => {
    const { VersionId } = await put();
    const VersioningConfiguration = { Status: "Suspended" } as const;
    await local.s3.send(new PutBucketVersioningCommand({ Bucket: versioned, VersioningConfiguration }));
    // moto behaves like this.
    local.s3.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          const result = await next(args);
          const { headers } = result.response as { headers: Record<string, string> };
          if (commandName === "DeleteObjectCommand") delete headers["x-amz-version-id"];
          return result;
        },
      { step: "deserialize", name: "untold", priority: "low" },
    );
    const CopySource = `${versioned}/k?versionId=${VersionId}`;
    for (const input of [{ ...at, target: { Key: "suspended" }, deleteOriginal: true }, at]) {
      await local.s3.send(new CopyObjectCommand({ ...at, CopySource }));
      const output = await migrateObject(readerOf(local), input);
      expect(output).toMatchObject({ keptInstructionFileKey: "k.instruction" });
      const { Body } = await readerOf(local).get({ ...at, VersionId });
      expectBytes(await Body.transformToByteArray(), plain);
    }
    local.s3.middlewareStack.remove("untold");
  });

  it("deleteOriginal with a VersionId removes that version only", async () => {
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

  it("an old version does not replace a newer object", async () => {
    const { VersionId } = await put();
    await local.s3.send(new PutObjectCommand({ ...at, Body: "newer" }));
    local.operations();
    expect(await errorOf(() => migrateObject(readerOf(local), { ...at, VersionId }))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
    // The requests by version, by ETag, and for the current ETag.
    expect(local.operations()).toEqual(["HeadObject", "HeadObject", "HeadObject"]);
  });
});
