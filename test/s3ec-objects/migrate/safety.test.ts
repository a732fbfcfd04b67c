import { PutObjectCommand } from "@aws-sdk/client-s3";
import { beforeEach, describe, expect, it } from "vitest";
import type { EnvelopeError } from "../../../src/index.js";
import { migrateObject } from "../../../src/legacy.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { allowAll, type LegacyShape, localShapes, writeLegacy } from "../../support/legacy-objects.js";
import { Bucket, partBytes, useLocalAws } from "../../support/local.js";
import { readerOf, store } from "../support.js";
import { elsewhere, empty, expectOriginal, inPlace, large, prepare, small, writerBefore } from "./support.js";

const local = useLocalAws();
beforeEach(() => empty(local));

describe("verification of the original", () => {
  const forged = async (shape: LegacyShape, plain: Uint8Array) => {
    const files = await writeLegacy(plain, shape);
    files.body.writeUInt8((files.body.at(-1) ?? 0) ^ 1, files.body.length - 1);
    await store(local, "k", files);
    return files;
  };

  it.each([
    ["before release", {}],
    ["at the end", { releaseUnverifiedPlaintext: true }],
  ])("an original that does not verify is written nowhere (verified %s)", async (_when, options) => {
    for (const plain of [small, large]) {
      for (const input of [inPlace, elsewhere]) {
        const { body } = await forged(localShapes["115"], plain);
        expect(await errorOf(() => migrateObject(readerOf(local, options), input))).toEqual(
          coded("DECRYPTION_FAILED"),
        );
        expect(await local.contents()).toEqual({ keys: ["k"], uploads: [] });
        expectBytes((await local.getRaw("k")).bytes, body);
      }
    }
  });

  it("a modified AES/CBC object whose padding is wrong is written nowhere", async () => {
    await forged(localShapes.cbc, large);
    expect(await errorOf(() => migrateObject(readerOf(local, allowAll), inPlace))).toEqual(
      coded("DECRYPTION_FAILED"),
    );
    expect(await local.contents()).toEqual({ keys: ["k"], uploads: [] });
  });

  it("the error names an upload that could not be aborted", async () => {
    await forged(localShapes["115"], testBytes(3 * partBytes, 1));
    local.aws.fault({ operation: "AbortMultipartUpload", status: 403, code: "AccessDenied" });
    const client = readerOf(local, { releaseUnverifiedPlaintext: true });
    expect(await errorOf(() => migrateObject(client, inPlace))).toEqual(
      coded("DECRYPTION_FAILED", { orphanedUploadId: expect.any(String) }),
    );
  });
});

describe("verification of the new object", () => {
  it("a new object with other content is discarded, even if it verifies", async () => {
    await local.client.put({ Bucket, Key: "other", Body: small.subarray(1) });
    for (const input of [inPlace, elsewhere]) {
      await store(local, "k", await writeLegacy(small, localShapes["115"]));
      local.s3.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            const asked = args.input as { Key?: string; IfMatch?: string | undefined };
            if (commandName === "GetObjectCommand" && asked.Key !== "k") {
              [asked.Key, asked.IfMatch] = ["other", undefined];
            }
            return next(args);
          },
        { step: "initialize", name: "mixup" },
      );
      const error = await errorOf(() => migrateObject(readerOf(local), input));
      local.s3.middlewareStack.remove("mixup");
      expect(error).toEqual(coded("MIGRATION_UNCONFIRMED"));
      expect((await local.contents()).keys).toEqual(["k", "other"]);
      await expectOriginal(local, small);
    }
  });

  it("a new object that was modified is discarded", async () => {
    for (const input of [inPlace, elsewhere]) {
      await store(local, "k", await writeLegacy(small, localShapes["115"]));
      local.aws.fault({ operation: "GetObject", skip: 1, corrupt: { offset: 200, xor: 1 } });
      expect(await errorOf(() => migrateObject(readerOf(local), input))).toEqual(coded("BODY_INTERRUPTED"));
      expect((await local.contents()).keys).toEqual(["k"]);
    }
  });
});

