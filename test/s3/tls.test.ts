import { createHash } from "node:crypto";
import { once } from "node:events";
import { Readable } from "node:stream";
import {
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { createS3Client, EnvelopeClient } from "../../src/index.js";
import { CoalescedReads } from "../../src/s3/body/coalesced-reads.js";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { cut, expectBytes, testBytes } from "../support/bytes.js";
import { coded, errorOf } from "../support/errors.js";
import { Bucket, keyring, s3PartBytes as partBytes } from "../support/local.js";
import { tls } from "../support/tls.js";

let aws: LocalAws;
let tuned: S3Client;
const requestHandler = { httpsAgent: { ca: tls.cert } };
const large = testBytes(2 * partBytes + 12_345, 3);

beforeAll(async () => {
  aws = await startLocalAws({ tls });
  tuned = createS3Client({ ...aws.s3Config, maxAttempts: 1, requestHandler });
});
afterEach(() => {
  aws.clearFaults();
  aws.clearRequests();
});
afterAll(async () => {
  tuned.destroy();
  await aws.close();
});

/** The payload hashes in the signatures of the uploads so far, and the checksums that were sent. */
const signedFor = () =>
  aws.requests
    .filter(({ operation }) => /^(PutObject|UploadPart)$/.test(operation))
    .map(({ headers }) => [headers["x-amz-content-sha256"], headers["x-amz-checksum-crc32"] !== undefined]);

describe.each([
  ["the SDK's own client", () => aws.s3],
  ["a client of createS3Client", () => tuned],
])("over TLS with %s", (name, s3) => {
  const client = () => new EnvelopeClient({ s3: s3(), keyring, partSizeBytes: partBytes });
  const object = { Bucket, Key: name };

  it("a small object and a range of it round-trip", async () => {
    await client().put({ ...object, Body: testBytes(50_000) });
    const { Body } = await client().get(object);
    expectBytes(await Body.transformToByteArray(), testBytes(50_000));
    const range = await client().get({ ...object, Range: "bytes=16380-16390" });
    expectBytes(await range.Body.transformToByteArray(), testBytes(50_000).subarray(16_380, 16_391));
  });

  it("a stream of several parts round-trips", async () => {
    await client().put({ ...object, Body: Readable.from(cut(large, 65_536)) });
    expect(aws.requests.filter(({ operation }) => operation === "UploadPart")).toHaveLength(3);
    expectBytes(await (await client().get(object)).Body.transformToByteArray(), large);
  });

  it("the small pieces of a body are joined", async () => {
    await client().put({ ...object, Body: large });
    const taken = vi.spyOn(CoalescedReads.prototype, "next");
    await (await client().get(object)).Body.transformToByteArray();
    expect(taken).toHaveBeenCalled();
    taken.mockRestore();
  });

  it("an aborted upload leaves nothing behind", async () => {
    const controller = new AbortController();
    async function* body() {
      yield* cut(large, 65_536);
      controller.abort(new Error("enough"));
      await once(controller.signal, "never");
    }
    const error = await errorOf(() =>
      client().put({ Bucket, Key: "aborted", Body: body() }, { abortSignal: controller.signal }),
    );
    expect(error.message).toBe("enough");
    expect((await aws.s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads).toBeUndefined();
  });

  it("a body that breaks off fails with BODY_INTERRUPTED", async () => {
    await client().put({ ...object, Body: testBytes(50_000) });
    aws.fault({ operation: "GetObject", truncateBodyBytes: 20_000 });
    const { Body } = await client().get(object);
    expect(await errorOf(() => Body.transformToByteArray())).toEqual(coded("BODY_INTERRUPTED"));
  });
});

describe("the signature of a request", () => {
  const put = (s3: S3Client, Body: Uint8Array) =>
    new EnvelopeClient({ s3, keyring, partSizeBytes: partBytes }).put({ Bucket, Key: "k", Body });
  const unsigned = ["UNSIGNED-PAYLOAD", true];
  const signed = [expect.stringMatching(/^[0-9a-f]{64}$/), true];

  it("covers the checksum of an upload in place of its bytes, over TLS with createS3Client", async () => {
    await put(tuned, large);
    await put(tuned, testBytes(10));
    expect(signedFor()).toEqual([unsigned, unsigned, unsigned, unsigned]);
    const created = aws.requests.find(({ operation }) => operation === "CreateMultipartUpload");
    expect(created?.headers["x-amz-content-sha256"]).toMatch(/^[0-9a-f]{64}$/);
  });

  it("covers the bytes of an upload with signPayload", async () => {
    const s3 = createS3Client({ ...aws.s3Config, requestHandler, signPayload: true });
    await put(s3, testBytes(10));
    s3.destroy();
    expect(signedFor()).toEqual([signed]);
  });

  it("covers the bytes of an upload that has no checksum", async () => {
    const s3 = createS3Client({
      ...aws.s3Config,
      requestHandler,
      requestChecksumCalculation: "WHEN_REQUIRED",
    });
    await put(s3, testBytes(10));
    s3.destroy();
    expect(signedFor()).toEqual([[expect.stringMatching(/^[0-9a-f]{64}$/), false]]);
  });

  it("covers the bytes of requests other than uploads", async () => {
    await tuned.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: "none" }] } }));
    const { headers } = aws.requests[0] ?? {};
    expect([headers?.["x-amz-content-sha256"], headers?.["x-amz-checksum-crc32"] !== undefined]).toEqual(
      signed,
    );
  });

  it("covers a hash that the request has already, whatever the case of its header", async () => {
    const s3 = createS3Client({ ...aws.s3Config, maxAttempts: 1, requestHandler });
    const Body = testBytes(10);
    const hash = createHash("sha256").update(Body).digest("hex");
    s3.middlewareStack.add(
      (next) => (args) => {
        (args.request as { headers: Record<string, string> }).headers["X-Amz-Content-SHA256"] = hash;
        return next(args);
      },
      { step: "build", priority: "high" },
    );
    await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body }));
    s3.destroy();
    expect(signedFor()).toEqual([[hash, true]]);
  });

  it("covers the bytes of an upload without TLS", async () => {
    await using plain = await startLocalAws();
    const s3 = createS3Client(plain.s3Config);
    await put(s3, testBytes(10));
    s3.destroy();
    expect(plain.requests.map(({ headers }) => headers["x-amz-content-sha256"])).toEqual([signed[0]]);
  });

  it("is unchanged with a client that was not made by createS3Client", async () => {
    await put(aws.s3, testBytes(10));
    expect(signedFor()).toEqual([signed]);
  });

  it("without the bytes still lets the checksum reveal bytes changed in transit", async () => {
    const other = createS3Client({ ...aws.s3Config, maxAttempts: 1, requestHandler });
    other.middlewareStack.add(
      (next) => (args) => {
        const request = args.request as { body: Buffer };
        request.body = Buffer.from(request.body.map((byte, index) => (index === 0 ? byte ^ 1 : byte)));
        return next(args);
      },
      { step: "finalizeRequest", priority: "low" },
    );
    const error = await errorOf(() =>
      other.send(new PutObjectCommand({ Bucket, Key: "k", Body: testBytes(10) })),
    );
    other.destroy();
    expect(error.name).toBe("BadDigest");
  });
});
