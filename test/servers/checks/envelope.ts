/** Checks of `EnvelopeClient` over an S3 server and a KMS. */

import { Readable } from "node:stream";
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { expect } from "vitest";
import { EnvelopeClient, type Keyring, type PutBody } from "../../../src/index.js";
import { collectUntilError, expectBytes, testBytes } from "../../support/bytes.js";
import { coded, errorOf } from "../../support/errors.js";
import type { Check } from "../checks.js";
import { winnersOf16 } from "../s3-context.js";

/** The context of a check. */
export interface EnvelopeContext {
  readonly s3: S3Client;
  readonly keyring: Keyring;
  readonly Bucket: string;
}

const operation = "EnvelopeClient";
const partSizeBytes = 5 * 1024 * 1024;
const large = testBytes(3 * partSizeBytes + 77, 3);
const small = testBytes(50_000, 4);
const sizes = [0, 1, 16_383, 16_384, 16_385, 1024 * 1024, partSizeBytes - 1, partSizeBytes, large.length];
let keys = 0;
const newKey = () => `envelope/${++keys} ü`;

function clientOf({ s3, keyring }: EnvelopeContext, envelopeStorage: "metadata" | "sidecar" = "metadata") {
  return new EnvelopeClient({ s3, keyring, partSizeBytes, envelopeStorage });
}

async function bodyOf(client: EnvelopeClient, Bucket: string, Key: string, Range?: string) {
  return (await client.get({ Bucket, Key, Range })).Body.transformToByteArray();
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 70_001) yield bytes.subarray(at, at + 70_001);
}

/** The objects and the unfinished uploads under a prefix. */
export async function leftovers({ s3, Bucket }: EnvelopeContext, Prefix: string) {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix }));
  return [...Contents, ...Uploads].map(({ Key }) => Key);
}

const bodies: readonly (readonly [string, (bytes: Uint8Array) => PutBody])[] = [
  ["a Buffer", (bytes) => Buffer.from(bytes)],
  ["a Readable", (bytes) => Readable.from(pieces(bytes))],
  ["a generator", pieces],
  ["a Blob", (bytes) => new Blob([Buffer.from(bytes)])],
  ["a web stream", (bytes) => Readable.toWeb(Readable.from(pieces(bytes))) as ReadableStream<Uint8Array>],
];

/** Stores an object, then stores changed bytes with the same metadata. */
async function tampered(c: EnvelopeContext, change: (bytes: Buffer) => Buffer): Promise<string> {
  const { s3, Bucket } = c;
  const Key = newKey();
  await clientOf(c).put({ Bucket, Key, Body: small });
  const { Body, Metadata } = await s3.send(new GetObjectCommand({ Bucket, Key }));
  const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
  await s3.send(new PutObjectCommand({ Bucket, Key, Body: change(bytes), Metadata }));
  return Key;
}