describe("another writer during a migration", () => {
  const overwrite = () => local.s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "theirs" }));
  const expectTheirs = async (...others: string[]) => {
    expect((await local.contents()).keys).toEqual(["k", ...others]);
    expectBytes((await local.getRaw("k")).bytes, Buffer.from("theirs"));
  };

  it.each([
    ["before the read", "GetObjectCommand"],
    ["before it is written back", "CreateMultipartUploadCommand"],
    ["at the last moment", "CompleteMultipartUploadCommand"],
  ])("an original that another writer replaces during the migration stays (%s)", async (_when, command) => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    using _writer = writerBefore(local, command, 0, overwrite);
    expect(await errorOf(() => migrateObject(readerOf(local), inPlace))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
    await expectTheirs();
  });

  it("an original that another writer replaces is not deleted", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    using _writer = writerBefore(local, "DeleteObjectCommand", 0, overwrite);
    expect(await errorOf(() => migrateObject(readerOf(local), elsewhere))).toEqual(
      coded("S3_PRECONDITION_FAILED", { targetBucket: Bucket, targetKey: "new" }),
    );
    await expectTheirs("new");
  });

  it("an original that another writer has removed does not fail the migration", async () => {
    await prepare(local, small);
    using _writer = writerBefore(local, "DeleteObjectCommand", 0, () =>
      local.client.delete({ Bucket, Key: "k" }),
    );
    await migrateObject(readerOf(local), elsewhere);
    expect((await local.contents()).keys).toEqual(["new"]);
  });

  it("an original that another writer removes before the copy fails the migration", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    const remove = () => local.client.delete({ Bucket, Key: "k" });
    using _writer = writerBefore(local, "CompleteMultipartUploadCommand", 0, remove);
    expect(await errorOf(() => migrateObject(readerOf(local), inPlace))).toEqual(coded("S3_NOT_FOUND"));
    expect(await local.contents()).toEqual({ keys: [], uploads: [] });
  });

  it("a store that ignores conditions does not hide another writer", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    using _writer = writerBefore(local, "CreateMultipartUploadCommand", 0, overwrite);
    local.s3.middlewareStack.add(
      (next) => async (args) => {
        const { headers } = args.request as { headers: Record<string, string> };
        delete headers["if-match"];
        return next(args);
      },
      { step: "build", name: "unconditional" },
    );
    const error = await errorOf(() => migrateObject(readerOf(local), inPlace));
    local.s3.middlewareStack.remove("unconditional");
    expect(error).toEqual(coded("S3_PRECONDITION_FAILED", { operation: "HeadObject" }));
    await expectTheirs();
  });

  it("another writer of the staged object cannot change what is copied", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    using _writer = writerBefore(local, "UploadPartCopyCommand", 0, async () => {
      const { keys } = await local.contents();
      const Key = keys.find((key) => key.startsWith("k.s3e-migrating-")) ?? "";
      const { bytes, metadata } = await local.getRaw(Key);
      await local.putRaw(Key, bytes.fill(0, 1000), metadata);
    });
    expect(await errorOf(() => migrateObject(readerOf(local), inPlace))).toEqual(
      coded("S3_PRECONDITION_FAILED", { operation: "UploadPartCopy" }),
    );
    await expectOriginal(local, small);
  });

  it("an instruction file that is newer than the original is kept", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"], { storage: "instruction-file" }));
    const file = { Bucket, Key: "k.instruction", Body: "newer" };
    using _writer = writerBefore(local, "DeleteObjectCommand", 0, () =>
      local.s3.send(new PutObjectCommand(file)),
    );
    expect(await migrateObject(readerOf(local), inPlace)).not.toHaveProperty("orphanedKeys");
    expectBytes((await local.getRaw("k.instruction")).bytes, Buffer.from("newer"));
  });

  it("another writer of the target wins, and none of its objects is removed", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    const theirs = { Bucket, Key: "new", Body: "theirs" };
    using _writer = writerBefore(local, "GetObjectCommand", 1, () =>
      local.s3.send(new PutObjectCommand(theirs)),
    );
    expect(await errorOf(() => migrateObject(readerOf(local), elsewhere))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
    expectBytes((await local.getRaw("new")).bytes, Buffer.from("theirs"));
    await expectOriginal(local, small);
  });

  it("another writer right after the copy leaves the staged object, which the error names", async () => {
    await store(local, "k", await writeLegacy(small, localShapes["115"]));
    using _writer = writerBefore(local, "HeadObjectCommand", 4, overwrite);
    const error = await errorOf(() => migrateObject(readerOf(local), inPlace));
    expect(error).toEqual(
      coded("MIGRATION_UNCONFIRMED", {
        stagingKey: expect.stringMatching(/^k\.s3e-migrating-[0-9a-f-]{36}$/),
      }),
    );
    const { stagingKey } = (error as EnvelopeError).details;
    await expectTheirs(stagingKey as string);
    const { Body } = await local.client.get({ Bucket, Key: stagingKey as string });
    expectBytes(await Body.transformToByteArray(), small);
  });
});
