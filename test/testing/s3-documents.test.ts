/** Documents that the in-process S3 is sent: what is verified of them, and what is refused whole. */
import { createHash } from "node:crypto";
import {
  CreateBucketCommand,
  GetBucketVersioningCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { startLocalAws } from "../../src/testing/index.js";
import { errorOf } from "../support/errors.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { sendSigned, sha256Hex } from "./raw.js";

const local = useLocalAws();
const put = (Key: string) =>
  local.s3.send(new PutObjectCommand({ Bucket, Key, Body: "content", Tagging: "a=1" }));
const isThere = (Key: string) =>
  local.s3.send(new HeadObjectCommand({ Bucket, Key })).then(
    () => true,
    () => false,
  );
const md5 = (body: string) => createHash("md5").update(body).digest("base64");

describe("XML bodies match their headers:", () => {
  const tagging = "<Tagging><TagSet><Tag><Key>b</Key><Value>2</Value></Tag></TagSet></Tagging>";
  const versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
  const wrong: [string, Record<string, string>, string][] = [
    ["x-amz-content-sha256", { "x-amz-content-sha256": sha256Hex("other") }, "XAmzContentSHA256Mismatch"],
    ["Content-MD5", { "content-md5": md5("other") }, "BadDigest"],
    ["an MD5 that is none", { "content-md5": "abc" }, "InvalidDigest"],
    ["x-amz-checksum-crc32", { "x-amz-checksum-crc32": "AAAAAA==" }, "BadDigest"],
  ];
  test.each(wrong)("%s in tagging and versioning requests", async (_, headers, code) => {
    await put("tagged");
    const tags = { method: "PUT", path: `/${Bucket}/tagged`, query: { tagging: "" }, body: tagging, headers };
    expect(await sendSigned(local.aws.s3Config, tags)).toMatchObject({ status: 400, code });
    const { TagSet } = await local.s3.send(new GetObjectTaggingCommand({ Bucket, Key: "tagged" }));
    expect(TagSet).toEqual([{ Key: "a", Value: "1" }]);
    const bucket = {
      method: "PUT",
      path: `/${Bucket}`,
      query: { versioning: "" },
      body: versioning,
      headers,
    };
    expect(await sendSigned(local.aws.s3Config, bucket)).toMatchObject({ status: 400, code });
    expect((await local.s3.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBeUndefined();
  });

  test("a completion is verified by SHA-256, as its checksums are the object's", async () => {
    const path = `/${Bucket}/completed`;
    const query = { uploadId: "none" };
    const body = "<CompleteMultipartUpload></CompleteMultipartUpload>";
    const complete = (headers: Record<string, string>) =>
      sendSigned(local.aws.s3Config, { method: "POST", path, query, body, headers });
    const other = { "x-amz-content-sha256": sha256Hex("other") };
    expect(await complete(other)).toMatchObject({ status: 400, code: "XAmzContentSHA256Mismatch" });
    const object = { "x-amz-checksum-crc32": "AAAAAA==" };
    expect(await complete(object)).toMatchObject({ status: 404, code: "NoSuchUpload" });
  });

  test("MfaDelete is not supported", async () => {
    const set = (value: string) => {
      const body = versioning.replace("<Status>", `<MfaDelete>${value}</MfaDelete><Status>`);
      return sendSigned(local.aws.s3Config, {
        method: "PUT",
        path: `/${Bucket}`,
        query: { versioning: "" },
        body,
      });
    };
    expect(await set("Enabled")).toMatchObject({ status: 501, code: "NotImplemented" });
    expect(await set("Perhaps")).toMatchObject({ status: 400, code: "MalformedXML" });
    expect((await local.s3.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBeUndefined();
  });
});

describe("DeleteObjects reads the whole document before it deletes", () => {
  const remove = (objects: string) => {
    const body = `<Delete>${objects}</Delete>`;
    const headers = { "content-md5": md5(body) };
    return sendSigned(local.aws.s3Config, {
      method: "POST",
      path: `/${Bucket}`,
      query: { delete: "" },
      body,
      headers,
    });
  };
  const first = "<Object><Key>first</Key></Object>";

  test.each([
    ["no key", "<Object><VersionId>null</VersionId></Object>", 400, "MalformedXML"],
    ["an empty key", "<Object><Key></Key></Object>", 400, "MalformedXML"],
    ["an element that is none", "<Object><Key>k</Key><Name>n</Name></Object>", 400, "MalformedXML"],
    ["a size", "<Object><Key>k</Key><Size>1</Size></Object>", 501, "NotImplemented"],
    [
      "a time",
      "<Object><Key>k</Key><LastModifiedTime>2020-01-01T00:00:00Z</LastModifiedTime></Object>",
      501,
      "NotImplemented",
    ],
    ["a character that is none", "<Object><Key>&#x110000;</Key></Object>", 400, "MalformedXML"],
    ["a character beyond all", "<Object><Key>&#99999999999999999999;</Key></Object>", 400, "MalformedXML"],
    ["a control character", "<Object><Key>&#1;</Key></Object>", 400, "MalformedXML"],
    ["one as it is", "<Object><Key>\u0001</Key></Object>", 400, "MalformedXML"],
    ["half a surrogate pair", "<Object><Key>&#xd800;</Key></Object>", 400, "MalformedXML"],
    ["an entity that is none", "<Object><Key>&nbsp;</Key></Object>", 400, "MalformedXML"],
  ])("%s", async (_, second, status, code) => {
    await put("first");
    expect(await remove(first + second)).toMatchObject({ status, code });
    expect(await isThere("first")).toBe(true);
  });

  test("and accepts characters in any notation", async () => {
    await put("\u{1f600}\t\u0085");
    expect((await remove("<Object><Key>&#x1F600;&#9;\u0085</Key></Object>")).text).toContain("<Deleted>");
    expect(await isThere("\u{1f600}\t\u0085")).toBe(false);
  });
});

describe("CreateBucket", () => {
  const create = (region: string, constraint: string, config = local.aws.s3Config) => {
    const body = `<CreateBucketConfiguration>${constraint}</CreateBucketConfiguration>`;
    return sendSigned(config, { method: "PUT", path: `/made-in-${region}`, body, region: config.region });
  };
  const location = (region: string) => `<LocationConstraint>${region}</LocationConstraint>`;

  test("accepts the server's Region only", async () => {
    expect(await create("us-west-2", location("us-west-2"))).toMatchObject({
      status: 400,
      code: "IllegalLocationConstraintException",
    });
    const head = () => local.s3.send(new HeadBucketCommand({ Bucket: "made-in-us-west-2" }));
    expect((await errorOf(head)).name).toBe("NotFound");
    expect(await create("own", location("eu-central-1"))).toMatchObject({ status: 200 });
    expect(await create("none", "")).toMatchObject({ status: 200 });
    expect(await create("more", "<Bucket><Type>Directory</Type></Bucket>")).toMatchObject({ status: 501 });
  });

  test("has no name for us-east-1", async () => {
    await using aws = await startLocalAws({ region: "us-east-1" });
    await aws.s3.send(new CreateBucketCommand({ Bucket: "by-the-sdk" }));
    expect(await create("us-east-1", location("us-east-1"), aws.s3Config)).toMatchObject({
      code: "InvalidLocationConstraint",
    });
  });

  test.each([
    "192.168.5.4",
    "two..dots",
    "dot.-dash",
    "dash-.dot",
    "xn--bucket",
    "sthree-bucket",
    "amzn-s3-demo-bucket",
    "bucket-s3alias",
    "bucket--ol-s3",
    "bucket.mrap",
    "bucket--x-s3",
    "bucket--table-s3",
  ])("refuses the name %s", async (name) => {
    const raw = { method: "PUT", path: `/${name}` };
    expect(await sendSigned(local.aws.s3Config, raw)).toMatchObject({
      status: 400,
      code: "InvalidBucketName",
    });
  });
});
