import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, describe, expect, it } from "vitest";
import { CommitState } from "../../src/s3/commit.js";
import { uploadMultipart } from "../../src/s3/multipart.js";
import { transferSignal } from "../../src/s3/transfer-signal.js";
import { coded, errorOf } from "../support/errors.js";

const mebibyte = 1024 * 1024;
const s3 = new S3Client({ region: "eu-central-1" });
const mock = mockClient(s3);

beforeEach(() => {
  mock.reset();
  mock.on(CreateMultipartUploadCommand).resolves({ UploadId: "id" });
  mock.on(UploadPartCommand).resolves({ ETag: '"part"' });
  mock.on(CompleteMultipartUploadCommand).resolves({ ETag: '"whole"' });
  mock.on(AbortMultipartUploadCommand).resolves({});
});

async function upload(count: number, partBytes: number, maxConcurrentParts: number) {
  const bytes = Buffer.alloc(partBytes);
  async function* parts() {
    for (let partNumber = 1; partNumber <= count; partNumber++) yield { partNumber, bytes };
  }
  return uploadMultipart(
    {
      s3,
      put: { Bucket: "b", Key: "k" },
      attempt: { operation: "PutObject", bucket: "b", key: "k" },
      maxConcurrentParts,
      transfer: transferSignal(undefined),
      commit: new CommitState(),
    },
    parts(),
  );
}

describe("uploadMultipart", () => {
  it.each([
    ["as many as the caller wants", 10, 1, 3, 3],
    ["one by one where they are very large", 5, 128 * mebibyte, 4, 1],
    ["two where they are large", 5, 40 * mebibyte, 4, 2],
  ])("sends parts at the same time: %s", async (_, count, partBytes, maxConcurrentParts, most) => {
    let [inFlight, peak] = [0, 0];
    mock.on(UploadPartCommand).callsFake(async () => {
      inFlight += 1;
      peak = Math.max(peak, inFlight);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inFlight -= 1;
      return { ETag: '"part"' };
    });
    await upload(count, partBytes, maxConcurrentParts);
    expect(peak).toBe(most);
  });

  it("completes with the parts in order and the size of all", async () => {
    mock.on(UploadPartCommand).callsFake(async ({ PartNumber }) => {
      await new Promise((resolve) => setTimeout(resolve, 30 - 10 * PartNumber));
      return { ETag: `"${PartNumber}"` };
    });
    await upload(3, 10, 4);
    const input = mock.commandCalls(CompleteMultipartUploadCommand)[0]?.args[0].input;
    expect(input?.MpuObjectSize).toBe(30);
    expect(input?.MultipartUpload?.Parts?.map(({ ETag }) => ETag)).toEqual(['"1"', '"2"', '"3"']);
  });

  it("refuses an answer without ETag, and aborts", async () => {
    mock.on(UploadPartCommand, { PartNumber: 2 }).resolves({});
    const error = await errorOf(() => upload(3, 10, 4));
    expect(error).toEqual(coded("S3_REQUEST_FAILED", { operation: "UploadPart" }));
    expect(mock.commandCalls(CompleteMultipartUploadCommand)).toEqual([]);
    expect(mock.commandCalls(AbortMultipartUploadCommand)).toHaveLength(1);
  });

  it("refuses an answer without UploadId", async () => {
    mock.on(CreateMultipartUploadCommand).resolves({});
    const error = await errorOf(() => upload(3, 10, 4));
    expect(error).toEqual(coded("S3_REQUEST_FAILED", { operation: "CreateMultipartUpload" }));
    expect(mock.commandCalls(UploadPartCommand)).toEqual([]);
  });
});
