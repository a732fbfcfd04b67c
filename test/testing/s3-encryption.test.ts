/** How the in-process S3 is told to encrypt, and by what an object is found to be encrypted so. */
import { createHash } from "node:crypto";
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  UploadPartCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { failure } from "../support/errors.js";
import { Bucket, useLocalAws } from "../support/local.js";
import { sendSigned } from "./raw.js";

const local = useLocalAws();
const content = "content";
const md5 = (bytes: Uint8Array | string) => createHash("md5").update(bytes).digest();
const contentMd5 = `"${md5(content).toString("hex")}"`;
const keyOf = (byte: number, length = 32) => {
  const key = Buffer.alloc(length, byte);
  return {
    SSECustomerAlgorithm: "AES256",
    SSECustomerKey: key.toString("base64"),
    SSECustomerKeyMD5: md5(key).toString("base64"),
  };
};
const own = keyOf(7);
const other = keyOf(8);
const put = (Key: string, input: Partial<PutObjectCommandInput> = {}) =>
  local.s3.send(new PutObjectCommand({ Bucket, Key, Body: content, ...input }));

describe("a customer-provided key (SSE-C)", () => {
  const header = "x-amz-server-side-encryption-customer";
  const whole: Record<string, string> = {
    [`${header}-algorithm`]: own.SSECustomerAlgorithm,
    [`${header}-key`]: own.SSECustomerKey,
    [`${header}-key-md5`]: own.SSECustomerKeyMD5,
  };
  const short = keyOf(7, 31);
  const bad: [string, Record<string, string>, string][] = [
    ["another algorithm", { [`${header}-algorithm`]: "AES128" }, "InvalidEncryptionAlgorithmError"],
    ["another key's MD5", { [`${header}-key-md5`]: other.SSECustomerKeyMD5 }, "InvalidArgument"],
    ["no base64", { [`${header}-key`]: "key" }, "InvalidArgument"],
    [
      "31 bytes",
      { [`${header}-key`]: short.SSECustomerKey, [`${header}-key-md5`]: short.SSECustomerKeyMD5 },
      "InvalidArgument",
    ],
    ["a method beside it", { "x-amz-server-side-encryption": "AES256" }, "InvalidArgument"],
  ];
  test.each(bad)("is refused with %s", async (_, change, code) => {
    const raw = { method: "PUT", path: `/${Bucket}/never`, headers: { ...whole, ...change }, body: "x" };
    expect(await sendSigned(local.aws.s3Config, raw)).toMatchObject({ status: 400, code });
  });

  test.each(Object.keys(whole))("is refused without %s, in a write and in a read", async (name) => {
    await put("plain");
    const { [name]: _, ...headers } = whole;
    const write = { method: "PUT", path: `/${Bucket}/never`, headers, body: "x" };
    const read = { path: `/${Bucket}/plain`, headers };
    for (const raw of [write, read]) {
      expect(await sendSigned(local.aws.s3Config, raw)).toMatchObject({
        status: 400,
        code: "InvalidArgument",
      });
    }
  });

  test("must be sent to read or copy an object, or to read its headers or attributes", async () => {
    await put("own", own);
    const source = { CopySource: `${Bucket}/own`, Key: "copied" };
    const reads: [typeof own | object, [string, number] | undefined][] = [
      [{}, ["InvalidRequest", 400]],
      [other, ["AccessDenied", 403]],
      [own, undefined],
    ];
    for (const [key, expected] of reads) {
      const named = Object.entries(key).map(([name, value]) => [`CopySource${name}`, value]);
      const acts = [
        () => local.s3.send(new GetObjectCommand({ Bucket, Key: "own", ...key })),
        () =>
          local.s3.send(
            new GetObjectAttributesCommand({ Bucket, Key: "own", ObjectAttributes: ["ETag"], ...key }),
          ),
        () => local.s3.send(new CopyObjectCommand({ Bucket, ...source, ...Object.fromEntries(named) })),
      ];
      for (const act of acts) {
        if (expected) expect(await failure(act)).toEqual(expected);
        else await act();
      }
    }
    expect(
      await failure(() => local.s3.send(new GetObjectCommand({ Bucket, Key: "copied", ...own }))),
    ).toEqual(["InvalidRequest", 400]);
  });

  test("must be the same in all parts of an upload", async () => {
    await put("source");
    const upload = async (Key: string, key: object) => {
      const { UploadId } = await local.s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...key }));
      return { Bucket, Key, UploadId, PartNumber: 1 };
    };
    const [encrypted, plain] = [await upload("encrypted", own), await upload("plain", {})];
    const CopySource = `${Bucket}/source`;
    for (const [part, key] of [
      [encrypted, {}],
      [encrypted, other],
      [plain, own],
    ] as const) {
      for (const act of [
        () => local.s3.send(new UploadPartCommand({ ...part, Body: content, ...key })),
        () => local.s3.send(new UploadPartCopyCommand({ ...part, CopySource, ...key })),
      ]) {
        expect(await failure(act)).toEqual(["InvalidRequest", 400]);
      }
    }
    await local.s3.send(new UploadPartCommand({ ...encrypted, Body: content, ...own }));
    await local.s3.send(new UploadPartCopyCommand({ ...encrypted, CopySource, ...own }));
  });
});

