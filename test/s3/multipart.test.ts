import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, describe, expect, it } from "vitest";
import { linkedSignal } from "../../src/base/abort.js";
import { ConfirmedWrite } from "../../src/s3/confirmed-write.js";
import { uploadMultipart } from "../../src/s3/multipart.js";
import type { Part } from "../../src/transfer/part-assembly.js";
import { coded, errorOf } from "../support/errors.js";
import { steady, until } from "../support/until.js";

const s3 = new S3Client({ region: "eu-central-1" });
const mock = mockClient(s3);

beforeEach(() => {
  mock.reset();
  mock.on(CreateMultipartUploadCommand).resolves({ UploadId: "id" });
  mock.on(UploadPartCommand).resolves({ ETag: '"part"' });
  mock.on(CompleteMultipartUploadCommand).resolves({ ETag: '"whole"' });
  mock.on(AbortMultipartUploadCommand).resolves({});
});

async function upload(
  count: number,
  partBytes: number,
  maxConcurrentParts: number,
  onStored: () => void = () => undefined,
) {
  const bytes = Buffer.alloc(partBytes);
  const released: number[] = [];
  const stored: number[] = [];
  async function* parts(): AsyncGenerator<Part, undefined> {
    for (let partNumber = 1; partNumber <= count; partNumber++) {
      const isLast = partNumber === count;
      const release = () => void released.push(partNumber);
      yield { partNumber, start: (partNumber - 1) * partBytes, length: partBytes, isLast, bytes, release };
    }
    return undefined;
  }
  const rest = parts();
  const { value: first } = await rest.next();
  if (!first) throw new Error("expected a part");
  await uploadMultipart(
    {
      s3,
      put: { Bucket: "b", Key: "k" },
      target: { operation: "PutObject", bucket: "b", key: "k" },
      maxConcurrentParts,
      call: { ...linkedSignal(undefined), isCallersReason: () => false },
      commit: new ConfirmedWrite(),
    },
    first,
    rest,
    ({ partNumber }) => {
      stored.push(partNumber);
      onStored();
    },
  );
  return { stored, released };
}

describe("uploadMultipart", () => {
  it.each([1, 3, 10])("sends at most maxConcurrentParts parts at a time: %i", async (most) => {
    let [inFlight, peak] = [0, 0];
    mock.on(UploadPartCommand).callsFake(async () => {
      inFlight += 1;
      peak = Math.max(peak, inFlight);
      await steady(() => inFlight);
      inFlight -= 1;
      return { ETag: '"part"' };
    });
    await upload(20, 1, most);
    expect(peak).toBe(most);
  });

  it("calls onStored for each stored part and releases its memory, in order", async () => {
    const { stored, released } = await upload(5, 10, 2);
    expect(stored).toEqual([1, 2, 3, 4, 5]);
    expect(released).toEqual([1, 2, 3, 4, 5]);
  });

  it("aborts the upload when onStored throws", async () => {
    const failure = new Error("enough");
    const error = await errorOf(() =>
      upload(5, 10, 2, () => {
        throw failure;
      }),
    );
    expect(error).toBe(failure);
    expect(mock.commandCalls(CompleteMultipartUploadCommand)).toEqual([]);
    expect(mock.commandCalls(AbortMultipartUploadCommand)).toHaveLength(1);
  });

  it("completes with the parts in order and the total size", async () => {
    let responses = 0;
    mock.on(UploadPartCommand).callsFake(async ({ PartNumber }) => {
      // The last request gets its response first.
      await until(() => expect(responses).toBe(3 - PartNumber));
      responses += 1;
      return { ETag: `"${PartNumber}"` };
    });
    await upload(3, 10, 4);
    const input = mock.commandCalls(CompleteMultipartUploadCommand)[0]?.args[0].input;
    expect(input?.MpuObjectSize).toBe(30);
    expect(input?.MultipartUpload?.Parts?.map(({ ETag }) => ETag)).toEqual(['"1"', '"2"', '"3"']);
  });

  it("aborts when a response has no ETag", async () => {
    mock.on(UploadPartCommand, { PartNumber: 2 }).resolves({});
    const error = await errorOf(() => upload(3, 10, 4));
    expect(error).toEqual(coded("S3_REQUEST_FAILED", { operation: "UploadPart" }));
    expect(mock.commandCalls(CompleteMultipartUploadCommand)).toEqual([]);
    expect(mock.commandCalls(AbortMultipartUploadCommand)).toHaveLength(1);
  });

  it("fails when a response has no UploadId", async () => {
    mock.on(CreateMultipartUploadCommand).resolves({});
    const error = await errorOf(() => upload(3, 10, 4));
    expect(error).toEqual(coded("S3_REQUEST_FAILED", { operation: "CreateMultipartUpload" }));
    expect(mock.commandCalls(UploadPartCommand)).toEqual([]);
  });
});
