import { CreateMultipartUploadCommand, S3Client } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, it } from "vitest";
import type { UnfinishedUpload } from "../../../src/index.js";
import { coded, errorOf } from "../../support/errors.js";
import { Bucket, useLocalAws } from "../../support/local.js";

const local = useLocalAws();
afterEach(() => local.removeAll());

async function begin(...keys: string[]): Promise<void> {
  for (const Key of keys) await local.s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  // An upload of the same millisecond as the limit is not before it.
  const { Initiated } = (await list()).at(-1) ?? {};
  while (Initiated && Date.now() <= Initiated.getTime()) await new Promise(setImmediate);
  local.operations();
}

async function list(Prefix?: string): Promise<UnfinishedUpload[]> {
  const uploads: UnfinishedUpload[] = [];
  for await (const upload of local.client.listUploads({ Bucket, Prefix })) uploads.push(upload);
  return uploads;
}

describe("unfinished uploads", () => {
  it("listUploads returns key, id and age of all uploads under a prefix, over all pages", async () => {
    const keys = Array.from({ length: 1005 }, (_, index) => `many/${String(index).padStart(4, "0")}`);
    await begin("a", ...keys);
    const uploads = await list("many/");
    expect(local.operations()).toEqual(["ListMultipartUploads", "ListMultipartUploads"]);
    expect(uploads.map(({ Key }) => Key)).toEqual(keys);
    expect(uploads[0]).toEqual({ Key: keys[0], UploadId: expect.any(String), Initiated: expect.any(Date) });
    expect((await list()).length).toBe(1006);
  });

  it("abortUploads aborts uploads by age and prefix, and returns them", async () => {
    await begin("mine/1", "mine/2", "theirs");
    const { Initiated } = (await list("mine/"))[0] ?? {};
    const none = await local.client.abortUploads({ Bucket, initiatedBefore: Initiated });
    expect(none).toEqual({ aborted: [], failed: [] });
    expect(await local.client.abortUploads({ Bucket, olderThanMs: 3_600_000 })).toEqual({
      aborted: [],
      failed: [],
    });
    const { aborted } = await local.client.abortUploads({
      Bucket,
      Prefix: "mine/",
      initiatedBefore: new Date(),
    });
    expect(aborted.map(({ Key }) => Key)).toEqual(["mine/1", "mine/2"]);
    expect((await local.contents()).uploads).toEqual(["theirs"]);
  });

  it("abortUploads aborts no upload of another prefix when a store ignores the prefix", async () => {
    await begin("mine/1", "theirs");
    const s3 = new S3Client({ ...local.aws.s3Config, maxAttempts: 1 });
    s3.middlewareStack.add(
      (next) => (args) => {
        Object.assign(args.input, { Prefix: undefined });
        return next(args);
      },
      { step: "initialize" },
    );
    const { aborted } = await local.clientWith({ s3 }).abortUploads({
      Bucket,
      Prefix: "mine/",
      olderThanMs: 0,
    });
    s3.destroy();
    expect(aborted.map(({ Key }) => Key)).toEqual(["mine/1"]);
    expect((await local.contents()).uploads).toEqual(["theirs"]);
  });

  it("abortUploads returns the uploads that it cannot abort, and counts one that does not exist as aborted", async () => {
    await begin("1", "2", "3");
    const operation = "AbortMultipartUpload";
    local.aws.fault({ operation, status: 403, code: "AccessDenied" });
    local.aws.fault({ operation, status: 404, code: "NoSuchUpload", handled: true });
    const { aborted, failed } = await local.client.abortUploads({ Bucket, olderThanMs: 0 });
    expect(aborted.map(({ Key }) => Key)).toEqual(["2", "3"]);
    expect(failed.map(({ upload: { Key }, error: { code } }) => [Key, code])).toEqual([
      ["1", "S3_ACCESS_DENIED"],
    ]);
  });

  it("listUploads rejects when S3 fails, and abortUploads with the reason of the signal", async () => {
    local.aws.fault({ operation: "ListMultipartUploads", status: 503 });
    expect(await errorOf(() => list())).toEqual(coded("S3_UNAVAILABLE"));
    await begin("1");
    const reason = new Error("enough");
    const options = { abortSignal: AbortSignal.abort(reason) };
    expect(await errorOf(() => local.client.abortUploads({ Bucket, olderThanMs: 0 }, options))).toBe(reason);
    expect((await local.contents()).uploads).toEqual(["1"]);
  });

  it.each([
    ["no age", {}, "initiatedBefore, olderThanMs: expected one of them"],
    ["two ages", { olderThanMs: 1, initiatedBefore: new Date() }, "expected one of them"],
    ["a string for a date", { initiatedBefore: "yesterday" }, "initiatedBefore: expected a Date"],
    ["an invalid date", { initiatedBefore: new Date("x") }, "initiatedBefore: expected a valid Date"],
    ["a negative age", { olderThanMs: -1 }, "olderThanMs: expected an integer"],
    ["no bucket", { olderThanMs: 1, Bucket: undefined }, "Bucket: expected a string"],
    ["a prefix that is not a string", { olderThanMs: 1, Prefix: 5 }, "Prefix: expected a string"],
  ])("abortUploads refuses %s before any request", async (_, input, message) => {
    const error = await errorOf(() => local.client.abortUploads({ Bucket, ...input } as never));
    expect(error.message).toContain(message);
    expect(local.operations()).toEqual([]);
  });
});
