import { HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { beforeEach, describe, expect, it } from "vitest";
import { type MigrateInput, migrateObject } from "../../../src/legacy.js";
import { expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import { localShapes, writeLegacy } from "../../support/legacy-objects.js";
import { Bucket, useLocalAws } from "../../support/local.js";
import { readerOf, store } from "../support.js";
import { elsewhere, empty, expectOriginal, inPlace, small, writerBefore } from "./support.js";

const local = useLocalAws();
const versionId = { Bucket, Key: "k", VersionId: "null" };
beforeEach(() => empty(local));

const putOriginal = async (storage: "metadata" | "instruction-file" = "metadata") =>
  store(local, "k", await writeLegacy(small, localShapes["115"], { storage }));
const overwrite = (Key: string) => local.s3.send(new PutObjectCommand({ Bucket, Key, Body: "theirs" }));
const expectTheirs = async (Key: string) =>
  expectBytes((await local.getRaw(Key)).bytes, Buffer.from("theirs"));

/** A store that ignores conditions. */
function unconditional() {
  local.s3.middlewareStack.add(
    (next) => async (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      for (const name of ["if-match", "if-none-match"]) delete headers[name];
      return next(args);
    },
    { step: "build", name: "unconditional" },
  );
  return { [Symbol.dispose]: () => local.s3.middlewareStack.remove("unconditional") };
}

/** Gives the bucket a second name, such as the alias or the ARN of an access point. */
function otherName(name: string) {
  local.s3.middlewareStack.add(
    (next) => async (args) => {
      const { Bucket: named, CopySource, ...rest } = args.input as Record<string, string>;
      const source = CopySource?.replace(
        `${name}${name.startsWith("arn:") ? "/object/" : "/"}`,
        `${Bucket}/`,
      );
      const input = {
        ...rest,
        Bucket: named === name ? Bucket : named,
        ...(source && { CopySource: source }),
      };
      return next({ ...args, input } as never);
    },
    { step: "initialize", name: "other-name", priority: "high" },
  );
  return { [Symbol.dispose]: () => local.s3.middlewareStack.remove("other-name") };
}

describe("an existing object at the target", () => {
  it("an object at the target stays when the new object cannot be read", async () => {
    await putOriginal();
    await overwrite("new");
    const { ETag: IfMatch } = await local.s3.send(new HeadObjectCommand({ Bucket, Key: "new" }));
    local.aws.fault({ operation: "GetObject", skip: 1, status: 403, code: "AccessDenied" });
    const input = { ...inPlace, target: { Key: "new", IfMatch } };
    expect(await errorOf(() => migrateObject(readerOf(local), input))).toEqual(coded("S3_ACCESS_DENIED"));
    expect(await local.contents()).toEqual({ keys: ["k", "new"], uploads: [] });
    await expectTheirs("new");
  });

  it("an object at the target that may not be read is not overwritten", async () => {
    await putOriginal();
    await overwrite("new");
    using _store = unconditional();
    local.aws.fault({ operation: "HeadObject", skip: 1, status: 400 });
    expect(await errorOf(() => migrateObject(readerOf(local), elsewhere))).toEqual(
      coded("S3_REQUEST_FAILED", { operation: "HeadObject", key: "new" }),
    );
    await expectTheirs("new");
    await expectOriginal(local, small);
  });

  it("an object that another writer puts at the target before the verification is not removed", async () => {
    await putOriginal();
    using _store = unconditional();
    using _writer = writerBefore(local, "GetObjectCommand", 1, () => overwrite("new"));
    expect(await errorOf(() => migrateObject(readerOf(local), elsewhere))).toBeInstanceOf(Error);
    await expectTheirs("new");
    await expectOriginal(local, small);
  });
});

describe("instruction files during a migration", () => {
  it.each([
    ["of a store with conditions", false],
    ["of one without", true],
  ])(
    "an instruction file that was written after the one that was read stays: %s",
    async (_name, isUnconditional) => {
      await putOriginal("instruction-file");
      using _store = isUnconditional ? unconditional() : undefined;
      // The file of a writer that stores the file first and its object later.
      using _writer = writerBefore(local, "HeadObjectCommand", 2, () => overwrite("k.instruction"));
      expect(await migrateObject(readerOf(local), inPlace)).toMatchObject({ migrated: true });
      await expectTheirs("k.instruction");
    },
  );

  it("a new object at the key of the instruction file is not removed", async () => {
    await putOriginal("instruction-file");
    const { ETag: IfMatch } = await local.s3.send(new HeadObjectCommand({ Bucket, Key: "k.instruction" }));
    using _store = unconditional();
    const target = { Key: "k.instruction", IfMatch };
    await migrateObject(readerOf(local), { ...inPlace, target, deleteOriginal: true });
    const { Body } = await local.client.get({ Bucket, Key: "k.instruction" });
    expectBytes(await Body.transformToByteArray(), small);
  });
});

describe("a bucket that has two names", () => {
  const alias = "point-abcdefg-s3alias";
  it.each([
    ["without", inPlace],
    ["with", versionId],
  ])("the new object is not taken for the original and removed: %s a version id", async (_name, original) => {
    await putOriginal();
    using _name_ = otherName(alias);
    const { ETag: IfMatch } = await local.s3.send(new HeadObjectCommand(inPlace));
    const input: MigrateInput = {
      ...original,
      target: { Bucket: alias, Key: "k", IfMatch },
      deleteOriginal: true,
    };
    const error = await errorOf(() => migrateObject(readerOf(local), input));
    expect(error).toEqual(coded("S3_PRECONDITION_FAILED", { targetBucket: alias }));
    const { Body } = await local.client.get(inPlace);
    expectBytes(await Body.transformToByteArray(), small);
  });

  it("a target that is the original under another name of the bucket is refused", async () => {
    await putOriginal();
    using _name = otherName(alias);
    const input = { ...versionId, target: { Bucket: alias }, deleteOriginal: true };
    expect(await errorOf(() => migrateObject(readerOf(local), input))).toEqual(
      coded("S3_PRECONDITION_FAILED"),
    );
    await expectOriginal(local, small);
  });

  it("the bucket may be the ARN of an access point, also as the source of a copy", async () => {
    await putOriginal();
    const arn = "arn:aws:s3:us-east-1:000000000000:accesspoint/point";
    using _name = otherName(arn);
    await migrateObject(readerOf(local), { Bucket: arn, Key: "k" });
    const { Body } = await local.client.get(inPlace);
    expectBytes(await Body.transformToByteArray(), small);
  });
});

it.each([
  ["in its place", inPlace],
  ["elsewhere", elsewhere],
])("an original with the same ETag and other metadata stays: %s", async (_name, input) => {
  await putOriginal();
  let isLater = false;
  local.s3.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const { headers } = result.response as { headers?: Record<string, string> };
      if (isLater && headers?.["last-modified"]) headers["last-modified"] = "Tue, 01 Jan 2041 00:00:00 GMT";
      return result;
    },
    { step: "deserialize", name: "later", priority: "low" },
  );
  using _writer = writerBefore(local, "PutObjectCommand", 0, async () => {
    isLater = true;
    await local.s3.send(
      new PutObjectCommand({
        ...inPlace,
        Body: (await local.getRaw("k")).bytes,
        Metadata: { note: "theirs" },
      }),
    );
  });
  const error = await errorOf(() => migrateObject(readerOf(local), input));
  local.s3.middlewareStack.remove("later");
  expect(error).toEqual(coded("S3_PRECONDITION_FAILED", { operation: "HeadObject", key: "k" }));
  expect(await local.s3.send(new HeadObjectCommand(inPlace))).toMatchObject({ Metadata: { note: "theirs" } });
});

