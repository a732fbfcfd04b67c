import { HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { beforeEach, expect, it } from "vitest";
import { linkedSignal } from "../../src/base/abort.js";
import { ConfirmedWrite } from "../../src/s3/confirmed-write.js";
import {
  type CopyOptions,
  carriedEncryption,
  carriedFields,
  carriedTags,
  copyWithin,
  requireUnchanged,
} from "../../src/s3/copy.js";
import { headObject } from "../../src/s3/requests.js";
import { expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, useLocalAws } from "../support/local.js";

const local = useLocalAws();
const bytes = testBytes(100_000, 1);
const Tagging = "a%20b=c%2Fd&e=";

beforeEach(async () => {
  await local.removeAll();
  await local.s3.send(
    new PutObjectCommand({
      Bucket,
      Key: "from",
      Body: bytes,
      Metadata: { id: "1" },
      ContentType: "image/png",
      CacheControl: "no-store",
      Tagging,
    }),
  );
  local.operations();
});

const head = (Key: string) => local.s3.send(new HeadObjectCommand({ Bucket, Key }));

/** Copies "from" with everything that it has, and with another metadata entry `id`. */
async function copy(
  fields: { readonly Key: string; readonly IfMatch?: string; readonly IfNoneMatch?: string },
  options?: CopyOptions,
) {
  const { signal, abort } = linkedSignal(undefined);
  const call = { signal, abort, isCallersReason: () => false };
  const source = await headObject(local.s3, { Bucket, Key: "from" });
  const put = {
    ...carriedFields(source),
    ...carriedEncryption(source, {}),
    Tagging: await carriedTags(local, { Bucket, Key: "from" }, signal),
    Metadata: { id: "2" },
    Bucket,
    ...fields,
  };
  const target = { operation: "CopyObject", bucket: Bucket, key: fields.Key };
  const commit = new ConfirmedWrite("id");
  local.operations();
  const { VersionId, ETag } = source;
  return copyWithin(
    { s3: local.s3, put, target, maxConcurrentParts: 2, call, commit },
    { Bucket, Key: "from", VersionId, ETag, ExpectedBucketOwner: undefined, bytes: bytes.length },
    options,
  );
}

const byParts = ["CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"];

it.each([
  ["elsewhere", "to", false, ["CopyObject"]],
  ["onto itself", "from", false, ["CopyObject"]],
  ["elsewhere by parts", "to", true, byParts],
  ["onto itself by parts", "from", true, byParts],
] as const)(
  "an object is copied %s with its fields and tags",
  async (_where, Key, isAlwaysByParts, operations) => {
    const output = await copy({ Key }, { isAlwaysByParts });
    expect(local.operations()).toEqual(operations);
    const copied = await head(Key);
    expect(copied).toMatchObject({
      ETag: output.ETag,
      Metadata: { id: "2" },
      ContentType: "image/png",
      CacheControl: "no-store",
      ContentLength: bytes.length,
    });
    expect(await carriedTags(local, { Bucket, Key }, new AbortController().signal)).toBe(Tagging);
    expectBytes((await local.getRaw(Key)).bytes, bytes);
  },
);

it.each([false, true])(
  "a copy whose condition does not hold changes nothing (by parts: %s)",
  async (isAlwaysByParts) => {
    await local.putRaw("to", Buffer.from("theirs"));
    const options = { isAlwaysByParts };
    for (const condition of [{ IfNoneMatch: "*" }, { IfMatch: '"other"' }]) {
      expect(await errorOf(() => copy({ Key: "to", ...condition }, options))).toEqual(
        coded("S3_PRECONDITION_FAILED"),
      );
      expectBytes((await local.getRaw("to")).bytes, Buffer.from("theirs"));
    }
    expect((await local.contents()).uploads).toEqual([]);
  },
);

it.each([false, true])(
  "a check before the copy appears can stop it (by parts: %s)",
  async (isAlwaysByParts) => {
    const error = new Error("stop");
    const beforeCommit = () => Promise.reject(error);
    expect(await errorOf(() => copy({ Key: "to" }, { isAlwaysByParts, beforeCommit }))).toBe(error);
    expect(await local.contents()).toEqual({ keys: ["from"], uploads: [] });
  },
);

it.each([
  ["CopyObject", false],
  ["CompleteMultipartUpload", true],
] as const)("a copy is found when the response to %s is lost", async (operation, isAlwaysByParts) => {
  local.aws.fault({ operation, reset: "after" });
  const { ETag } = await copy({ Key: "to" }, { isAlwaysByParts });
  expect(ETag).toBe((await head("to")).ETag);
});

it("an object of other metadata or content than before has changed", async () => {
  const object = { Bucket, Key: "from" };
  const { signal } = new AbortController();
  const before = await head("from");
  await requireUnchanged(local, object, before, signal);
  const earlier = { ...before, LastModified: new Date(0) };
  const changed = coded("S3_PRECONDITION_FAILED", { key: "from" });
  expect(await errorOf(() => requireUnchanged(local, object, earlier, signal))).toEqual(changed);
  await local.putRaw("from", Buffer.from("theirs"));
  expect(await errorOf(() => requireUnchanged(local, object, before, signal))).toEqual(changed);
});
