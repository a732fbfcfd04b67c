import { describe, expect, it } from "vitest";
import { testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, useLocalAws } from "../support/local.js";

const local = useLocalAws();

describe("head", () => {
  it("head returns the plaintext size, the metadata of the user, the context and the keys", async () => {
    const Metadata = { note: "x" };
    const put = {
      Bucket,
      Key: "k",
      Body: testBytes(50_000),
      Metadata,
      ContentType: "text/x",
      encryptionContext: { a: "1" },
    };
    await local.kmsClient.put(put);
    local.operations();
    const head = await local.kmsClient.head({ Bucket, Key: "k" });
    expect(head).toMatchObject({
      ContentLength: 50_000,
      ContentType: "text/x",
      Metadata,
      encrypted: true,
      encryptionContext: { a: "1" },
      recipients: [{ provider: "aws-kms", keyId: local.keyArn }],
    });
    expect(head.Metadata).toEqual(Metadata);
    expect(local.operations()).toEqual(["HeadObject"]);
  });

  it("head returns no checksums, which are of the ciphertext", async () => {
    await local.client.put({ Bucket, Key: "k", Body: "x" });
    const head = await local.client.head({ Bucket, Key: "k", ChecksumMode: "ENABLED" });
    expect(Object.keys(head).filter((field) => field.startsWith("Checksum"))).toEqual([]);
  });

  it("head distinguishes encrypted objects from others", async () => {
    await local.putRaw("plain", testBytes(10), { note: "x" });
    expect(await local.client.head({ Bucket, Key: "plain" })).toMatchObject({
      encrypted: false,
      ContentLength: 10,
    });
  });

  it.each([
    [{ "x-amz-key-v2": "x" }, "LEGACY_FORMAT"],
    [{ "s3e-version": "9" }, "ENVELOPE_VERSION_UNSUPPORTED"],
    [{ "s3e-suite": "x" }, "ENVELOPE_INVALID"],
  ] as const)("head of an object with the metadata %j fails with %s", async (metadata, code) => {
    await local.putRaw("odd", testBytes(10), metadata as unknown as Record<string, string>);
    expect(await errorOf(() => local.client.head({ Bucket, Key: "odd" }))).toEqual(coded(code));
  });

  it("head of an object with an impossible size fails with BODY_TRUNCATED", async () => {
    await local.client.put({ Bucket, Key: "k", Body: "x" });
    const { metadata } = await local.getRaw("k");
    await local.putRaw("cut", testBytes(60), metadata);
    expect(await errorOf(() => local.client.head({ Bucket, Key: "cut" }))).toEqual(coded("BODY_TRUNCATED"));
  });

  it("head has coded errors and refuses ranges and parts", async () => {
    expect(await errorOf(() => local.client.head({ Bucket, Key: "nowhere" }))).toEqual(coded("S3_NOT_FOUND"));
    for (const input of [{ PartNumber: 1 }, { Range: "bytes=0-1" }]) {
      const error = await errorOf(() => local.client.head({ Bucket, Key: "k", ...input } as never));
      expect(error).toBeInstanceOf(TypeError);
    }
    expect(await errorOf(() => local.client.head({ Bucket } as never))).toEqual(
      new TypeError("Key: expected a string, got undefined"),
    );
  });
});

describe("delete", () => {
  it("delete sends one DeleteObject", async () => {
    await local.client.put({ Bucket, Key: "k", Body: "x" });
    local.operations();
    await local.client.delete({ Bucket, Key: "k" });
    expect(local.operations()).toEqual(["DeleteObject"]);
    expect(await errorOf(() => local.client.head({ Bucket, Key: "k" }))).toEqual(coded("S3_NOT_FOUND"));
  });

  it("delete has coded errors, and can be aborted", async () => {
    expect(await errorOf(() => local.client.delete({ Bucket: "no-bucket", Key: "k" }))).toEqual(
      coded("S3_NOT_FOUND"),
    );
    const reason = new Error("enough");
    const options = { abortSignal: AbortSignal.abort(reason) };
    expect(await errorOf(() => local.client.delete({ Bucket, Key: "k" }, options))).toBe(reason);
    expect(await errorOf(() => local.client.head({ Bucket, Key: "k" }, options))).toBe(reason);
    expect(await errorOf(() => local.client.delete({ Key: "k" } as never))).toBeInstanceOf(TypeError);
  });
});
