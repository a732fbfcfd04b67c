/** What the in-process S3 verifies of a body: framing, lengths and checksums. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import {
  ChecksumAlgorithm,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  type S3ServiceException,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { cut, expectBytes, testBytes } from "../support/bytes.js";
import { errorOf } from "../support/errors.js";
import { send, sendSigned, signedHeaders } from "./raw.js";

const Bucket = "test-bucket";
const streaming = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const checkDigits = Buffer.from("123456789");
/** The checksums of "123456789", from the catalogues of the algorithms. */
const known = {
  CRC32: Buffer.from("cbf43926", "hex").toString("base64"),
  CRC32C: Buffer.from("e3069283", "hex").toString("base64"),
  CRC64NVME: Buffer.from("ae8b14860a799888", "hex").toString("base64"),
  SHA1: createHash("sha1").update(checkDigits).digest("base64"),
  SHA256: createHash("sha256").update(checkDigits).digest("base64"),
} as const;
const algorithms = Object.entries(known) as [keyof typeof known, string][];

let aws: LocalAws;
let s3: S3Client;
beforeAll(async () => {
  aws = await startLocalAws({ minPartBytes: 1 });
  s3 = new S3Client({ ...aws.s3Config, maxAttempts: 1 });
});
afterAll(async () => {
  s3.destroy();
  await aws.close();
});

const head = (Key: string) => s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));

async function read(Key: string): Promise<Uint8Array> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
  return (await Body?.transformToByteArray()) ?? new Uint8Array();
}

async function keys(Prefix: string): Promise<(string | undefined)[]> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
  return Contents.map(({ Key }) => Key);
}