test.each(["AES256", undefined] as const)(
  "a KMS key is refused with the encryption method %s",
  async (method) => {
    const input = { SSEKMSKeyId: "alias/some", ...(method && { ServerSideEncryption: method }) };
    expect(await failure(() => put("never", input))).toEqual(["InvalidArgument", 400]);
  },
);

test("the SSE-KMS encryption context is returned to writers only", async () => {
  const SSEKMSEncryptionContext = Buffer.from('{"a":"b"}').toString("base64");
  const kms = { ServerSideEncryption: "aws:kms", SSEKMSEncryptionContext } as const;
  const target = { Bucket, Key: "context" };
  const copied = { ...target, ...kms, CopySource: `${Bucket}/context` };
  const writes = [
    await put("context", kms),
    await local.s3.send(new CopyObjectCommand(copied)),
    await local.s3.send(new CreateMultipartUploadCommand({ ...target, ...kms })),
  ];
  for (const answer of writes) expect(answer).toMatchObject(kms);
  for (const method of ["GET", "HEAD"]) {
    const { headers } = await sendSigned(local.aws.s3Config, { method, path: `/${Bucket}/context` });
    expect(headers["x-amz-server-side-encryption"]).toBe("aws:kms");
    expect(headers).not.toHaveProperty("x-amz-server-side-encryption-context");
  }
});

describe("the ETag of an object", () => {
  test.each<[string, object, boolean]>([
    ["S3's own keys", { ServerSideEncryption: "AES256" }, true],
    ["KMS", { ServerSideEncryption: "aws:kms" }, false],
    ["KMS twice", { ServerSideEncryption: "aws:kms:dsse" }, false],
    ["the customer's key", own, false],
  ])("under %s", async (_, input, isMd5) => {
    const form = /^"[0-9a-f]{32}"$/;
    const { ETag } = await put("etag", input);
    expect(ETag).toMatch(form);
    expect(ETag === contentMd5).toBe(isMd5);
    const target = { Bucket, Key: "etag parts" };
    const { UploadId } = await local.s3.send(new CreateMultipartUploadCommand({ ...target, ...input }));
    const key = "SSECustomerKey" in input ? own : {};
    const part = { ...target, UploadId, PartNumber: 1, ...key };
    const sent = await local.s3.send(new UploadPartCommand({ ...part, Body: content }));
    await put("plain");
    const copied = await local.s3.send(new UploadPartCopyCommand({ ...part, CopySource: `${Bucket}/plain` }));
    for (const etag of [sent.ETag, copied.CopyPartResult?.ETag]) {
      expect(etag).toMatch(form);
      expect(etag === contentMd5).toBe(isMd5);
    }
    const Parts = [{ PartNumber: 1, ETag: copied.CopyPartResult?.ETag }];
    const complete = { ...target, UploadId, MultipartUpload: { Parts } };
    const done = await local.s3.send(new CompleteMultipartUploadCommand(complete));
    const combined = md5(Buffer.from(copied.CopyPartResult?.ETag?.slice(1, -1) ?? "", "hex"));
    expect(done.ETag).toBe(`"${combined.toString("hex")}-1"`);
  });
});