export const envelopeChecks: readonly Check<EnvelopeContext>[] = [
  ...(["metadata", "sidecar"] as const).flatMap((storage) =>
    sizes.map((size) => ({
      operation,
      name: `${size} bytes, envelope in ${storage}`,
      async run(c: EnvelopeContext) {
        const { Bucket } = c;
        const [Key, client, bytes] = [newKey(), clientOf(c, storage), large.subarray(0, size)];
        const put = await client.put({
          Bucket,
          Key,
          Body: bytes,
          Metadata: { a: "b" },
          ContentType: "text/x",
        });
        expectBytes(await bodyOf(client, Bucket, Key), bytes);
        const told = await client.head({ Bucket, Key });
        expect(told).toMatchObject({ ContentLength: size, Metadata: { a: "b" }, ETag: put.ETag });
        await client.delete({ Bucket, Key });
        expect(await leftovers(c, Key)).toEqual([]);
      },
    })),
  ),
  ...bodies.flatMap(([name, bodyFrom]) =>
    [small, large].map((bytes) => ({
      operation,
      name: `${name} of ${bytes.length} bytes`,
      async run(c: EnvelopeContext) {
        const { Bucket } = c;
        const [Key, client] = [newKey(), clientOf(c)];
        await client.put({ Bucket, Key, Body: bodyFrom(bytes) });
        expectBytes(await bodyOf(client, Bucket, Key), bytes);
      },
    })),
  ),
  {
    operation,
    name: "ranges in every form, of an object of parts",
    async run(c) {
      const { Bucket } = c;
      const [Key, client, end] = [newKey(), clientOf(c), large.length];
      await client.put({ Bucket, Key, Body: large });
      const ranges = [
        ["bytes=0-0", 0, 1],
        [`bytes=${partSizeBytes - 5}-${partSizeBytes + 5}`, partSizeBytes - 5, partSizeBytes + 6],
        [`bytes=${end - 9}-`, end - 9, end],
        ["bytes=-20000", end - 20_000, end],
        [`bytes=16384-${end + 5}`, 16_384, end],
      ] as const;
      for (const [Range, from, to] of ranges)
        expectBytes(await bodyOf(client, Bucket, Key, Range), large.subarray(from, to));
      expect(await errorOf(() => client.get({ Bucket, Key, Range: `bytes=${end}-` }))).toEqual(
        coded("S3_RANGE_NOT_SATISFIABLE"),
      );
    },
  },
  ...[small, large].map((bytes) => ({
    operation,
    name: `conditions of a put of ${bytes.length} bytes`,
    async run(c: EnvelopeContext) {
      const { Bucket } = c;
      const [Key, client] = [newKey(), clientOf(c)];
      const at = { Bucket, Key };
      const { ETag } = await client.put({ ...at, Body: "old", IfNoneMatch: "*" });
      for (const condition of [{ IfNoneMatch: "*" }, { IfMatch: '"other"' }]) {
        const act = () => client.put({ ...at, Body: bytes, ...condition });
        expect(await errorOf(act)).toEqual(coded("S3_PRECONDITION_FAILED"));
      }
      expect(await leftovers(c, Key)).toEqual([Key]);
      await client.put({ ...at, Body: bytes, IfMatch: ETag });
      expectBytes(await bodyOf(client, Bucket, Key), bytes);
      expect(await errorOf(() => client.get({ ...at, IfMatch: ETag }))).toEqual(
        coded("S3_PRECONDITION_FAILED"),
      );
    },
  })),
  {
    operation,
    name: "a source that fails leaves neither object nor upload",
    async run(c) {
      const Key = newKey();
      async function* failing() {
        yield large;
        throw new Error("source");
      }
      const act = () => clientOf(c).put({ Bucket: c.Bucket, Key, Body: failing() });
      expect(await errorOf(act)).toEqual(coded("SOURCE_FAILED"));
      expect(await leftovers(c, Key)).toEqual([]);
    },
  },
  {
    operation,
    name: "an upload that is aborted leaves neither object nor upload",
    async run(c) {
      const Key = newKey();
      const controller = new AbortController();
      async function* aborting() {
        yield large;
        controller.abort(new Error("enough"));
        yield large;
      }
      const options = { abortSignal: controller.signal };
      const act = () => clientOf(c).put({ Bucket: c.Bucket, Key, Body: aborting() }, options);
      expect((await errorOf(act)).message).toBe("enough");
      expect(await leftovers(c, Key)).toEqual([]);
    },
  },
  {
    operation,
    name: "a context that is not expected is refused",
    async run(c) {
      const [at, client] = [{ Bucket: c.Bucket, Key: newKey() }, clientOf(c)];
      await client.put({ ...at, Body: small, encryptionContext: { tenant: "a" } });
      const { Body } = await client.get({ ...at, encryptionContext: { tenant: "a" } });
      expectBytes(await Body.transformToByteArray(), small);
      const wrong = () => client.get({ ...at, encryptionContext: { tenant: "b" } });
      expect(await errorOf(wrong)).toEqual(coded("CONTEXT_MISMATCH"));
    },
  },
  {
    operation,
    name: "a changed byte releases at most what was before its chunk",
    async run(c) {
      const Key = await tampered(c, (bytes) => {
        bytes[20_000] = (bytes[20_000] ?? 0) ^ 1;
        return bytes;
      });
      const { Body } = await clientOf(c).get({ Bucket: c.Bucket, Key });
      const { released, error } = await collectUntilError(Body);
      expect(error).toEqual(coded("DECRYPTION_FAILED"));
      expect(released.length).toBeLessThanOrEqual(16_384);
      expectBytes(released, small.subarray(0, released.length));
    },
  },
  {
    operation,
    name: "a body that was cut short is refused",
    async run(c) {
      const Key = await tampered(c, (bytes) => bytes.subarray(0, bytes.length - 20_000));
      const { Body } = await clientOf(c).get({ Bucket: c.Bucket, Key });
      const { released, error } = await collectUntilError(Body);
      expect((error as { code?: string }).code).toMatch(/^(BODY_TRUNCATED|DECRYPTION_FAILED)$/);
      expectBytes(released, small.subarray(0, released.length));
    },
  },
  ...[small, large].map((bytes) => ({
    operation,
    name: `of 16 racing puts of ${bytes.length} bytes with IfNoneMatch one wins, and nothing is left of the others`,
    async run(c: EnvelopeContext) {
      const { Bucket } = c;
      const [Key, client] = [newKey(), clientOf(c)];
      const bodies = Array.from({ length: 16 }, (_, index) => bytes.subarray(index));
      const won = await winnersOf16((index) =>
        client.put({ Bucket, Key, Body: bodies[index] ?? "", IfNoneMatch: "*" }),
      );
      expect(won).toHaveLength(1);
      expectBytes(await bodyOf(client, Bucket, Key), bodies[won[0] ?? -1] ?? Buffer.alloc(0));
      expect(await leftovers(c, Key)).toEqual([Key]);
    },
  })),
  {
    operation,
    name: "an older version is read by its id",
    async run(c) {
      const { s3 } = c;
      const at = { Bucket: "envelope-versions", Key: newKey() };
      await s3.send(new CreateBucketCommand({ Bucket: at.Bucket }));
      const VersioningConfiguration = { Status: "Enabled" } as const;
      await s3.send(new PutBucketVersioningCommand({ Bucket: at.Bucket, VersioningConfiguration }));
      const client = clientOf(c);
      const { VersionId } = await client.put({ ...at, Body: large });
      await client.put({ ...at, Body: small });
      expectBytes(await (await client.get(at)).Body.transformToByteArray(), small);
      expectBytes(await (await client.get({ ...at, VersionId })).Body.transformToByteArray(), large);
    },
  },
  {
    operation,
    name: "ten puts and gets at once",
    async run(c) {
      const { Bucket } = c;
      const client = clientOf(c);
      const each = Array.from({ length: 10 }, async (_, index) => {
        const [Key, bytes] = [newKey(), large.subarray(index, index + 1_000_000)];
        await client.put({ Bucket, Key, Body: bytes });
        expectBytes(await bodyOf(client, Bucket, Key), bytes);
      });
      await Promise.all(each);
    },
  },
];