describe("checksums that the SDK computes", () => {
  test.each(algorithms)("%s in a header is returned by HeadObject", async (algorithm, value) => {
    const Key = `header-${algorithm}`;
    const given = { Bucket, Key, Body: checkDigits, ChecksumAlgorithm: ChecksumAlgorithm[algorithm] };
    expect(await s3.send(new PutObjectCommand(given))).toMatchObject({ [`Checksum${algorithm}`]: value });
    const sent = aws.requests.at(-1)?.headers;
    expect(sent?.[`x-amz-checksum-${algorithm.toLowerCase()}`]).toBe(value);
    expect(await head(Key)).toMatchObject({ [`Checksum${algorithm}`]: value, ChecksumType: "FULL_OBJECT" });
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key }))).not.toHaveProperty(`Checksum${algorithm}`);
    expectBytes(await read(Key), checkDigits);
  });

  test.each(algorithms)(
    "%s in the trailer of a stream is returned by HeadObject",
    async (algorithm, value) => {
      const Key = `trailer-${algorithm}`;
      const given = { Bucket, Key, Body: Readable.from([checkDigits]), ContentLength: 9 };
      const command = new PutObjectCommand({ ...given, ChecksumAlgorithm: ChecksumAlgorithm[algorithm] });
      expect(await s3.send(command)).toMatchObject({ [`Checksum${algorithm}`]: value });
      expect(aws.requests.at(-1)?.headers).toMatchObject({
        "x-amz-content-sha256": streaming,
        "x-amz-trailer": `x-amz-checksum-${algorithm.toLowerCase()}`,
        "x-amz-decoded-content-length": "9",
      });
      expect(await head(Key)).toMatchObject({ [`Checksum${algorithm}`]: value, ContentLength: 9 });
      expectBytes(await read(Key), checkDigits);
    },
  );

  test.each([0, 1, 65_536, 65_537, 1_000_000])(
    "a stream of %d bytes is stored completely",
    async (length) => {
      const bytes = testBytes(length, length);
      const Body = Readable.from(cut(bytes, 70_000, 8192));
      await s3.send(new PutObjectCommand({ Bucket, Key: "stream", Body, ContentLength: length }));
      expect(aws.requests.at(-1)?.headers["x-amz-content-sha256"]).toBe(streaming);
      expectBytes(await read("stream"), bytes);
      const { ETag, ContentLength } = await head("stream");
      expect(ETag).toBe(`"${createHash("md5").update(bytes).digest("hex")}"`);
      expect(ContentLength).toBe(length);
    },
  );

  test.each([
    [undefined, undefined],
    ["gzip", "gzip"],
    ["br, gzip", "br, gzip"],
  ])("the framing of a stream is removed from content encoding %j", async (given, stored) => {
    const Body = Readable.from([checkDigits]);
    const encoding = given === undefined ? {} : { ContentEncoding: given };
    await s3.send(new PutObjectCommand({ Bucket, Key: "encoded", Body, ContentLength: 9, ...encoding }));
    expect(aws.requests.at(-1)?.headers["content-encoding"]).toContain("aws-chunked");
    expect((await head("encoded")).ContentEncoding).toBe(stored);
  });

  test("a part sent as a stream is stored completely, and the object has a composite checksum", async () => {
    const bytes = testBytes(200_000, 5);
    const { UploadId } = await s3.send(
      new CreateMultipartUploadCommand({ Bucket, Key: "composite", ChecksumAlgorithm: "SHA256" }),
    );
    const Parts = [];
    const digests = [];
    for (const [index, piece] of [...cut(bytes, 150_000)].entries()) {
      const PartNumber = index + 1;
      const Body = index === 0 ? Readable.from(cut(piece, 10_000)) : piece;
      const ContentLength = piece.length;
      const { ETag, ChecksumSHA256 } = await s3.send(
        new UploadPartCommand({
          Bucket,
          Key: "composite",
          UploadId,
          PartNumber,
          Body,
          ContentLength,
          ChecksumAlgorithm: "SHA256",
        }),
      );
      const digest = createHash("sha256").update(piece).digest();
      expect(ChecksumSHA256).toBe(digest.toString("base64"));
      digests.push(digest);
      Parts.push({ PartNumber, ETag, ChecksumSHA256 });
    }
    const given = { Bucket, Key: "composite", UploadId };
    const wrong = [Parts[0] ?? {}, { ...Parts[1], ChecksumSHA256: known.SHA256 }];
    const complete = (list: typeof wrong) =>
      s3.send(new CompleteMultipartUploadCommand({ ...given, MultipartUpload: { Parts: list } }));
    expect((await errorOf(() => complete(wrong))).name).toBe("InvalidPart");
    const composite = `${createHash("sha256").update(Buffer.concat(digests)).digest("base64")}-2`;
    expect(await complete(Parts)).toMatchObject({ ChecksumSHA256: composite });
    expect(await head("composite")).toMatchObject({ ChecksumSHA256: composite, ChecksumType: "COMPOSITE" });
    expectBytes(await read("composite"), bytes);
  });
});