describe("requests of a migration that S3 would refuse", () => {
  /** The inputs of the requests of a command. */
  async function inputsOf(name: string, act: () => Promise<unknown>): Promise<Record<string, unknown>[]> {
    const inputs: Record<string, unknown>[] = [];
    local.s3.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          if (commandName === name) inputs.push({ ...args.input });
          return next(args);
        },
      { step: "initialize", name: "inputs" },
    );
    await act().finally(() => local.s3.middlewareStack.remove("inputs"));
    return inputs;
  }

  it("a small object is copied without a range", async () => {
    await putOriginal();
    const inputs = await inputsOf("UploadPartCopyCommand", () => migrateObject(readerOf(local), inPlace));
    expect(inputs).toEqual([expect.objectContaining({ PartNumber: 1, CopySourceRange: undefined })]);
  });

  it.each([
    ["aws-chunked", undefined],
    ["aws-chunked, x-none", "x-none"],
    ["a,aws-chunked,b", "a,b"],
  ])("the encoding aws-chunked is not carried over: %j", async (stored, sent) => {
    const { body, metadata } = await writeLegacy(testBytes(100, 1), localShapes["115"]);
    const input = { Bucket, Key: "k", Body: body, Metadata: metadata, ContentEncoding: "x-original" };
    await local.s3.send(new PutObjectCommand(input));
    local.s3.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        const { headers } = result.response as { headers?: Record<string, string> };
        if (headers?.["content-encoding"] === "x-original") headers["content-encoding"] = stored;
        return result;
      },
      { step: "deserialize", name: "framed", priority: "low" },
    );
    try {
      const inputs = await inputsOf("PutObjectCommand", () => migrateObject(readerOf(local), inPlace));
      expect(inputs).toEqual([expect.objectContaining({ ContentEncoding: sent })]);
    } finally {
      local.s3.middlewareStack.remove("framed");
    }
  });
});
