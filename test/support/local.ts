/** One in-process AWS for a test file, with a key and clients on it. */
import { get } from "node:http";
import { CreateKeyCommand } from "@aws-sdk/client-kms";
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll } from "vitest";
import { aesKeyring, EnvelopeClient, type EnvelopeClientOptions, kmsKeyring } from "../../src/index.js";
import { type LocalAws, startLocalAws } from "../../src/testing/index.js";
import { lowerTransferLimits } from "../../src/transfer/limits.js";
import { testBytes } from "./bytes.js";

/** The bucket of all tests. */
export const Bucket = "test-bucket";
/** A small part: the in-process S3 and the clients of these tests take it. */
export const partBytes = 256 * 1024;
/** The smallest part that S3 takes. */
export const s3PartBytes = 5 * 1024 * 1024;
/** The key of {@link keyring}. */
export const wrappingKey = testBytes(32, 77);
/** A keyring without a service. */
export const keyring = aesKeyring({ keyId: "test", wrappingKey });

/** The result of {@link useLocalAws}. */
export interface Local {
  readonly aws: LocalAws;
  /** The ARN of a KMS key. */
  readonly keyArn: string;
  /** A client with the AES keyring, small parts and no retries. */
  readonly client: EnvelopeClient;
  /** The same over KMS. */
  readonly kmsClient: EnvelopeClient;
  /** A client with other options. */
  clientWith(options: Partial<EnvelopeClientOptions>): EnvelopeClient;
  /** An S3Client that does not retry. */
  readonly s3: S3Client;
  /** The operations that S3 and KMS received since the last call of this function. */
  operations(): string[];
  /** Stores bytes without encrypting them. */
  putRaw(Key: string, Body: Uint8Array, Metadata?: Record<string, string>): Promise<void>;
  /** Reads an object without decrypting it. */
  getRaw(Key: string): Promise<{ bytes: Buffer; metadata: Record<string, string> }>;
  /** The keys of all objects and of all unfinished uploads. */
  contents(): Promise<{ keys: string[]; uploads: string[] }>;
  /** Removes all objects and uploads, including those of a failed test, and returns their keys. */
  removeAll(): Promise<{ keys: string[]; uploads: string[] }>;
  /** Breaks the connections of these clients, and waits until S3 and KMS have read all requests that were sent. */
  settle(): Promise<void>;
}

/** Starts an in-process AWS before the tests of a file and stops it after them. */
export function useLocalAws(): Local {
  let local: (Local & { close(): Promise<void> }) | undefined;
  beforeAll(async () => {
    local = await start();
  });
  afterEach(async () => {
    local?.aws.clearFaults();
    await local?.settle();
    local?.aws.clearRequests();
  });
  afterAll(() => local?.close());
  return new Proxy({} as Local, { get: (_, field) => Reflect.get(local ?? {}, field) });
}

async function start(): Promise<Local & { close(): Promise<void> }> {
  lowerTransferLimits({ minPartBytes: 1024, minBufferedBytes: 3 * partBytes });
  const aws = await startLocalAws({ minPartBytes: 1 });
  const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({}));
  const keyArn = KeyMetadata?.Arn ?? "";
  aws.clearRequests();
  const s3 = new S3Client({ ...aws.s3Config, maxAttempts: 1 });
  const clientWith = (options: Partial<EnvelopeClientOptions>) =>
    new EnvelopeClient({ s3, keyring, partSizeBytes: partBytes, ...options });
  return {
    aws,
    keyArn,
    s3,
    client: clientWith({}),
    kmsClient: clientWith({ keyring: kmsKeyring({ kms: aws.kms, keyId: keyArn }) }),
    clientWith,
    operations() {
      const operations = aws.requests.map(({ operation }) => operation);
      aws.clearRequests();
      return operations;
    },
    async putRaw(Key, Body, Metadata) {
      await s3.send(new PutObjectCommand({ Bucket, Key, Body, ...(Metadata && { Metadata }) }));
      aws.clearRequests();
    },
    async getRaw(Key) {
      const { Body, Metadata = {} } = await s3.send(new GetObjectCommand({ Bucket, Key }));
      const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
      aws.clearRequests();
      return { bytes, metadata: Metadata };
    },
    async contents() {
      const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
      const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
      return { keys: Contents.map(({ Key = "" }) => Key), uploads: Uploads.map(({ Key = "" }) => Key) };
    },
    async removeAll() {
      aws.clearFaults();
      const removed = { keys: [] as string[], uploads: [] as string[] };
      // A page has up to 1,000 entries.
      while (true) {
        const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
        const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
        if (Contents.length + Uploads.length === 0) return removed;
        for (const { Key = "" } of Contents) {
          await s3.send(new DeleteObjectCommand({ Bucket, Key }));
          removed.keys.push(Key);
        }
        for (const { Key = "", UploadId } of Uploads) {
          await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
          removed.uploads.push(Key);
        }
      }
    },
    async settle() {
      for (const client of [s3, aws.s3, aws.kms]) client.destroy();
      // An aborted request may still be in transit, and a fault of the next test would strike it. Connections are
      // accepted in order: a response on a new one shows that earlier ones are accepted; on a second one, that they are read.
      for (let round = 0; round < 2; round++) {
        await Promise.all([aws.s3Config, aws.kmsConfig].map(({ endpoint }) => answered(endpoint)));
      }
    },
    async close() {
      s3.destroy();
      await aws.close();
    },
  };
}

/** Resolves when a server has responded to a request on a new connection. */
function answered(endpoint: string): Promise<void> {
  return new Promise((resolve, reject) => {
    get(endpoint, { agent: false }, (response) => response.resume().once("close", resolve)).once(
      "error",
      reject,
    );
  });
}