describe("a body that does not match its headers", () => {
  const wrong = Buffer.alloc(4, 1).toString("base64");
  const cases: [string, Partial<PutObjectCommandInput>, string][] = [
    ["a wrong CRC32", { ChecksumCRC32: wrong }, "BadDigest"],
    ["a wrong CRC32C", { ChecksumCRC32C: wrong }, "BadDigest"],
    ["another algorithm's value", { ChecksumCRC32: known.CRC32C }, "BadDigest"],
    ["a wrong SHA-1", { ChecksumSHA1: known.SHA256 }, "BadDigest"],
    ["a wrong SHA-256", { ChecksumSHA256: createHash("sha256").digest("base64") }, "BadDigest"],
    ["a wrong MD5", { ContentMD5: createHash("md5").digest("base64") }, "BadDigest"],
    ["an MD5 that is none", { ContentMD5: "abc" }, "InvalidDigest"],
    ["a wrong CRC64NVME", { ChecksumCRC64NVME: "rosUhgp5mIk=" }, "BadDigest"],
  ];
  test.each(cases)("%s is refused", async (_, given, name) => {
    const put = () => s3.send(new PutObjectCommand({ Bucket, Key: "refused", Body: checkDigits, ...given }));
    const error = (await errorOf(put)) as S3ServiceException;
    expect([error.name, error.$metadata.httpStatusCode]).toEqual([name, 400]);
    expect(await keys("refused")).toEqual([]);
  });

  test.each([
    ["the right MD5", { ContentMD5: createHash("md5").update(checkDigits).digest("base64") }],
    ["the right CRC32", { ChecksumCRC32: known.CRC32 }],
    ["the right CRC32C", { ChecksumCRC32C: known.CRC32C }],
  ])("%s is accepted", async (_, given) => {
    await s3.send(new PutObjectCommand({ Bucket, Key: "passed", Body: checkDigits, ...given }));
    expectBytes(await read("passed"), checkDigits);
  });

  test("a body that differs from its x-amz-content-sha256 is refused", async () => {
    const { status, code } = await sendSigned(aws.s3Config, {
      method: "PUT",
      path: `/${Bucket}/refused`,
      headers: { "x-amz-content-sha256": createHash("sha256").digest("hex") },
      body: "other",
    });
    expect([status, code]).toEqual([400, "XAmzContentSHA256Mismatch"]);
    expect(await keys("refused")).toEqual([]);
  });
});

describe("bodies without a stated length", () => {
  const upload = async (query: Record<string, string>, headers: Record<string, string>, body: string) => {
    const raw = { method: "PUT", path: `/${Bucket}/unsized`, query, headers, body };
    const signed = await signedHeaders(aws.s3Config, raw);
    return send(aws.s3Config, raw, { ...signed, "transfer-encoding": "chunked" });
  };
  const targets = async (): Promise<Record<string, string>[]> => {
    const { UploadId = "" } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "unsized" }));
    return [{}, { uploadId: UploadId, partNumber: "1" }];
  };

  test("are refused in a chunked transfer", async () => {
    for (const query of await targets()) {
      const answer = await upload(query, { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" }, "x");
      expect(answer).toMatchObject({ status: 501, code: "NotImplemented" });
    }
  });

  const framed = { "content-encoding": "aws-chunked", "x-amz-content-sha256": streaming };
  test("are refused in aws-chunked framing, and accepted with the decoded length", async () => {
    const body = "9\r\n123456789\r\n0\r\n\r\n";
    for (const query of await targets()) {
      expect(await upload(query, framed, body)).toMatchObject({ status: 411, code: "MissingContentLength" });
      const sized = { ...framed, "x-amz-decoded-content-length": "9" };
      expect(await upload(query, sized, body)).toMatchObject({ status: 200 });
    }
  });
});

test("x-amz-sdk-checksum-algorithm without a checksum is refused", async () => {
  const headers = { "x-amz-sdk-checksum-algorithm": "CRC32" };
  const raw = { method: "PUT", path: `/${Bucket}/refused`, headers, body: "x" };
  expect(await sendSigned(aws.s3Config, raw)).toMatchObject({ status: 400, code: "InvalidRequest" });
  expect(await keys("refused")).toEqual([]);
});

