/** A client with legacy reading over the in-process AWS, and objects for it. */
import { Readable } from "node:stream";
import { type GetObjectCommandInput, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import type { EnvelopeClient, EnvelopeClientOptions } from "../../src/index.js";
import {
  type LegacyReadingOptions,
  legacyAesKeyring,
  legacyKmsKeyring,
  legacyReading,
  legacyRsaKeyring,
} from "../../src/legacy.js";
import { kek, type LegacyFiles, rsaPrivateKey } from "../support/legacy-objects.js";
import { Bucket, type Local } from "../support/local.js";

/** All three keyrings, which read all objects of the tests. */
export function keyringsOf(local: Local): LegacyReadingOptions["keyring"] {
  return [
    legacyKmsKeyring({ kms: local.aws.kms, keyId: local.keyArn }),
    legacyAesKeyring({ wrappingKey: kek }),
    legacyRsaKeyring({ privateKey: rsaPrivateKey }),
  ];
}

/** A client with legacy reading by these options. */
export function readerOf(
  local: Local,
  options: Partial<LegacyReadingOptions> = {},
  clientOptions: Partial<EnvelopeClientOptions> = {},
): EnvelopeClient {
  const legacy = legacyReading({ keyring: keyringsOf(local), ...options });
  return local.clientWith({ legacy, ...clientOptions });
}

/** Stores an object and its instruction file, with the given suffix. */
export async function store(
  local: Local,
  Key: string,
  { body, metadata, instructionFile }: LegacyFiles,
  suffix = ".instruction",
): Promise<void> {
  if (instructionFile !== undefined) {
    const Metadata = { "x-amz-crypto-instr-file": "" };
    await local.s3.send(new PutObjectCommand({ Bucket, Key: Key + suffix, Body: instructionFile, Metadata }));
  }
  await local.putRaw(Key, body, metadata);
}

/** An S3 client for one object without a connection, for tests with very many requests. */
export function stubObject({ body, metadata }: LegacyFiles): S3Client {
  const send = async ({ input }: { input: GetObjectCommandInput }) => {
    const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(input.Range ?? "") ?? [];
    const start = first === "" && last !== "" ? Math.max(0, body.length - Number(last)) : Number(first);
    const end = first === "" || last === "" ? body.length : Math.min(body.length, Number(last) + 1);
    if (input.Range !== undefined && start >= end) {
      throw Object.assign(new Error("no such range"), { $metadata: { httpStatusCode: 416 } });
    }
    return {
      Body: Readable.from([body.subarray(start, end)]),
      ContentLength: end - start,
      ...(input.Range !== undefined && { ContentRange: `bytes ${start}-${end - 1}/${body.length}` }),
      ETag: '"stub"',
      Metadata: metadata,
    };
  };
  return { config: {}, send } as unknown as S3Client;
}
