/** The context of the checks of S3, and requests that many of them send. */
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  GetObjectCommand,
  type GetObjectCommandInput,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
  UploadPartCommand,
  type UploadPartCommandInput,
} from "@aws-sdk/client-s3";
import type { LocalClientConfig } from "../../src/testing/index.js";
import { testBytes } from "../support/bytes.js";

/** The context of a check. */
export interface S3Context {
  readonly s3: S3Client;
  readonly config: LocalClientConfig;
  readonly Bucket: string;
}

/** 1,000 bytes. */
export const content = testBytes(1000, 1);
/** A part of the smallest size. */
export const firstPart = testBytes(5 * 1024 * 1024, 2);

let keys = 0;
/** A key that no other check uses. */
export const newKey = () => `check-${++keys}`;

/** Stores {@link content}, unless the input states another body. */
export function put({ s3, Bucket }: S3Context, Key: string, rest: Partial<PutObjectCommandInput> = {}) {
  return s3.send(new PutObjectCommand({ Bucket, Key, Body: content, ...rest }));
}

/** Reads an object whole. */
export async function read(
  { s3, Bucket }: S3Context,
  Key: string,
  rest: Partial<GetObjectCommandInput> = {},
) {
  const output = await s3.send(new GetObjectCommand({ Bucket, Key, ...rest }));
  return { ...output, bytes: Buffer.from((await output.Body?.transformToByteArray()) ?? []) };
}

/** Begins an upload; by default one of a CRC32 for each part. */
export async function begin(
  c: S3Context,
  Key: string,
  rest: Partial<CreateMultipartUploadCommandInput> = {},
) {
  const { s3, Bucket } = c;
  const named = { ChecksumAlgorithm: "CRC32", ...rest } as const;
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...named }));
  const upload = { Bucket, Key, UploadId };
  const { ChecksumAlgorithm } = named;
  return {
    upload,
    async part(
      PartNumber: number,
      Body: Uint8Array,
      more: Partial<UploadPartCommandInput> = {},
    ): Promise<CompletedPart> {
      const input = { ...upload, PartNumber, Body, ChecksumAlgorithm, ...more };
      const { ETag, ...output } = await s3.send(new UploadPartCommand(input));
      const { ChecksumCRC32, ChecksumCRC64NVME, ChecksumSHA256 } = output;
      return { PartNumber, ETag, ChecksumCRC32, ChecksumCRC64NVME, ChecksumSHA256 };
    },
    complete: (Parts: CompletedPart[], more: Partial<CompleteMultipartUploadCommandInput> = {}) =>
      s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, ...more })),
  };
}

/** Runs 16 writes concurrently and returns the numbers of those that succeed. */
export async function winnersOf16(write: (index: number) => Promise<unknown>): Promise<number[]> {
  const race = Array.from({ length: 16 }, (_, index) => write(index).then(() => index));
  return (await Promise.allSettled(race)).flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}