describe("aws-chunked framing", () => {
  const trailer = `x-amz-checksum-crc32:${known.CRC32}`;
  const whole = `9\r\n123456789\r\n0\r\n${trailer}\r\n\r\n`;
  const put = (body: string, headers: Record<string, string> = {}) => putBytes(Buffer.from(body), headers);
  const putBytes = (body: Buffer, headers: Record<string, string> = {}) =>
    sendSigned(aws.s3Config, {
      method: "PUT",
      path: `/${Bucket}/framed`,
      headers: {
        "content-encoding": "aws-chunked",
        "content-length": String(body.length),
        "x-amz-content-sha256": streaming,
        "x-amz-decoded-content-length": "9",
        "x-amz-trailer": "x-amz-checksum-crc32",
        ...headers,
      },
      body,
    });

  test.each([
    ["one chunk", whole],
    ["a size in capitals and an extension", whole.replace("9\r\n", "0009;chunk-signature=00\r\n")],
    ["blanks around the trailer's value", whole.replace(":", " : ")],
  ])("is accepted: %s", async (_, body) => {
    expect(await put(body)).toMatchObject({ status: 200 });
    expectBytes(await read("framed"), checkDigits);
  });

  const long = testBytes(2 * 8192 + 5, 8);
  const framedLong = (...sizes: number[]) => {
    const chunks = [...cut(long, ...sizes)].map((chunk) =>
      Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n")]),
    );
    const end = `0\r\nx-amz-checksum-sha1:${createHash("sha1").update(long).digest("base64")}\r\n\r\n`;
    return putBytes(Buffer.concat([...chunks, Buffer.from(end)]), {
      "x-amz-decoded-content-length": String(long.length),
      "x-amz-trailer": "x-amz-checksum-sha1",
    });
  };
  test("accepts chunks of at least 8 KiB, and a shorter last one", async () => {
    expect(await framedLong(8192, 8192, 5)).toMatchObject({ status: 200 });
    expectBytes(await read("framed"), long);
  });
  test.each([
    ["one byte too short", [8191, 8193, 5]],
    ["one short before the last", [8192, 8191, 6]],
  ])("is refused, as S3 does: %s", async (_, sizes) => {
    expect(await framedLong(...sizes)).toMatchObject({ status: 403, code: "InvalidChunkSizeError" });
  });

  const bad: [string, string, string][] = [
    ["a wrong trailer", whole.replace(known.CRC32, known.CRC32C), "BadDigest"],
    ["no trailer", "9\r\n123456789\r\n0\r\n\r\n", "BadDigest"],
    ["another trailer", whole.replace("crc32:", "crc32c:"), "BadDigest"],
    ["changed data", whole.replace("12345", "12354"), "BadDigest"],
    ["no last chunk", "9\r\n123456789\r\n", "IncompleteBody"],
    ["data that ends early", "9\r\n1234", "IncompleteBody"],
    ["no end of the trailers' last line", whole.slice(0, -4), "IncompleteBody"],
    ["no framing at all", "123456789", "IncompleteBody"],
    ["a size that is no number", whole.replace("9", "z"), "IncompleteBody"],
    ["a negative size", whole.replace("9", "-9"), "IncompleteBody"],
    ["an empty size", whole.replace("9", ""), "IncompleteBody"],
    ["a size too small", whole.replace("9", "8"), "IncompleteBody"],
    ["a size too large", whole.replace("9", "a"), "IncompleteBody"],
    ["bytes behind the end", `${whole}x`, "IncompleteBody"],
    ["an endless line", "1".repeat(5000), "IncompleteBody"],
    ["trailers without end", whole.replace("0\r\n", `0\r\n${"a:b\r\n".repeat(2000)}`), "IncompleteBody"],
    ["fewer bytes than stated", `8\r\n12345678\r\n0\r\n${trailer}\r\n\r\n`, "IncompleteBody"],
    ["a broken frame before much data", `z\r\n${"1".repeat(3_000_000)}`, "IncompleteBody"],
  ];
  test.each(bad)("is refused: %s", async (_, body, code) => {
    const Key = "framed";
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: "before" }));
    expect(await put(body)).toMatchObject({ status: 400, code });
    expectBytes(await read(Key), Buffer.from("before"));
  });

  test.each([
    ["a checksum that is not here", { "x-amz-trailer": "x-amz-checksum-md5" }, 501, "NotImplemented"],
    [
      "signed chunks",
      { "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" },
      501,
      "NotImplemented",
    ],
    ["too much", { "x-amz-decoded-content-length": String(5 * 1024 ** 3 + 1) }, 400, "EntityTooLarge"],
  ])("is refused: %s", async (_, headers, status, code) => {
    expect(await put(whole, headers)).toMatchObject({ status, code });
  });
});
