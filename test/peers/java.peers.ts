/** The Java peers among themselves: the harness stands, and the matrix of who reads what is true. */
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { testBytes } from "../support/bytes.js";
import {
  contextOf,
  newKeys,
  type Reading,
  readerConfig,
  readings,
  type Writing,
  writerConfig,
  writings,
} from "./matrix.js";
import { ProtocolClient } from "./protocol.js";

const { bucket, kmsKeyId, s3: s3Config } = inject("world");
const s3 = new S3Client(s3Config);
const keys = newKeys(kmsKeyId);
const clients = new Map<string, ProtocolClient>();
for (const { name, port } of inject("peers")) {
  if (port !== undefined && name.startsWith("java-")) clients.set(name, new ProtocolClient(port));
}
afterAll(() => {
  s3.destroy();
  for (const client of clients.values()) client.close();
});

const javaWritings = writings.filter(({ writer }) => writer.startsWith("java-"));
const javaReadings = readings.filter(({ reader }) => reader.startsWith("java-"));
/** Tests of peers that could not be had are skipped, not left out. */
const testWith = (...names: string[]) => test.runIf(names.every((name) => clients.has(name)));
const refusal = { kind: "S3EncryptionClientError" };
const MiB = 1024 * 1024;

function peer(name: string): ProtocolClient {
  const client = clients.get(name);
  if (!client) throw new Error(`${name} is not there`);
  return client;
}

async function write(writing: Writing, key: string, body: Uint8Array): Promise<void> {
  const id = await peer(writing.writer).createClient(writerConfig(writing, keys));
  await peer(writing.writer).put(id, bucket, key, body, contextOf(writing));
}

async function read(reading: Reading, writing: Writing, key: string, range?: string): Promise<Buffer> {
  const id = await peer(reading.reader).createClient(readerConfig(reading, writing, keys));
  const options = { context: contextOf(writing), ...(range === undefined ? {} : { range }) };
  return peer(reading.reader).get(id, bucket, key, options);
}

async function stored(key: string): Promise<Buffer> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

function named<T extends { name: string }>(list: readonly T[], name: string): T[] {
  return list.filter((one) => one.name === name);
}

describe.each(javaWritings)("$name", (writing) => {
  const body = testBytes(17, 17);
  beforeAll(() => (clients.has(writing.writer) ? write(writing, writing.name, body) : undefined));

  for (const reading of javaReadings) {
    testWith(writing.writer, reading.reader)(reading.name, async () => {
      const got = read(reading, writing, writing.name);
      if (reading.reads(writing)) expect(await got).toEqual(body);
      else if (reading.passesOn?.(writing)) expect(await got).toEqual(await stored(writing.name));
      else await expect(got).rejects.toMatchObject(refusal);
    });
  }
});

describe("sizes", () => {
  const sizes = [0, 1, 15, 16, 17, MiB, 40 * MiB];
  const pairs = [
    ["java-v4-v3-kms-metadata", "java-v4-default"],
    ["java-v4-v2-rsa2048-instruction", "java-v3-default"],
    ["java-v3-v2-kms-metadata", "java-sdk1-v2-strict"],
    ["java-sdk1-v1-cbc-aes256-instruction", "java-v4-legacy"],
    ["java-sdk1-v1-gcm-kms-metadata", "java-v3-legacy"],
    ["java-sdk1-v2-aes256-metadata", "java-v4-legacy"],
  ] as const;
  for (const [writer, reader] of pairs) {
    for (const writing of named(javaWritings, writer)) {
      for (const reading of named(javaReadings, reader)) {
        testWith(writing.writer, reading.reader).each(sizes)(
          `${writer} to ${reader}: %i bytes`,
          async (size) => {
            const body = testBytes(size, size);
            const key = `${writer}-${size}`;
            await write(writing, key, body);
            expect((await read(reading, writing, key)).equals(body)).toBe(true);
          },
        );
      }
    }
  }
});

describe("ranges of version 4", () => {
  const names = ["java-v4-v3-kms-metadata", "java-v4-v2-aes256-instruction", "java-sdk1-v1-cbc-kms-metadata"];
  const body = testBytes(1000, 1);
  for (const writing of javaWritings.filter(({ name }) => names.includes(name))) {
    for (const reading of named(javaReadings, "java-v4-legacy")) {
      testWith(writing.writer, reading.reader).each([
        ["bytes=0-15", 0, 16],
        ["bytes=10-100", 10, 101],
        ["bytes=40-", 40, 1000],
        ["bytes=995-4000", 995, 1000],
      ] as const)(`${writing.name}: %s`, async (range, start, end) => {
        await write(writing, `${writing.name}-range`, body);
        expect(await read(reading, writing, `${writing.name}-range`, range)).toEqual(
          body.subarray(start, end),
        );
      });
    }
  }
});

describe("instruction files written anew", () => {
  const next = newKeys(kmsKeyId);
  for (const version of ["java-v4", "java-v3"]) {
    for (const writing of named(javaWritings, `${version}-v2-aes256-instruction`)) {
      testWith(version).each([undefined, "instruction-next"])(`${version}: suffix %s`, async (suffix) => {
        const key = `${writing.name}-reencrypted-${suffix}`;
        const body = testBytes(100, 100);
        await write(writing, key, body);
        const client = peer(version);
        const keyMaterial = { ...next.rsa2048, materialsDescription: { turn: "2" } };
        const id = await client.createClient(writerConfig(writing, keys));
        await client.reencrypt(id, bucket, key, {
          keyMaterial,
          enforceRotation: true,
          ...(suffix === undefined ? {} : { instructionFileSuffix: suffix }),
        });
        const reader = await client.createClient({ ...writing.settings, keyMaterial });
        const options = suffix === undefined ? {} : { instructionFileSuffix: `.${suffix}` };
        expect(await client.get(reader, bucket, key, options)).toEqual(body);
      });
    }
  }
});
