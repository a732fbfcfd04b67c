/** Copies, tags, parts of objects and attributes in the in-process S3. */
import { createHash } from "node:crypto";
import {
  type ChecksumType,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  type CopyObjectCommandInput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectTaggingCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectTaggingCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { Crc, combineCrcs, crc32, crc32c, crc64nvme } from "../../src/testing/s3/wire/crc.js";
import { testBytes } from "../support/bytes.js";
import { failure } from "../support/errors.js";
import { Bucket, partBytes, useLocalAws } from "../support/local.js";

const local = useLocalAws();
const bytes = testBytes(partBytes + 1000, 5);
const attributes = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"] as const;

const put = (Key: string, input: Partial<PutObjectCommandInput> = {}) =>
  local.s3.send(new PutObjectCommand({ Bucket, Key, Body: "content", ...input }));
const head = (Key: string) => local.s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
const copy = (from: string, Key: string, input: Partial<CopyObjectCommandInput> = {}) =>
  local.s3.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/${from}`, ...input }));
const tagsOf = async (Key: string) =>
  (await local.s3.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;

/** An object of two parts, the first of the least size. */
async function putParts(Key: string, input: Partial<CreateMultipartUploadCommandInput> = {}) {
  const { s3 } = local;
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...input }));
  const Parts = [];
  for (const [index, Body] of [bytes.subarray(0, partBytes), bytes.subarray(partBytes)].entries()) {
    const PartNumber = index + 1;
    const { ChecksumAlgorithm } = input;
    const part = { Bucket, Key, UploadId, PartNumber, Body, ChecksumAlgorithm };
    const {
      $metadata: _metadata,
      ServerSideEncryption: _encryption,
      ...sums
    } = await s3.send(new UploadPartCommand(part));
    Parts.push({ PartNumber, ...sums });
  }
  return s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
}

describe("CopyObject", () => {
  const input = { Metadata: { colour: "blue" }, ContentType: "text/plain", Tagging: "a=1" };

  test("copies metadata and tags, or replaces them", async () => {
    await put("source ü+", input);
    const { CopyObjectResult } = await copy(encodeURIComponent("source ü+"), "copy");
    expect(await head("copy")).toMatchObject({ ETag: CopyObjectResult?.ETag, Metadata: input.Metadata });
    expect((await head("copy")).ContentType).toBe("text/plain");
    expect(await tagsOf("copy")).toEqual([{ Key: "a", Value: "1" }]);
    await copy("copy", "replaced", {
      MetadataDirective: "REPLACE",
      Metadata: { colour: "red" },
      TaggingDirective: "REPLACE",
      Tagging: "b=2",
    });
    const replaced = await head("replaced");
    expect([replaced.Metadata, replaced.ContentType]).toEqual([{ colour: "red" }, "binary/octet-stream"]);
    expect(await tagsOf("replaced")).toEqual([{ Key: "b", Value: "2" }]);
  });

  test("onto itself must change something", async () => {
    const { ETag } = await put("itself", input);
    expect(await failure(() => copy("itself", "itself"))).toEqual(["InvalidRequest", 400]);
    const replace = { MetadataDirective: "REPLACE", Metadata: { colour: "green" } } as const;
    await copy("itself", "itself", { ...replace, CopySourceIfMatch: ETag });
    expect(await head("itself")).toMatchObject({ Metadata: { colour: "green" }, ETag });
  });

  test("of a multipart object has the ETag and checksum of its bytes", async () => {
    await putParts("parts", { ChecksumAlgorithm: "CRC32" });
    expect(await head("parts")).toMatchObject({ ChecksumType: "COMPOSITE" });
    await copy("parts", "whole");
    const whole = await head("whole");
    const { ETag, ChecksumCRC32 } = await put("same bytes", { Body: bytes });
    expect(whole).toMatchObject({ ETag, ChecksumCRC32, ChecksumType: "FULL_OBJECT" });
    const { Body } = await local.s3.send(new GetObjectCommand({ Bucket, Key: "whole" }));
    expect(Buffer.compare((await Body?.transformToByteArray()) ?? bytes, bytes)).toBe(0);
  });

  test.each<[string, (modified?: Date) => Partial<CopyObjectCommandInput>]>([
    ["CopySourceIfMatch", () => ({ CopySourceIfMatch: '"other"' })],
    ["CopySourceIfUnmodifiedSince", () => ({ CopySourceIfUnmodifiedSince: new Date(0) })],
    ["CopySourceIfModifiedSince", (modified) => ({ CopySourceIfModifiedSince: modified })],
    ["IfNoneMatch", () => ({ IfNoneMatch: "*" })],
    ["IfMatch", () => ({ IfMatch: '"other"' })],
  ])("is refused by %s and does not change the target", async (_, conditionFor) => {
    await put("conditional");
    const condition = conditionFor((await head("conditional")).LastModified);
    const { ETag } = await put("target", { Body: "old" });
    expect(await failure(() => copy("conditional", "target", condition))).toEqual([
      "PreconditionFailed",
      412,
    ]);
    expect((await head("target")).ETag).toBe(ETag);
  });

  test.each([
    ["with a slash before the bucket", `/${Bucket}/odd key%2B%3F%2525`],
    ["with the slash encoded", encodeURIComponent(`${Bucket}/odd key+?%25`)],
    ["with both slashes encoded", encodeURIComponent(`/${Bucket}/odd key+?%25`)],
    ["with a plus for the space", `${Bucket}/odd+key%2B%3F%2525`],
  ])("finds its source %s", async (_, CopySource) => {
    const { ETag } = await put("odd key+?%25", { Body: "odd" });
    const act = new CopyObjectCommand({ Bucket, Key: "found", CopySource });
    expect((await local.s3.send(act)).CopyObjectResult?.ETag).toBe(ETag);
  });

  test.each<[string, string, [string, number]]>([
    ["no key behind a slash", `${Bucket}/`, ["InvalidArgument", 400]],
    ["a bad encoding", `${Bucket}/%zz`, ["InvalidArgument", 400]],
    ["a version of no id", `${Bucket}/nothing?versionId=`, ["InvalidArgument", 400]],
    ["a key that is not there", `${Bucket}/nothing`, ["NoSuchKey", 404]],
    ["a bucket that is not there", "no-such-bucket/nothing", ["NoSuchBucket", 404]],
    ["no key", Bucket, ["InvalidArgument", 400]],
  ])("of %s is refused", async (_, CopySource, expected) => {
    const act = () => local.s3.send(new CopyObjectCommand({ Bucket, Key: "never", CopySource }));
    expect(await failure(act)).toEqual(expected);
    expect(await failure(() => head("never"))).toEqual(["NotFound", 404]);
  });
});

test("UploadPartCopy takes a range of another object", async () => {
  const { s3 } = local;
  await put("range source", { Body: bytes });
  const target = { Bucket, Key: "range target" };
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand(target));
  const CopySource = `${Bucket}/range source`;
  const part = (PartNumber: number, range: string) =>
    s3.send(
      new UploadPartCopyCommand({ ...target, UploadId, PartNumber, CopySource, CopySourceRange: range }),
    );
  const last = bytes.length - 1;
  const copied = [await part(1, `bytes=0-${partBytes - 1}`), await part(2, `bytes=${last - 9}-${last}`)];
  for (const range of [`bytes=0-${bytes.length}`, "bytes=5-4", "bytes=-5"]) {
    expect(await failure(() => part(3, range)), range).toEqual(["InvalidArgument", 400]);
  }
  expect((await s3.send(new ListPartsCommand({ ...target, UploadId }))).Parts).toHaveLength(2);
  const Parts = copied.map(({ CopyPartResult }, index) => ({
    PartNumber: index + 1,
    ETag: CopyPartResult?.ETag,
  }));
  await s3.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }));
  const { Body } = await s3.send(new GetObjectCommand(target));
  const expected = Buffer.concat([bytes.subarray(0, partBytes), bytes.subarray(-10)]);
  expect(Buffer.compare((await Body?.transformToByteArray()) ?? bytes, expected)).toBe(0);
});

describe("object tags", () => {
  test("are stored with an object, counted, replaced and removed", async () => {
    const { s3 } = local;
    await put("tagged", { Tagging: "a=1&b=x%20y" });
    expect((await head("tagged")).TagCount).toBe(2);
    const TagSet = [{ Key: "ü 1", Value: "+-=._:/@" }];
    await s3.send(new PutObjectTaggingCommand({ Bucket, Key: "tagged", Tagging: { TagSet } }));
    expect(await tagsOf("tagged")).toEqual(TagSet);
    await s3.send(new DeleteObjectTaggingCommand({ Bucket, Key: "tagged" }));
    expect(await tagsOf("tagged")).toEqual([]);
    expect((await head("tagged")).TagCount).toBeUndefined();
  });

  test.each<[string, { Key: string; Value: string }[], string]>([
    ["eleven", Array.from({ length: 11 }, (_, index) => ({ Key: `k${index}`, Value: "" })), "BadRequest"],
    [
      "two of a name",
      [
        { Key: "k", Value: "1" },
        { Key: "k", Value: "2" },
      ],
      "InvalidTag",
    ],
    ["a name of AWS's own", [{ Key: "aws:name", Value: "" }], "InvalidTag"],
    ["a long name", [{ Key: "k".repeat(129), Value: "" }], "InvalidTag"],
    ["a name with an ampersand", [{ Key: "a&b", Value: "" }], "InvalidTag"],
    ["a value with a bracket", [{ Key: "k", Value: "<" }], "InvalidTag"],
    ["a long value", [{ Key: "k", Value: "v".repeat(257) }], "InvalidTag"],
  ])("%s are refused", async (_, TagSet, code) => {
    await put("untagged");
    const act = () =>
      local.s3.send(new PutObjectTaggingCommand({ Bucket, Key: "untagged", Tagging: { TagSet } }));
    expect(await failure(act)).toEqual([code, 400]);
    expect(await tagsOf("untagged")).toEqual([]);
  });
});

test.each([
  ["a name twice", "a=1&b=2&a=1", "InvalidArgument"],
  ["a name of AWS's own", "aws:a=1", "InvalidTag"],
])("a header of tags with %s is refused", async (_, Tagging, code) => {
  expect(await failure(() => put("never", { Tagging }))).toEqual([code, 400]);
});

describe("parts of an object", () => {
  test("are read by number", async () => {
    await putParts("numbered");
    const read = async (PartNumber: number) => {
      const output = await local.s3.send(new GetObjectCommand({ Bucket, Key: "numbered", PartNumber }));
      return { ...output, bytes: (await output.Body?.transformToByteArray()) ?? new Uint8Array() };
    };
    const second = await read(2);
    expect(second).toMatchObject({
      PartsCount: 2,
      ContentRange: `bytes ${partBytes}-${bytes.length - 1}/${bytes.length}`,
    });
    expect(Buffer.compare(second.bytes, bytes.subarray(partBytes))).toBe(0);
    expect((await read(1)).bytes).toHaveLength(partBytes);
    expect(await failure(() => read(3))).toEqual(["InvalidPartNumber", 416]);
    expect(await failure(() => read(0))).toEqual(["InvalidArgument", 400]);
  });

  test("return their own checksums and the type of the object's", async () => {
    const digests = [bytes.subarray(0, partBytes), bytes.subarray(partBytes)].map((part) =>
      createHash("sha256").update(part).digest("base64"),
    );
    await putParts("summed", { ChecksumAlgorithm: "SHA256" });
    for (const [index, digest] of digests.entries()) {
      const part = { Bucket, Key: "summed", PartNumber: index + 1, ChecksumMode: "ENABLED" } as const;
      const expected = { ChecksumSHA256: digest, ChecksumType: "COMPOSITE", PartsCount: 2 };
      expect(await local.s3.send(new HeadObjectCommand(part))).toMatchObject(expected);
    }
  });

  test("are one if it was put whole", async () => {
    const { ChecksumCRC32 } = await put("single", { ChecksumAlgorithm: "CRC32" });
    await put("empty", { Body: new Uint8Array(0) });
    const read = async (PartNumber: number, Key = "single") => {
      const output = await local.s3.send(new GetObjectCommand({ Bucket, Key, PartNumber }));
      return { ...output, text: await output.Body?.transformToString() };
    };
    const whole = await read(1);
    expect(whole).toMatchObject({ text: "content", ContentRange: "bytes 0-6/7", ChecksumCRC32 });
    expect([whole.$metadata.httpStatusCode, whole.PartsCount]).toEqual([206, undefined]);
    const empty = await read(1, "empty");
    expect([empty.$metadata.httpStatusCode, empty.ContentRange, empty.text]).toEqual([200, undefined, ""]);
    expect(await failure(() => read(2))).toEqual(["InvalidPartNumber", 416]);
  });
});

describe("checksums of objects", () => {
  const told = (Key: string) =>
    local.s3.send(new GetObjectAttributesCommand({ Bucket, Key, ObjectAttributes: [...attributes] }));

  test.each(["CRC32", "CRC32C", "CRC64NVME"] as const)(
    "%s of parts can be that of all bytes",
    async (name) => {
      const type = { ChecksumAlgorithm: name, ChecksumType: "FULL_OBJECT" } as const;
      const field = `Checksum${name}` as const;
      const made = await putParts(`full ${name}`, type);
      const whole = await put(`whole ${name}`, { Body: bytes, ChecksumAlgorithm: name });
      expect(made[field]).toBe(whole[field]);
      expect(await told(`full ${name}`)).toMatchObject({
        Checksum: { [field]: whole[field], ChecksumType: "FULL_OBJECT" },
        ObjectParts: { TotalPartsCount: 2 },
        ObjectSize: bytes.length,
      });
      expect((await told(`full ${name}`)).ObjectParts?.Parts).toBeUndefined();
    },
  );

  test.each(["CRC32", "CRC32C", "SHA1", "SHA256"] as const)(
    "%s of parts is composite by default",
    async (name) => {
      const field = `Checksum${name}` as const;
      const made = await putParts(`composite ${name}`, { ChecksumAlgorithm: name });
      expect(made[field]).toMatch(/-2$/);
      expect((await head(`composite ${name}`))[field]).toBe(made[field]);
      const { Checksum, ObjectParts, StorageClass } = await told(`composite ${name}`);
      expect(Checksum).toEqual({ [field]: made[field]?.slice(0, -2), ChecksumType: "COMPOSITE" });
      expect(ObjectParts?.Parts?.map(({ Size }) => Size)).toEqual([partBytes, 1000]);
      expect(StorageClass).toBe("STANDARD");
    },
  );

  test("CRC64NVME is computed if the writer names none", async () => {
    const plain = { requestChecksumCalculation: "WHEN_REQUIRED" } as const;
    const { S3Client } = await import("@aws-sdk/client-s3");
    const s3 = new S3Client({ ...local.aws.s3Config, ...plain });
    const output = await s3.send(new PutObjectCommand({ Bucket, Key: "default", Body: "123456789" }));
    expect(output).toMatchObject({ ChecksumCRC64NVME: "rosUhgp5mIg=", ChecksumType: "FULL_OBJECT" });
    s3.destroy();
  });

  test.each<[string, Partial<CreateMultipartUploadCommandInput>]>([
    ["SHA256 of all bytes", { ChecksumAlgorithm: "SHA256", ChecksumType: "FULL_OBJECT" }],
    ["CRC64NVME of checksums", { ChecksumAlgorithm: "CRC64NVME", ChecksumType: "COMPOSITE" }],
  ])("an upload cannot have %s", async (_, input) => {
    const act = () => local.s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "never", ...input }));
    expect(await failure(act)).toEqual(["InvalidRequest", 400]);
  });

  test("an upload accepts parts of its own algorithm only", async () => {
    const upload = { Bucket, Key: "strict" };
    const { UploadId } = await local.s3.send(
      new CreateMultipartUploadCommand({ ...upload, ChecksumAlgorithm: "SHA256" }),
    );
    const part = { ...upload, UploadId, PartNumber: 1, Body: "x" };
    const wrong = () => local.s3.send(new UploadPartCommand({ ...part, ChecksumAlgorithm: "CRC32C" }));
    expect(await failure(wrong)).toEqual(["InvalidRequest", 400]);
    const { ETag } = await local.s3.send(new UploadPartCommand({ ...part, ChecksumAlgorithm: "SHA256" }));
    const Parts = [{ PartNumber: 1, ETag }];
    const complete = () =>
      local.s3.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload: { Parts } }));
    expect(await failure(complete)).toEqual(["InvalidRequest", 400]);
  });

  test("a completion that states another checksum of the object is refused", async () => {
    const upload = { Bucket, Key: "stated" };
    const type = { ChecksumAlgorithm: "CRC64NVME", ChecksumType: "FULL_OBJECT" } as const;
    const { UploadId } = await local.s3.send(new CreateMultipartUploadCommand({ ...upload, ...type }));
    const part = { ...upload, UploadId, PartNumber: 1, Body: "123456789" };
    const { ETag } = await local.s3.send(new UploadPartCommand({ ...part, ChecksumAlgorithm: "CRC64NVME" }));
    const complete = (ChecksumCRC64NVME: string) =>
      local.s3.send(
        new CompleteMultipartUploadCommand({
          ...upload,
          UploadId,
          ChecksumCRC64NVME,
          MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
        }),
      );
    expect(await failure(() => complete("rosUhgp5mIk="))).toEqual(["BadDigest", 400]);
    expect(await complete("rosUhgp5mIg=")).toMatchObject({ ChecksumType: "FULL_OBJECT" });
  });
});

describe("CompleteMultipartUpload of a composite", () => {
  const sums = { ChecksumAlgorithm: "SHA256" } as const;
  async function begin(...numbers: number[]) {
    const upload = { Bucket, Key: "composite" };
    const { UploadId } = await local.s3.send(new CreateMultipartUploadCommand({ ...upload, ...sums }));
    const Parts: CompletedPart[] = [];
    for (const PartNumber of numbers) {
      const part = { ...upload, ...sums, UploadId, PartNumber, Body: bytes.subarray(0, partBytes) };
      const { ETag, ChecksumSHA256 } = await local.s3.send(new UploadPartCommand(part));
      Parts.push({ PartNumber, ETag, ChecksumSHA256 });
    }
    return (ChecksumType: ChecksumType, chosen = Parts) =>
      local.s3.send(
        new CompleteMultipartUploadCommand({
          ...upload,
          UploadId,
          ChecksumType,
          MultipartUpload: { Parts: chosen },
        }),
      );
  }

  test("has its type", async () => {
    const complete = await begin(1);
    expect(await failure(() => complete("FULL_OBJECT"))).toEqual(["BadDigest", 400]);
    expect(await complete("COMPOSITE")).toMatchObject({ ChecksumType: "COMPOSITE" });
  });

  test.each([
    ["begins with another than 1", [2]],
    ["leaves a number out", [1, 3]],
  ])("fails when it %s", async (_, numbers) => {
    const complete = await begin(...numbers);
    expect(await failure(() => complete("COMPOSITE"))).toEqual(["InternalError", 500]);
  });
});

describe("CRCs", () => {
  test.each([
    ["CRC32", crc32, "cbf43926"],
    ["CRC32C", crc32c, "e3069283"],
    ["CRC64NVME", crc64nvme, "ae8b14860a799888"],
  ] as const)("%s has its check value, in pieces and combined", (_, kind, expected) => {
    const whole = Buffer.from("123456789");
    for (let cut = 0; cut <= whole.length; cut++) {
      const [left, right, both] = [new Crc(kind), new Crc(kind), new Crc(kind)];
      left.update(whole.subarray(0, cut));
      right.update(whole.subarray(cut));
      both.update(whole.subarray(0, cut));
      both.update(whole.subarray(cut));
      expect(both.digest().toString("hex")).toBe(expected);
      const combined = combineCrcs(kind, left.digest(), right.digest(), whole.length - cut);
      expect(combined.toString("hex")).toBe(expected);
    }
  });
});

test("storage class and SSE-S3 headers are returned", async () => {
  await put("cold", { StorageClass: "STANDARD_IA", ServerSideEncryption: "aws:kms", SSEKMSKeyId: "k" });
  expect(await head("cold")).toMatchObject({
    StorageClass: "STANDARD_IA",
    ServerSideEncryption: "aws:kms",
    SSEKMSKeyId: "k",
  });
  await put("standard");
  expect((await head("standard")).ServerSideEncryption).toBe("AES256");
  expect((await head("standard")).StorageClass).toBeUndefined();
  expect(await failure(() => put("never", { StorageClass: "LUKEWARM" as never }))).toEqual([
    "InvalidStorageClass",
    400,
  ]);
});

test.each(["GLACIER", "DEEP_ARCHIVE"] as const)(
  "an object in %s is neither read nor copied",
  async (StorageClass) => {
    await put("archived", { StorageClass });
    const upload = { Bucket, Key: "from the archive" };
    const { UploadId } = await local.s3.send(new CreateMultipartUploadCommand(upload));
    const CopySource = `${Bucket}/archived`;
    const part = { ...upload, UploadId, PartNumber: 1, CopySource };
    for (const act of [
      () => local.s3.send(new GetObjectCommand({ Bucket, Key: "archived" })),
      () => copy("archived", "from the archive"),
      () => local.s3.send(new UploadPartCopyCommand(part)),
    ]) {
      expect(await failure(act)).toEqual(["InvalidObjectState", 403]);
    }
    expect(await head("archived")).toMatchObject({ StorageClass, ContentLength: 7 });
  },
);

test.each(["EXPRESS_ONEZONE", "OUTPOSTS", "SNOW"] as const)(
  "nothing is stored in %s",
  async (StorageClass) => {
    expect(await failure(() => put("never", { StorageClass }))).toEqual(["InvalidStorageClass", 400]);
  },
);
